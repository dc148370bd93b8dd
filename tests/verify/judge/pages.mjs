// Checks of history over REST.

import { acknowledged } from '../records.mjs';
import { laterVersion } from './delivery.mjs';
import { covers, isMember, staysOf, visibleMessages } from './log.mjs';

function describe(walk) {
  return `history of chat ${walk.chat} (${walk.how}) by ${walk.user}`;
}

/** At the end, history is exactly what the streams delivered, each message as
 *  its last change left it. */
export function finalHistory({ records, log }, fail) {
  let items = 0;
  for (const walk of records.walks) {
    if (walk.during) continue;
    if (walk.status !== 200) {
      fail(`${describe(walk)} was answered ${walk.status}`);
      continue;
    }
    items += walk.items.length;
    const chat = log.chats.get(walk.chat);
    if (!chat) continue;
    const wanted = part(visibleMessages(chat, walk.user), walk);
    compareLists(walk, wanted, fail);
    for (const item of walk.items) checkState(log, chat, walk, item, fail);
  }
  return `${items} items`;
}

/** What of the visible messages this walk asks for. */
function part(messages, walk) {
  if (walk.how !== 'after') return messages;
  const anchor = BigInt(walk.anchor);
  return messages.filter((message) => message.id > anchor);
}

function compareLists(walk, wanted, fail) {
  const found = walk.items.map((item) => item.id);
  const index = wanted.findIndex((message, i) => found[i] !== message.idText);
  if (index < 0 && found.length === wanted.length) return;
  const present = new Set(found);
  const missing = wanted.filter((message) => !present.has(message.idText));
  if (missing.length > 0) fail(`${describe(walk)} lacks ${missing.length} messages, first ${missing[0].idText} (seq ${missing[0].seq})`);
  else fail(`${describe(walk)} has ${found.length} items for ${wanted.length} messages; first difference at item ${index + 1}: ${found[index < 0 ? wanted.length : index]}`);
}

function checkState(log, chat, walk, item, fail) {
  const message = chat.messages.get(item.id);
  if (!message) return;
  const last = message.versions.at(-1);
  if (laterVersion(log, walk.user, item) && item.text !== undefined) fail(`${describe(walk)} shows what message ${item.id} said after ${walk.user} had left`);
  if (item.withheld) {
    if (wholeExpected(chat, walk.user, last)) fail(`${describe(walk)} withholds message ${item.id}, which did not change after ${walk.user} had left`);
    return;
  }
  if (item.rev !== last.rev) fail(`${describe(walk)} shows message ${item.id} as of rev ${item.rev}, its last change was rev ${last.rev}`);
}

function wholeExpected(chat, user, last) {
  const fromBeginning = chat.record?.history === 'all' && isMember(chat, user);
  return fromBeginning || staysOf(chat, user).some((stay) => covers(stay, last.id));
}

/** A page read while everything moves: in order, without a hole within a stay,
 *  and nothing missing that was answered before it was asked for. */
export function pagesDuring({ records, log }, fail) {
  const answered = answeredByChat(records);
  let pages = 0;
  for (const walk of records.walks) {
    if (!walk.during || walk.status === null) continue;
    if (walk.status !== 200) {
      if (![404, 503].includes(walk.status)) fail(`${describe(walk)} was answered ${walk.status}`);
      continue;
    }
    pages += 1;
    checkOrder(log, walk, fail);
    if (walk.how === 'newest') checkFresh(log, walk, answered.get(walk.chat) ?? [], fail);
  }
  return `${pages} pages`;
}

function answeredByChat(records) {
  const chats = new Map();
  for (const post of records.posts) {
    const answer = acknowledged(post);
    if (!answer?.body?.id) continue;
    if (!chats.has(post.chat)) chats.set(post.chat, []);
    chats.get(post.chat).push({ id: BigInt(answer.body.id), end: answer.end, tag: post.tag });
  }
  return chats;
}

function checkOrder(log, walk, fail) {
  const stays = staysOf(log.chats.get(walk.chat), walk.user);
  const neverLeft = stays.length === 1 && stays[0].to === null;
  const fromBeginning = neverLeft && log.chats.get(walk.chat).record?.history === 'all';
  for (let i = 1; i < walk.items.length; i++) {
    const [a, b] = [walk.items[i - 1], walk.items[i]];
    const [idA, idB] = [BigInt(a.id), BigInt(b.id)];
    if (idA >= idB) fail(`${describe(walk)}: ${b.id} comes after ${a.id}`);
    const together = fromBeginning || stays.some((stay) => covers(stay, idA) && covers(stay, idB));
    if (together && b.seq !== a.seq + 1) fail(`${describe(walk)}: seq ${b.seq} follows ${a.seq}`);
  }
}

function checkFresh(log, walk, answered, fail) {
  const stays = staysOf(log.chats.get(walk.chat), walk.user);
  const ids = new Set(walk.items.map((item) => BigInt(item.id)));
  const oldest = walk.items.length > 0 ? BigInt(walk.items[0].id) : -1n;
  for (const { id, end, tag } of answered) {
    if (end >= walk.start || id < oldest || ids.has(id)) continue;
    if (stays.some((stay) => covers(stay, id))) fail(`${describe(walk)} lacks message ${id} (${tag}), which was answered before`);
  }
}

