// What the API's objects look like. Keys are exact: a field nobody promised is a leak.
import assert from 'node:assert/strict';

export const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
export const ID = /^[1-9]\d{0,18}$/;
export const TOKEN = /^[A-Za-z0-9_-]{43}$/;
const HASH = /^[0-9a-f]{32}$/;
const SHA256 = /^[0-9a-f]{64}$/;

export function checkUser(user) {
  checkKeys(user, ['id', 'username', 'display_name', 'created_at']);
  assert.match(user.id, ID);
  assert.match(user.created_at, TIME);
}

// As users see themselves.
export function checkOwnUser(user) {
  const { presence, receipts, ...shown } = user;
  checkUser(shown);
  assert.ok(['shared_chats', 'nobody'].includes(presence));
  assert.equal(typeof receipts, 'boolean');
}

// {user_id, online, last_seen_at}: an item of an answer, or a whisper without its type and frame.
export function checkPresence(item) {
  checkKeys(item, ['user_id', 'online', 'last_seen_at']);
  assert.match(item.user_id, ID);
  assert.equal(typeof item.online, 'boolean');
  if (item.last_seen_at !== null) assert.match(item.last_seen_at, TIME);
}

export function checkDevice(device, extra = []) {
  checkKeys(device, ['id', 'name', 'created_at', ...extra]);
  assert.match(device.id, ID);
  assert.match(device.created_at, TIME);
}

// A whisper: {type, chat_id, user_id, expires_at}, without its frame.
export function checkTyping(event) {
  checkKeys(event, ['type', 'chat_id', 'user_id', 'expires_at']);
  assert.match(event.expires_at, TIME);
}

export function checkList(list) {
  checkKeys(list, ['items', 'next', 'as_of']);
  assert.ok(Array.isArray(list.items));
  assert.match(list.as_of, /^\d+$/);
}

const CHAT_KEYS = [
  'id', 'type', 'title', 'history', 'message_ttl_s', 'until_delivered', 'rev', 'last_seq', 'last_rev', 'last_id', 'member_count', 'created_at', 'created_by',
];

const GROUP_KEYS = ['description', 'avatar_id', 'slow_mode_s', 'permissions'];

const KEYS_OF_TYPE = { direct: ['member_ids'], group: GROUP_KEYS, channel: [...GROUP_KEYS, 'public'] };

// A chat as REST answers it.
export function checkChat(chat) {
  const own = chat.type === 'direct' ? ['peer_id'] : [];
  checkKeys(chat, [...CHAT_KEYS, 'my_role', ...KEYS_OF_TYPE[chat.type], ...own]);
  checkChatValues(chat);
}

// A chat as lists and GET show it, with what is the reader's own.
export function checkOwnChat(chat) {
  const { read_seq, unread, mentioned, settings, draft, last_message, ...shared } = chat;
  checkChat(shared);
  checkSettings(settings);
  assert.equal(read_seq + unread, shared.last_seq);
  assert.equal(typeof mentioned, 'boolean');
  assert.ok(draft === null || typeof draft === 'string');
  if (last_message !== null) assert.equal(last_message.chat_id, shared.id);
}

export function checkReceipt(receipt) {
  checkKeys(receipt, ['type', 'chat_id', 'user_id'], ['read_seq', 'delivered_id', 'unread_total']);
  assert.ok('read_seq' in receipt !== 'delivered_id' in receipt);
  for (const id of ['chat_id', 'user_id']) assert.match(receipt[id], ID);
}

export function checkSettings(settings) {
  checkKeys(settings, ['muted_until', 'archived', 'pinned_at']);
  assert.equal(typeof settings.archived, 'boolean');
  for (const time of ['muted_until', 'pinned_at']) if (settings[time] !== null) assert.match(settings[time], TIME);
}

export function checkChatList(list) {
  const { unread_total, ...rest } = list;
  checkList(rest);
  assert.ok(Number.isInteger(unread_total) && unread_total >= 0);
  list.items.forEach(checkOwnChat);
}

// A chat inside an event, which is the same for every recipient.
export function checkEventChat(chat) {
  checkKeys(chat, [...CHAT_KEYS, ...KEYS_OF_TYPE[chat.type]]);
  checkChatValues(chat);
}

function checkChatValues(chat) {
  assert.match(chat.id, ID);
  assert.match(chat.created_at, TIME);
  for (const number of ['rev', 'last_seq', 'last_rev', 'member_count', 'message_ttl_s']) assert.ok(Number.isInteger(chat[number]), number);
  assert.equal(typeof chat.until_delivered, 'boolean');
  if (chat.type !== 'direct') checkGroupValues(chat);
}

function checkGroupValues({ description, avatar_id, slow_mode_s, permissions }) {
  assert.ok(description === null || typeof description === 'string');
  assert.ok(Number.isInteger(slow_mode_s));
  if (avatar_id !== null) assert.match(avatar_id, ID);
  checkKeys(permissions, ['post', 'add', 'edit']);
  for (const who of Object.values(permissions)) assert.ok(['members', 'admins'].includes(who));
}

const MESSAGE_KEYS = ['id', 'chat_id', 'sender_id', 'seq', 'rev', 'created_at', 'chain'];
const MESSAGE_OPTIONS = ['client_key', 'attachments', 'expires_at', 'reply_to', 'mentions', 'forwarded', 'reactions', 'reactions_rev'];

// A message nobody changed, as it was posted.
export function checkNewMessage(message) {
  checkKeys(message, [...MESSAGE_KEYS, 'text', 'salt'], MESSAGE_OPTIONS);
  checkMessageValues(message);
  assert.match(message.salt, HASH);
}

export function checkEditedMessage(message) {
  checkKeys(message, [...MESSAGE_KEYS, 'text', 'edited_at', 'body_hash'], MESSAGE_OPTIONS);
  checkMessageValues(message);
  assert.match(message.edited_at, TIME);
  assert.match(message.body_hash, HASH);
}

export function checkDeletedMessage(message) {
  checkKeys(message, [...MESSAGE_KEYS, 'deleted', 'deleted_at', 'body_hash']);
  checkMessageValues(message);
  assert.equal(message.deleted, true);
  assert.match(message.deleted_at, TIME);
  assert.match(message.body_hash, HASH);
}

// A message that the reader has deleted for themselves.
export function checkHiddenMessage(message) {
  checkKeys(message, ['id', 'chat_id', 'seq', 'hidden']);
  for (const id of ['id', 'chat_id']) assert.match(message[id], ID);
  assert.ok(Number.isInteger(message.seq) && message.seq >= 1);
  assert.equal(message.hidden, true);
}

function checkMessageValues(message) {
  for (const id of ['id', 'chat_id', 'sender_id']) assert.match(message[id], ID);
  for (const number of ['seq', 'rev']) assert.ok(Number.isInteger(message[number]) && message[number] >= 1, number);
  assert.match(message.created_at, TIME);
  assert.match(message.chain, HASH);
  if ('expires_at' in message) assert.match(message.expires_at, TIME);
  if ('attachments' in message) checkAttachments(message.attachments);
  checkReferences(message);
}

function checkReferences(message) {
  if ('reply_to' in message) checkQuotation(message.reply_to);
  if ('mentions' in message) checkMentions(message);
  if ('forwarded' in message) assert.equal(message.forwarded, true);
  if ('reactions' in message) checkReactions(message);
}

// What a message, an answer and an event say of the reactions.
export function checkReactions({ reactions, reactions_rev }) {
  for (const reaction of reactions) {
    checkKeys(reaction, ['emoji', 'count']);
    assert.ok(reaction.emoji && Number.isInteger(reaction.count) && reaction.count >= 1);
  }
  assert.equal(new Set(reactions.map(({ emoji }) => emoji)).size, reactions.length);
  assert.ok(Number.isInteger(reactions_rev) && reactions_rev >= 0);
}

function checkQuotation(quotation) {
  checkKeys(quotation, ['id', 'seq', 'sender_id']);
  for (const id of [quotation.id, quotation.sender_id]) assert.match(id, ID);
  assert.ok(Number.isInteger(quotation.seq) && quotation.seq >= 1);
}

function checkMentions({ text, mentions }) {
  assert.ok(mentions.length > 0);
  for (const mention of mentions) {
    checkKeys(mention, ['user_id', 'offset', 'length']);
    assert.match(mention.user_id, ID);
    assert.ok(mention.offset + mention.length <= [...text].length);
  }
}

const FILE_KEYS = ['id', 'content_type', 'size', 'md5'];
const FILE_OPTIONS = ['sha256', 'file_name', 'width', 'height', 'duration_ms', 'blurhash'];

function checkAttachments(attachments) {
  assert.ok(attachments.length > 0);
  for (const attachment of attachments) {
    checkKeys(attachment, FILE_KEYS, [...FILE_OPTIONS, 'thumbnail']);
    checkFileValues(attachment);
    if (!attachment.thumbnail) continue;
    checkKeys(attachment.thumbnail, FILE_KEYS, FILE_OPTIONS);
    checkFileValues(attachment.thumbnail);
  }
}

function checkFileValues(file) {
  assert.match(file.id, ID);
  assert.match(file.md5, HASH);
  assert.ok(Number.isInteger(file.size) && file.size >= 1);
  if ('sha256' in file) assert.match(file.sha256, SHA256);
  for (const number of ['width', 'height', 'duration_ms']) assert.ok(!(number in file) || Number.isInteger(file[number]), number);
}

// Media as its owner sees it, before and after it was completed.
export function checkPendingMedia(media) {
  checkKeys(media, [...FILE_KEYS, 'state', 'created_at', 'expires_at', 'upload'], [...FILE_OPTIONS, 'thumbnail_id']);
  assert.equal(media.state, 'pending');
  checkFileValues(media);
  for (const time of ['created_at', 'expires_at']) assert.match(media[time], TIME);
  if (media.upload.kind === 'multipart') checkKeys(media.upload, ['kind', 'part_size', 'part_count', 'parts_url']);
  else checkSingleUpload(media.upload);
}

function checkSingleUpload(upload) {
  assert.equal(upload.kind, 'single');
  checkPresigned(upload, ['kind']);
}

// A request that a client is to send to the storage.
export function checkPresigned(presigned, extra = []) {
  checkKeys(presigned, ['method', 'url', 'headers', 'expires_at', ...extra]);
  assert.equal(presigned.method, 'PUT');
  assert.ok(new URL(presigned.url).searchParams.get('X-Amz-Signature'));
  assert.match(presigned.expires_at, TIME);
}

export function checkReadyMedia(media) {
  checkKeys(media, [...FILE_KEYS, 'state', 'created_at', 'url', 'url_expires_at'], [...FILE_OPTIONS, 'thumbnail_id', 'expires_at']);
  assert.equal(media.state, 'ready');
  checkFileValues(media);
  for (const time of ['created_at', 'url_expires_at']) assert.match(media[time], TIME);
}

// Media as somebody else sees it, who has it in a message.
export function checkSharedMedia(media) {
  const { state, url, url_expires_at, ...attachment } = media;
  assert.equal(state, 'ready');
  assert.ok(new URL(url).searchParams.get('X-Amz-Signature'));
  assert.match(url_expires_at, TIME);
  checkAttachments([attachment]);
}

export function checkKeys(object, required, optional = []) {
  const keys = Object.keys(object);
  const missing = required.filter((key) => !keys.includes(key));
  const surplus = keys.filter((key) => !required.includes(key) && !optional.includes(key));
  assert.deepEqual({ missing, surplus }, { missing: [], surplus: [] }, JSON.stringify(object));
}

// Exactly the bytes of a frame, by kind. Everything is one `data:` line.
const FRAME = {
  first: /^retry: \d+\nevent: ready\nid: \d+\ndata: \{[^\r\n]*\}\n\n$/,
  durable: /^event: [a-z]+\.[a-z]+\nid: \d+\ndata: \{[^\r\n]*\}\n\n$/,
  reset: /^event: reset\nid: \d+\ndata: \{[^\r\n]*\}\n\n$/,
  closing: /^retry: \d+\nevent: closing\ndata: \{[^\r\n]*\}\n\n$/,
  heartbeat: /^id: \d+\n\n$/,
};

export function checkFrame(frame, kind) {
  assert.match(frame.raw, FRAME[kind]);
}
