// Checks of each message: what it says, wherever it was seen.

import { acknowledged, outcome, startedAt } from '../records.mjs';
import { isMessageEvent } from './log.mjs';
import { versionOf } from './delivery.mjs';

const FIELDS = [
  'chat_id', 'sender_id', 'seq', 'text', 'client_key', 'created_at', 'edited_at', 'chain', 'salt', 'body_hash',
  'deleted', 'deleted_at',
];

/** All the different things that were said about each message: on streams, in
 *  answers and in history. */
export class Contents {
  constructor(records, log) {
    this.messages = new Map(); // message id -> Map of text of content -> {content, where}
    for (const event of log.events.values()) {
      if (!isMessageEvent(event)) continue;
      for (const { json } of event.frames) this.add(json.message, `event ${event.idText}`);
    }
    for (const operation of [...records.posts, ...records.changes]) {
      for (const { status, body } of operation.attempts) {
        if (status === 200 || status === 201) this.add(body, `the answer to ${operation.tag ?? operation.kind}`);
      }
    }
    const seen = new Set();
    for (const walk of records.walks) {
      for (const item of walk.items) {
        if (!seen.has(item)) this.add(item, `history of chat ${walk.chat} read by ${walk.user}`);
        seen.add(item);
      }
    }
  }

  add(content, where) {
    if (typeof content?.id !== 'string') return;
    if (!this.messages.has(content.id)) this.messages.set(content.id, new Map());
    const said = this.messages.get(content.id);
    const key = JSON.stringify(content);
    if (!said.has(key)) said.set(key, { content, where });
  }

  /** The contents of one message. */
  of(id) {
    return [...(this.messages.get(id)?.values() ?? [])].map(({ content }) => content);
  }
}

/** With its chat every message is deleted, at the rev that it has: its text goes, what the chain is checked with stays. */
const wentWithChat = (log, content) => Boolean(log.chats.get(content.chat_id)?.deleted && content.deleted);

const isWhole = (content) => !content.withheld && content.rev !== undefined;

/** One rev of a message says the same everywhere, and is an event of the chat. */
export function sameContent({ log, contents }, fail) {
  let compared = 0;
  for (const [id, said] of contents.messages) {
    const byRev = new Map();
    for (const { content, where } of said.values()) {
      compared += 1;
      if (!isWhole(content)) {
        checkWithheld(id, content, where, fail);
        continue;
      }
      if (wentWithChat(log, content)) {
        checkBlank(id, content, where, fail);
        continue;
      }
      const chat = log.chats.get(content.chat_id);
      if (chat && !versionOf(chat, content)) fail(`message ${id} has rev ${content.rev} in ${where}; no event of chat ${content.chat_id} gave it that`);
      const first = byRev.get(content.rev);
      if (first) compare(id, first, { content, where }, fail);
      else byRev.set(content.rev, { content, where });
    }
  }
  return `${compared} different contents of ${contents.messages.size} messages`;
}

function compare(id, a, b, fail) {
  for (const field of FIELDS) {
    const [one, other] = [a.content[field], b.content[field]];
    if (one !== other) fail(`message ${id} rev ${a.content.rev}: ${field} is ${brief(one)} in ${a.where}, ${brief(other)} in ${b.where}`);
  }
}

const brief = (value) => JSON.stringify(value)?.slice(0, 80) ?? 'absent';

function checkBlank(id, content, where, fail) {
  for (const field of ['text', 'client_key', 'salt']) if (content[field] !== undefined) fail(`message ${id} is deleted in ${where}, yet has ${field}`);
  if (content.body_hash === undefined) fail(`message ${id} is deleted in ${where} without its body_hash`);
}

function checkWithheld(id, content, where, fail) {
  if (content.text !== undefined || content.salt !== undefined) fail(`message ${id} is withheld in ${where}, yet shows ${content.text === undefined ? 'its salt' : 'its text'}`);
}

/** Which message ids carry each post's key. */
function idsByKey(contents) {
  const ids = new Map();
  for (const [id, said] of contents.messages) {
    for (const { content } of said.values()) {
      if (content.client_key === undefined) continue;
      if (!ids.has(content.client_key)) ids.set(content.client_key, new Set());
      ids.get(content.client_key).add(id);
    }
  }
  return ids;
}

/** Answered posts exist once, unanswered ones at most once, refused ones not. */
export function postsOnce({ records, log, contents }, fail) {
  const ids = idsByKey(contents);
  const known = new Set();
  for (const post of records.posts) {
    const found = new Set(ids.get(post.tag) ?? []);
    for (const { status, body } of post.attempts) if (status === 200 || status === 201) found.add(body.id);
    for (const id of found) known.add(id);
    if (found.size > 1) fail(`${post.tag} by ${post.user} in chat ${post.chat} became ${found.size} messages: ${[...found].join(', ')}`);
    if (found.size > 0 && wasRefused(post)) fail(`${post.tag} by ${post.user} was refused with ${outcome(post)} and is there as ${[...found].join()}`);
  }
  for (const chat of log.chats.values()) {
    for (const id of chat.messages.keys()) if (!known.has(id)) fail(`message ${id} of chat ${chat.id} was posted by nobody`);
  }
  return `${records.posts.length} posts`;
}

/** Every attempt was answered, and none with success. */
function wasRefused(operation) {
  return operation.attempts.length > 0 && operation.attempts.every(({ status }) => status >= 400 && status < 500 && status !== 429);
}

/** A message's first content is what was posted, by whom and where. */
export function postsAsSent({ records, log, contents }, fail) {
  let checked = 0;
  for (const post of records.posts) {
    const answer = acknowledged(post)?.body;
    if (!answer) continue;
    const created = log.events.get(answer.id);
    for (const content of contents.of(answer.id)) {
      checked += 1;
      if (content.sender_id !== post.user) fail(`message ${answer.id} (${post.tag}) was posted by ${post.user}, shown as from ${content.sender_id}`);
      if (content.chat_id !== post.chat) fail(`message ${answer.id} (${post.tag}) was posted to chat ${post.chat}, shown in ${content.chat_id}`);
      if (content.rev === created?.rev && !wentWithChat(log, content) && content.text !== post.text) fail(`message ${answer.id} (${post.tag}) was ${brief(post.text)}, shown as ${brief(content.text)}`);
    }
  }
  return `${checked} contents`;
}

/** The changes asked for, by message. */
function changesByMessage(records) {
  const map = new Map();
  for (const change of records.changes) {
    if (!map.has(change.message)) map.set(change.message, []);
    map.get(change.message).push(change);
  }
  return map;
}

/** Answered edits and deletions are what the message finally says; nothing
 *  else is; and nothing follows a deletion. */
export function changesReflected({ records, log, contents }, fail) {
  const asked = changesByMessage(records);
  let changed = 0;
  for (const chat of log.chats.values()) {
    for (const message of chat.messages.values()) {
      const changes = asked.get(message.idText) ?? [];
      changed += changes.length;
      checkVersions({ log, contents }, message, changes, fail);
    }
  }
  return `${changed} edits and deletions`;
}

function checkVersions(evidence, message, changes, fail) {
  const edits = changes.filter((change) => change.kind === 'edit' && !wasRefused(change));
  const deletions = changes.filter((change) => change.kind === 'delete' && !wasRefused(change));
  const types = message.versions.map((version) => version.type);
  const deletedAt = types.indexOf('message.deleted');
  const gone = deletedAt >= 0;
  if (gone && deletedAt !== types.length - 1) fail(`message ${message.idText} has ${types.slice(deletedAt + 1).join(', ')} after its deletion`);
  if (gone && deletions.length === 0) fail(`message ${message.idText} was deleted by nobody`);
  if (!gone && deletions.some(acknowledged)) fail(`the deletion of message ${message.idText} was answered 204, no device was told`);
  for (const edit of edits) checkEdit(message, edit, fail);
  if (!gone) checkFinalText(evidence, message, edits, fail);
}

function checkEdit(message, edit, fail) {
  const answer = acknowledged(edit)?.body;
  if (!answer) return;
  const version = message.versions.find((event) => event.rev === answer.rev);
  if (!version) fail(`an edit of message ${message.idText} was answered with rev ${answer.rev}, no device was told`);
  else if (answer.text !== edit.text && version.type === 'message.edited') fail(`an edit of message ${message.idText} to ${brief(edit.text)} was answered with ${brief(answer.text)}`);
}

/** The last answered edit, or one that was sent after it and never answered. */
function checkFinalText({ log, contents }, message, edits, fail) {
  const last = message.versions.at(-1);
  const final = contents.of(message.idText)
    .find((content) => isWhole(content) && !wentWithChat(log, content) && content.rev === last.rev);
  if (!final) return;
  const ordered = [...edits].sort((a, b) => startedAt(a) - startedAt(b));
  const lastAnswered = ordered.findLastIndex((edit) => acknowledged(edit));
  const possible = new Set(ordered.slice(Math.max(0, lastAnswered)).map((edit) => edit.text));
  if (lastAnswered < 0 && last.type === 'message.created') return;
  if (!possible.has(final.text)) fail(`message ${message.idText} finally says ${brief(final.text)}, its last edit was ${brief(ordered[lastAnswered]?.text)}`);
}
