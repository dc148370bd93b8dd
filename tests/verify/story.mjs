// A short run made by hand, for the judge's own tests: a group in which Ann
// (11, two devices) and Bob (12) talk; Cid (13) joins; Bob leaves; afterwards
// messages change that Bob has seen.

import { bodyHash, FIRST_CHAIN, nextChain } from './judge/chain.mjs';
import { Records } from './records.mjs';

export const CHAT = '100';
export const ANN = '11';
export const BOB = '12';
export const CID = '13';
const TIME = '2026-11-21T01:02:03.456Z';

export function frameText({ type, id, json, retry, named = true }) {
  return [
    ...(retry ? [`retry: ${retry}`] : []),
    ...(named ? [`event: ${type}`] : []),
    ...(id ? [`id: ${id}`] : []),
    `data: ${JSON.stringify({ type, ...json })}`,
  ].join('\n');
}

class Story {
  constructor() {
    this.records = new Records({ minimum: { 'messages acknowledged': 3 } });
    this.events = []; // {id, type, json, sees: users}
    this.members = new Set();
    this.stays = new Map();
    this.messages = []; // as they are now
    this.rev = 0;
    this.chain = FIRST_CHAIN;
  }

  // ---- the log

  nextId() {
    return String((BigInt(this.events.length + 1) << 16n) + 7n);
  }

  event(type, actor, json, also = []) {
    this.rev += 1;
    const event = {
      id: this.nextId(), type, sees: [...this.members, ...also],
      json: { chat_id: CHAT, rev: this.rev, actor_id: actor, ...json },
    };
    this.events.push(event);
    return event;
  }

  create(owner, others) {
    this.members = new Set([owner, ...others]);
    this.records.chats.push({
      id: CHAT, type: 'group', title: 'group', history: 'from_join', owner, members: others,
      attempts: [this.attempt(201, { id: CHAT })],
    });
    this.event('chat.created', owner, { chat: { id: CHAT, title: 'group' } });
  }

  userEvent(user) {
    this.events.push({ id: this.nextId(), type: 'device.added', sees: [user], json: { device: { id: '900' } } });
  }

  attempt(status, body) {
    return { start: this.records.tick(), end: this.records.tick(), status, body };
  }

  post(user, text) {
    const seq = this.messages.length + 1;
    const salt = String(seq).padStart(32, '0');
    this.chain = nextChain(this.chain, seq, user, bodyHash(salt, text));
    const tag = `t${seq}`;
    const message = {
      id: this.nextId(), chat_id: CHAT, sender_id: user, seq, rev: this.rev + 1, text, client_key: tag,
      created_at: TIME, chain: this.chain, salt,
    };
    this.messages.push(message);
    const { id } = this.event('message.created', user, { message: { ...message } });
    this.records.posts.push({ tag, user, chat: CHAT, text, attempts: [this.attempt(201, { ...message })] });
    return id;
  }

  change(kind, user, id, text) {
    const message = this.messages.find((candidate) => candidate.id === id);
    message.body_hash ??= bodyHash(message.salt, message.text);
    delete message.salt;
    message.rev = this.rev + 1;
    if (kind === 'edit') Object.assign(message, { text, edited_at: TIME });
    else {
      delete message.text;
      delete message.client_key;
      Object.assign(message, { deleted: true, deleted_at: TIME });
    }
    this.event(kind === 'edit' ? 'message.edited' : 'message.deleted', user, { message: { ...message } });
    const attempt = kind === 'edit' ? this.attempt(200, { ...message }) : this.attempt(204);
    this.records.changes.push({ kind, user, chat: CHAT, message: id, text, attempts: [attempt] });
  }

  add(user) {
    const change = { kind: 'add', chat: CHAT, user, by: ANN, role: 'member', attempts: [this.attempt(201)] };
    this.records.memberships.push(change);
    this.members.add(user);
    this.event('member.added', ANN, { member: { user_id: user, role: 'member' } });
  }

  remove(user) {
    const change = { kind: 'remove', chat: CHAT, user, by: ANN, attempts: [this.attempt(204)] };
    this.records.memberships.push(change);
    this.members.delete(user);
    this.event('member.removed', ANN, { member: { user_id: user } }, [user]);
  }

  // ---- what was read

  frame({ type, id, json }) {
    return this.records.frame(frameText({ type, id, json }));
  }

  ready(id) {
    return this.records.frame(frameText({ type: 'ready', id, retry: 2000, json: { id } }));
  }

  connection(resume, frames) {
    const at = resume ?? '1';
    return {
      resume, start: this.records.tick(), end: this.records.tick(), status: 200, ending: 'broken',
      frames: [this.ready(at), ...frames],
    };
  }

  /** Two connections: one to the middle, the other from there; a heartbeat at
   *  the end. */
  reader(name, user) {
    const seen = this.events.filter((event) => event.sees.includes(user));
    const half = Math.ceil(seen.length / 2);
    const head = this.events.at(-1).id;
    this.records.readers.push({
      name, user, device: name, named: true, from: null,
      connections: [
        this.connection(null, seen.slice(0, half).map((event) => this.frame(event))),
        this.connection(seen[half - 1].id, [
          ...seen.slice(half).map((event) => this.frame(event)), this.records.frame(`id: ${head}`),
        ]),
      ],
    });
  }

  walk(user, how, items, more = {}) {
    this.records.walks.push({
      user, chat: CHAT, how, during: false, anchor: null, start: this.records.tick(), end: this.records.tick(),
      status: 200, items, ...more,
    });
  }

  head() {
    const last = this.events.filter((event) => event.json.chat_id === CHAT).at(-1);
    return {
      chat: CHAT, user: ANN, status: 200,
      body: {
        id: CHAT, last_rev: this.rev, last_id: last.id, last_seq: this.messages.length,
        member_count: this.members.size,
      },
      members: [...this.members].map((id) => ({ user_id: id, role: id === ANN ? 'owner' : 'member' })),
    };
  }
}

/** The message as a former member sees it that it changed after the leaving. */
function withheld({ id, chat_id, sender_id, seq, rev, created_at, chain, body_hash }) {
  return { id, chat_id, sender_id, seq, rev, created_at, chain, withheld: true, body_hash };
}

/** Records in which nothing is wrong. */
export function goodRecords() {
  const story = new Story();
  story.records.users.push({ id: ANN, name: 'ann' }, { id: BOB, name: 'bob' }, { id: CID, name: 'cid' });
  story.create(ANN, [BOB]);
  const one = story.post(ANN, 'one');
  const two = story.post(BOB, 'two');
  story.add(CID);
  story.userEvent(ANN);
  story.change('edit', ANN, one, 'uno');
  const three = story.post(CID, 'three');
  const asOf = story.events.at(-1).id;
  story.remove(BOB);
  story.change('delete', ANN, two);
  story.change('edit', CID, three, 'tres');
  story.post(ANN, 'four');

  story.reader('ann/1', ANN);
  story.reader('ann/2', ANN);
  story.reader('bob/1', BOB);
  story.reader('cid/1', CID);
  const [first, second, third, fourth] = story.messages;
  story.walk(ANN, 'before', [first, second, third, fourth]);
  story.walk(ANN, 'after', [second, third, fourth], { anchor: first.id });
  story.walk(BOB, 'before', [first, second, withheld(third)]);
  story.walk(CID, 'before', [third, fourth]);
  story.walk(ANN, 'newest', [third, fourth], { during: true, limit: 2 });
  const head = story.head();
  story.records.heads.push(head);
  story.records.snapshots.push({ user: ANN, status: 200, asOf, whole: true, items: [{ ...head.body }] });
  story.records.quiet.reached = true;
  return story.records;
}
