// Checks of each chat as a whole.

import { acknowledged, endedAt, outcome, startedAt } from '../records.mjs';
import { bodyHash, FIRST_CHAIN, nextChain } from './chain.mjs';
import { checkDense } from './delivery.mjs';
import { byPosition, isMember, name } from './log.mjs';

/** rev is 1, 2, 3 … over all events, seq over all messages, by id. */
export function denseInChats({ log }, fail) {
  let events = 0;
  for (const chat of log.chats.values()) {
    events += chat.events.length;
    if (chat.events[0].rev !== 1) fail(`chat ${chat.id} begins with ${name(chat.events[0])}`);
    const first = chat.events.find((event) => event.type === 'message.created');
    if (first && first.seq !== 1) fail(`the first message of chat ${chat.id} is ${name(first)}`);
    checkDense(chat.events, (problem) => fail(`chat ${chat.id}: ${problem}`));
  }
  return `${events} events in ${log.chats.size} chats`;
}

export function sameEventsEverywhere({ log }, fail) {
  for (const conflict of log.conflicts) fail(conflict);
  for (const chat of log.chats.values()) {
    if (!chat.record) fail(`chat ${chat.id} was made by nobody`);
    if (chat.events.filter((event) => event.type === 'chat.created').length > 1) fail(`chat ${chat.id} was created twice`);
  }
  return `${log.events.size} events`;
}

/** What is known of the hash of the original text. */
function bodyHashOf(message, contents, fail) {
  const known = new Set();
  for (const content of contents.of(message.idText)) {
    if (content.body_hash !== undefined) known.add(content.body_hash);
    if (content.salt !== undefined && content.text !== undefined) known.add(bodyHash(content.salt, content.text));
  }
  if (known.size > 1) fail(`message ${message.idText} has ${known.size} different body hashes: ${[...known].join(', ')}`);
  return [...known][0];
}

/** Recomputed from the first message of the chat on. */
export function chainRight({ log, contents }, fail) {
  let links = 0;
  for (const chat of log.chats.values()) {
    let chain = FIRST_CHAIN;
    const messages = [...chat.messages.values()].filter((message) => message.created).sort((a, b) => a.seq - b.seq);
    for (const message of messages) {
      const [content] = contents.of(message.idText);
      const body = bodyHashOf(message, contents, fail);
      if (!content || !body) {
        fail(`message ${message.idText} shows neither text with salt nor body_hash`);
        break;
      }
      chain = nextChain(chain, message.seq, content.sender_id, body);
      links += 1;
      if (content.chain === chain) continue;
      fail(`chat ${chat.id} seq ${message.seq}: chain is ${content.chain}, computed ${chain}`);
      break;
    }
  }
  return `${links} links`;
}

/** Who posts after an answer stands after what was answered. */
export function wallOrder({ records }, fail) {
  const chats = new Map();
  for (const post of records.posts) {
    const answer = acknowledged(post);
    if (!answer?.body?.id) continue;
    const item = { id: BigInt(answer.body.id), tag: post.tag, start: startedAt(post), end: answer.end };
    if (chats.has(post.chat)) chats.get(post.chat).push(item);
    else chats.set(post.chat, [item]);
  }
  let pairs = 0;
  for (const [chat, posts] of chats) {
    const answered = [...posts].sort((a, b) => a.end - b.end);
    let next = 0;
    let highest = null;
    for (const post of posts.sort((a, b) => a.start - b.start)) {
      for (; next < answered.length && answered[next].end < post.start; next++) {
        if (!highest || answered[next].id > highest.id) highest = answered[next];
      }
      if (!highest) continue;
      pairs += 1;
      if (post.id < highest.id) {
        fail(`chat ${chat}: ${post.tag} was sent after ${highest.tag} was answered, but has id ${post.id} < ${highest.id}`);
      }
    }
  }
  return `${pairs} posts`;
}

/** The memberships that the answers promise: {changes, role} by user. */
function promised(records, chat) {
  const users = new Map();
  const state = (user) => {
    if (!users.has(user)) users.set(user, { changes: [], role: null, unsure: false });
    return users.get(user);
  };
  const record = chat.record;
  for (const user of record.members) state(user).role = 'member';
  state(record.owner).role = record.type === 'direct' ? 'member' : 'owner';
  for (const change of records.memberships) {
    if (change.chat === chat.id) apply(state(change.user), change);
  }
  return users;
}

/** 200 for an addition and 404 for a removal say that an earlier attempt, whose
 *  answer was lost, had done it. */
function apply(state, { kind, role, attempts }) {
  const status = outcome({ attempts });
  const done = status === 200 || status === 201 || status === 204 || status === 404;
  if (!done || (kind !== 'remove' && status === 404)) {
    state.unsure = true;
    return;
  }
  if (kind === 'add') state.changes.push('member.added');
  if (kind === 'remove') state.changes.push('member.removed');
  state.role = kind === 'remove' ? null : role;
}

/** The log has exactly the joins and leaves that were answered. */
export function membershipsRight({ records, log }, fail) {
  let changes = 0;
  for (const chat of log.chats.values()) {
    if (!chat.record) continue;
    for (const [user, { changes: wanted, unsure }] of promised(records, chat)) {
      if (unsure) continue;
      changes += wanted.length;
      const found = chat.events
        .filter((event) => event.member === user && event.type !== 'member.updated')
        .map((event) => event.type);
      if (found.join() !== wanted.join()) {
        fail(`chat ${chat.id}, user ${user}: answered [${wanted.join(', ')}], in the log [${found.join(', ')}]`);
      }
    }
  }
  return `${changes} joins and leaves`;
}

/** At the end REST tells of each chat what the streams told. */
export function headsRight({ records, log }, fail) {
  for (const head of records.heads) {
    const chat = log.chats.get(head.chat);
    if (head.status !== 200 || !chat) {
      fail(`GET /v1/chats/${head.chat} by ${head.user} was answered ${head.status}`);
      continue;
    }
    const last = chat.events.at(-1);
    const messages = [...chat.messages.values()].filter((message) => message.created).sort(byPosition);
    const wanted = { last_rev: last.rev, last_id: last.idText, last_seq: messages.at(-1)?.seq ?? 0 };
    for (const [field, value] of Object.entries(wanted)) {
      if (head.body[field] !== value) fail(`chat ${head.chat}: ${field} is ${head.body[field]}, the streams ended at ${value}`);
    }
    checkMembers(records, chat, head, fail);
  }
  return `${records.heads.length} chats`;
}

function checkMembers(records, chat, head, fail) {
  if (!chat.record || !head.members) return;
  const listed = new Map(head.members.map(({ user_id: user, role }) => [user, role]));
  for (const [user, { role, unsure }] of promised(records, chat)) {
    if (unsure) continue;
    if ((listed.get(user) ?? null) !== role) fail(`chat ${chat.id}: user ${user} is listed as ${listed.get(user) ?? 'absent'}, answered as ${role ?? 'removed'}`);
    if (isMember(chat, user) !== listed.has(user)) fail(`chat ${chat.id}: user ${user} is ${listed.has(user) ? '' : 'not '}listed, the streams say otherwise`);
  }
  if (head.body.member_count !== head.members.length) fail(`chat ${chat.id}: member_count ${head.body.member_count}, ${head.members.length} listed`);
}

/** A user who lists chats and then streams from as_of misses nothing. */
export function snapshotsRight({ records, log }, fail) {
  for (const { user, status, asOf, items, whole } of records.snapshots) {
    if (status !== 200) {
      if (status !== null) fail(`GET /v1/chats by ${user} was answered ${status}`);
      continue;
    }
    if (!whole) continue;
    const listed = new Map(items.map((item) => [item.id, item]));
    for (const chat of log.chats.values()) checkSnapshot(chat, user, BigInt(asOf), listed.get(chat.id), fail);
  }
  return `${records.snapshots.length} snapshots`;
}

function checkSnapshot(chat, user, asOf, item, fail) {
  const stay = (chat.stays.get(user) ?? []).find(({ from, to }) => from <= asOf && to === null);
  if (!stay) return;
  const before = chat.events.filter((event) => event.id <= asOf).at(-1);
  if (!item) fail(`user ${user} listed its chats as of ${asOf} without chat ${chat.id}, where it has been since ${stay.from}`);
  else if (BigInt(item.last_id) < before.id) fail(`user ${user}'s list as of ${asOf} shows chat ${chat.id} at ${item.last_id}, before ${name(before)}`);
}

const EXPECTED = {
  'log in': [201],
  rename: [200],
  'delete chat': [204, 404],
  add: [200, 201],
  remove: [204, 404],
  role: [200],
};

/** Nothing was refused without a reason and nothing stayed unanswered. */
export function answersExpected({ records }, fail) {
  let answers = 0;
  const check = (operation, kind, allowed) => {
    answers += operation.attempts.length;
    const last = operation.attempts.at(-1);
    const faulty = operation.attempts.find(({ status }) => status >= 500 && status !== 503);
    const text = `${kind} by ${operation.by ?? operation.user ?? operation.owner} in chat ${operation.chat ?? operation.id ?? ''}`;
    if (faulty) fail(`${text} was answered ${faulty.status} ${JSON.stringify(faulty.body)}`);
    else if (!last || last.status === null || last.status === 503) fail(`${text} was never answered (${last?.error ?? last?.status})`);
    else if (!allowed.includes(last.status)) fail(`${text} was answered ${last.status} ${JSON.stringify(last.body)}`);
  };
  for (const chat of records.chats) check(chat, 'create chat', [200, 201]);
  for (const other of records.others) check(other, other.kind, EXPECTED[other.kind]);
  for (const change of records.memberships) check(change, change.kind, EXPECTED[change.kind]);
  for (const post of records.posts) check(post, `post ${post.tag}`, mayHaveLeft(records, post) ? [200, 201, 404] : [200, 201]);
  for (const change of records.changes) check(change, `${change.kind} ${change.message}`, allowedForChange(records, change));
  return `${answers} attempts`;
}

/** Was a removal of this user, or of the chat, under way or done before the
 *  operation ended? */
function mayHaveLeft(records, operation) {
  const before = (other) => other.chat === operation.chat && startedAt(other) < endedAt(operation);
  return records.memberships.some((change) => change.kind === 'remove' && change.user === operation.user && before(change)) ||
    records.others.some((other) => other.kind === 'delete chat' && before(other));
}

function allowedForChange(records, change) {
  const allowed = change.kind === 'edit' ? [200] : [204];
  if (mayHaveLeft(records, change)) allowed.push(404);
  const deleted = change.kind === 'edit' && records.changes.some((other) => other.kind === 'delete' &&
    other.message === change.message && startedAt(other) < endedAt(change));
  if (deleted) allowed.push(409);
  return allowed;
}
