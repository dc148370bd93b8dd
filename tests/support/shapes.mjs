// What the API's objects look like. Keys are exact: a field nobody promised is a leak.
import assert from 'node:assert/strict';

export const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
export const ID = /^[1-9]\d{0,18}$/;
export const TOKEN = /^[A-Za-z0-9_-]{43}$/;
const HASH = /^[0-9a-f]{32}$/;

export function checkUser(user) {
  checkKeys(user, ['id', 'username', 'display_name', 'created_at']);
  assert.match(user.id, ID);
  assert.match(user.created_at, TIME);
}

export function checkDevice(device, extra = []) {
  checkKeys(device, ['id', 'name', 'created_at', ...extra]);
  assert.match(device.id, ID);
  assert.match(device.created_at, TIME);
}

export function checkList(list) {
  checkKeys(list, ['items', 'next', 'as_of']);
  assert.ok(Array.isArray(list.items));
  assert.match(list.as_of, /^\d+$/);
}

const CHAT_KEYS = ['id', 'type', 'title', 'history', 'rev', 'last_seq', 'last_rev', 'last_id', 'member_count', 'created_at', 'created_by'];

// A chat as REST answers it.
export function checkChat(chat) {
  const own = chat.type === 'direct' ? ['my_role', 'peer_id', 'member_ids'] : ['my_role'];
  checkKeys(chat, [...CHAT_KEYS, ...own]);
  checkChatValues(chat);
}

// A chat inside an event, which is the same for every recipient.
export function checkEventChat(chat) {
  checkKeys(chat, chat.type === 'direct' ? [...CHAT_KEYS, 'member_ids'] : CHAT_KEYS);
  checkChatValues(chat);
}

function checkChatValues(chat) {
  assert.match(chat.id, ID);
  assert.match(chat.created_at, TIME);
  for (const number of ['rev', 'last_seq', 'last_rev', 'member_count']) assert.ok(Number.isInteger(chat[number]), number);
}

const MESSAGE_KEYS = ['id', 'chat_id', 'sender_id', 'seq', 'rev', 'created_at', 'chain'];

// A message nobody changed, as it was posted.
export function checkNewMessage(message) {
  checkKeys(message, [...MESSAGE_KEYS, 'text', 'salt'], ['client_key']);
  checkMessageValues(message);
  assert.match(message.salt, HASH);
}

export function checkEditedMessage(message) {
  checkKeys(message, [...MESSAGE_KEYS, 'text', 'edited_at', 'body_hash'], ['client_key']);
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

function checkMessageValues(message) {
  for (const id of ['id', 'chat_id', 'sender_id']) assert.match(message[id], ID);
  for (const number of ['seq', 'rev']) assert.ok(Number.isInteger(message[number]) && message[number] >= 1, number);
  assert.match(message.created_at, TIME);
  assert.match(message.chain, HASH);
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
