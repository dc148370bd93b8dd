// What the users do: each actor is a loop that ends when the run stops, and
// every loop finishes the request it has begun.

import { setMaxListeners } from 'node:events';
import { acknowledged } from './records.mjs';
import { logIn } from './accounts.mjs';
import { sleepUnless } from './timing.mjs';

const FILLERS = [
  'plain words', 'Grüße aus Köln', '你好，世界', 'مرحبا', '😀👩‍👩‍👧‍👦', 'data: not a field', 'id: 7\n\nevent: x',
  'a "quoted" \\ text', 'line\r\nbreaks\n', '\u2028\u2029', '\t\u007f', '</script>',
];
const REMEMBERED_POSTS = 40;

export class Workload {
  /** `world`: {http, records, random, users, rate}; `readers.add(...)` opens a
   *  stream for a late device. */
  constructor(world) {
    Object.assign(this, world);
    this.chats = []; // {id, type, owner, members: Map id -> role, mayChange}
    this.byId = new Map(this.users.map((user) => [user.id, user]));
    this.own = new Map(this.users.map((user) => [user.id, []]));
    this.tags = 0;
    this.end = new AbortController();
    setMaxListeners(0, this.end.signal);
    this.onAcknowledged = () => {};
    this.onSent = () => {};
  }

  // ---- chats

  async createChat({ type, owner, members, title, history = 'from_join' }) {
    const operation = {
      id: null, type, title: title ?? null, history, owner, members: [...members], attempts: [],
    };
    this.records.chats.push(operation);
    this.tags += 1;
    const body = { type, member_ids: members };
    if (type === 'group') Object.assign(body, { title, history });
    await this.http.perform(operation, {
      method: 'POST', path: '/v1/chats', token: this.token(owner), body,
      headers: { 'Idempotency-Key': `chat-${this.tags}` },
    });
    operation.id = acknowledged(operation)?.body?.id ?? null;
    if (operation.id === null) return null;
    return this.rememberChat(operation);
  }

  rememberChat({ id, type, owner, members }) {
    const roles = new Map(members.map((member) => [member, 'member']));
    roles.set(owner, type === 'direct' ? 'member' : 'owner');
    return { id, type, owner, members: roles, titles: 0 };
  }

  /** Groups of different sizes, one of which shows its history to who joins,
   *  and one-to-one chats. */
  async setUp() {
    const ids = this.users.map((user) => user.id);
    const random = this.random.named('set up');
    for (const [i, share] of [0.3, 0.4, 0.5, 0.6, 0.4].entries()) {
      const owner = ids[i];
      const size = Math.max(3, Math.round(ids.length * share));
      const members = random.sample(ids.filter((id) => id !== owner), size);
      await this.open({
        type: 'group', owner, members, title: `group ${i + 1}`, history: i === 4 ? 'all' : 'from_join',
      });
    }
    for (const [a, b] of pairs(ids, 8, random)) {
      await this.open({ type: 'direct', owner: a, members: [b] });
    }
  }

  async open(wanted) {
    const chat = await this.createChat(wanted);
    if (!chat) throw new Error(`a chat could not be created: ${JSON.stringify(this.records.chats.at(-1))}`);
    this.chats.push(chat);
  }

  token(userId, random = this.random) {
    return random.pick(this.byId.get(userId).devices).token;
  }

  // ---- running

  start() {
    this.running = [
      ...this.users.map((user) => this.posterLoop(user)),
      ...this.groups().map((chat) => this.membershipLoop(chat)),
      ...this.groups().map((chat) => this.ownerLoop(chat)),
      this.scratchLoop(),
      this.pageLoop(1),
      this.pageLoop(2),
      this.newcomerLoop(),
    ];
  }

  get stopping() {
    return this.end.signal.aborted;
  }

  async stop() {
    this.end.abort();
    await Promise.all(this.running);
  }

  groups() {
    return this.chats.filter((chat) => chat.type === 'group');
  }

  async every(name, meanMs, act) {
    const random = this.random.named(name);
    while (!this.stopping) {
      await sleepUnless(this.end.signal, random.waiting(meanMs));
      if (!this.stopping) await act(random);
    }
  }

  // ---- messages

  posterLoop(user) {
    const mean = (1000 * this.users.length) / this.rate;
    return this.every(`poster ${user.name}`, mean, (random) => this.beActive(user, random));
  }

  async beActive(user, random) {
    const what = random.next();
    if (what < 0.08) return this.edit(user, random);
    if (what < 0.12) return this.deleteOwn(user, random);
    if (what < 0.15) return this.repeat(user, random);
    const chat = this.chatOf(user.id, random);
    if (!chat) return undefined;
    const posts = what > 0.97 ? 6 : 1;
    return Promise.all(Array.from({ length: posts }, () => this.post(user.id, chat, random)));
  }

  chatOf(userId, random) {
    const mine = this.chats.filter((chat) => chat.members.has(userId));
    return mine.length > 0 ? random.pick(mine) : null;
  }

  async post(userId, chat, random) {
    this.tags += 1;
    const tag = `t${this.tags}`;
    const post = { tag, user: userId, chat: chat.id, text: textOf(tag, random), attempts: [] };
    this.records.posts.push(post);
    await this.sendPost(post, random);
    const message = acknowledged(post)?.body;
    if (message) this.remember(userId, { chat: chat.id, message: message.id, post, busy: false });
    return message;
  }

  /** The key is the tag: the same on every attempt, whichever device sends it. */
  sendPost(post, random) {
    const request = () => {
      this.onSent();
      return {
        method: 'POST', path: `/v1/chats/${post.chat}/messages`, token: this.token(post.user, random),
        headers: { 'Idempotency-Key': post.tag }, body: { text: post.text, client_key: post.tag },
      };
    };
    return this.http.perform(post, request, (attempt) => {
      if (attempt.status === 201) this.onAcknowledged(attempt);
    });
  }

  remember(userId, sent) {
    const list = this.own.get(userId);
    list.push(sent);
    if (list.length > REMEMBERED_POSTS) list.shift();
  }

  /** One of the user's last messages that nothing else is changing now. */
  takeOwn(user, random) {
    const free = this.own.get(user.id).filter((sent) => !sent.busy && !sent.deleted);
    return free.length > 0 ? random.pick(free) : null;
  }

  async change(kind, userId, sent, text, random) {
    const change = { kind, user: userId, chat: sent.chat, message: sent.message, text, attempts: [] };
    this.records.changes.push(change);
    sent.busy = true;
    await this.http.perform(change, {
      method: kind === 'edit' ? 'PATCH' : 'DELETE',
      path: `/v1/chats/${sent.chat}/messages/${sent.message}`,
      token: this.token(userId, random),
      body: kind === 'edit' ? { text } : undefined,
    });
    sent.busy = false;
    if (kind === 'delete') sent.deleted = true;
  }

  async edit(user, random) {
    const sent = this.takeOwn(user, random);
    if (!sent) return;
    this.tags += 1;
    await this.change('edit', user.id, sent, textOf(`e${this.tags}`, random), random);
  }

  async deleteOwn(user, random) {
    const sent = this.takeOwn(user, random);
    if (sent) await this.change('delete', user.id, sent, undefined, random);
  }

  /** The same key again, long after the answer. */
  async repeat(user, random) {
    const sent = this.takeOwn(user, random);
    if (sent) await this.sendPost(sent.post, random);
  }

  // ---- chats and their members

  ownerLoop(chat) {
    return this.every(`owner ${chat.id}`, 1500, (random) =>
      (random.chance(0.5) ? this.rename(chat, random) : this.deleteForeign(chat, random)));
  }

  async rename(chat, random) {
    chat.titles += 1;
    const operation = { kind: 'rename', user: chat.owner, chat: chat.id, attempts: [] };
    this.records.others.push(operation);
    await this.http.perform(operation, {
      method: 'PATCH', path: `/v1/chats/${chat.id}`, token: this.token(chat.owner, random),
      body: { title: `renamed ${chat.titles}` },
    });
  }

  /** The owner deletes what somebody else wrote. */
  async deleteForeign(chat, random) {
    const others = [...this.own.values()].flat().filter((sent) =>
      sent.chat === chat.id && sent.post.user !== chat.owner && !sent.deleted);
    if (others.length === 0) return;
    const { message, chat: chatId } = random.pick(others);
    await this.change('delete', chat.owner, { message, chat: chatId }, undefined, random);
  }

  membershipLoop(chat) {
    return this.every(`members ${chat.id}`, 600, (random) => this.changeMembers(chat, random));
  }

  /** One change at a time in each chat, so that the order of the answers is
   *  the order in which they happened. */
  changeMembers(chat, random) {
    const outside = this.users.map((user) => user.id).filter((id) => !chat.members.has(id));
    const inside = [...chat.members.keys()].filter((id) => id !== chat.owner);
    const what = random.next();
    if (inside.length > 3 && (what < 0.4 || outside.length === 0)) {
      return this.removeMember(chat, random.pick(inside), random);
    }
    if (what < 0.8 && outside.length > 0) return this.addMember(chat, random.pick(outside), random);
    return this.changeRole(chat, random.pick(inside), random);
  }

  async addMember(chat, userId, random) {
    const admins = [...chat.members].filter(([, role]) => role === 'admin').map(([id]) => id);
    const by = admins.length > 0 && random.chance(0.4) ? random.pick(admins) : chat.owner;
    await this.changeMembership({ kind: 'add', chat: chat.id, user: userId, by, role: 'member' }, random);
    chat.members.set(userId, 'member');
  }

  async removeMember(chat, userId, random) {
    const by = random.chance(0.5) ? userId : chat.owner;
    chat.members.delete(userId);
    await this.changeMembership({ kind: 'remove', chat: chat.id, user: userId, by }, random);
  }

  async changeRole(chat, userId, random) {
    const role = chat.members.get(userId) === 'admin' ? 'member' : 'admin';
    await this.changeMembership({ kind: 'role', chat: chat.id, user: userId, by: chat.owner, role }, random);
    chat.members.set(userId, role);
  }

  async changeMembership(change, random) {
    change.attempts = [];
    this.records.memberships.push(change);
    await this.http.perform(change, {
      method: change.kind === 'remove' ? 'DELETE' : 'PUT',
      path: `/v1/chats/${change.chat}/members/${change.user}`,
      token: this.token(change.by, random),
      body: change.kind === 'remove' ? undefined : { role: change.role },
    });
  }

  /** Chats that come and go. */
  scratchLoop() {
    return this.every('scratch', 3000, async (random) => {
      const [owner, ...members] = random.sample(this.users.map((user) => user.id), 4);
      this.tags += 1;
      const chat = await this.createChat({ type: 'group', owner, members, title: `scratch ${this.tags}` });
      if (!chat) return;
      for (let i = 0; i < 3; i++) await this.post(random.pick([owner, ...members]), chat, random);
      const operation = { kind: 'delete chat', user: owner, chat: chat.id, attempts: [] };
      this.records.others.push(operation);
      await this.http.perform(operation, {
        method: 'DELETE', path: `/v1/chats/${chat.id}`, token: this.token(owner, random),
      });
    });
  }

  // ---- reading while everything moves

  pageLoop(number) {
    return this.every(`pages ${number}`, 120, async (random) => {
      const user = random.pick(this.users);
      const chat = this.chatOf(user.id, random);
      if (chat) await this.readPage(user, chat, random);
    });
  }

  async readPage(user, chat, random) {
    const limit = random.between(1, 100);
    const anchor = random.pick(this.own.get(user.id).filter((sent) => sent.chat === chat.id) ?? []);
    const how = anchor && random.chance(0.5) ? random.pick(['before', 'after', 'around']) : 'newest';
    const query = how === 'newest' ? '' : `&${how}=${anchor.message}`;
    const attempt = await this.http.attempt({
      method: 'GET', path: `/v1/chats/${chat.id}/messages?limit=${limit}${query}`,
      token: this.token(user.id, random),
    });
    this.records.walks.push({
      user: user.id, chat: chat.id, during: true, how, anchor: how === 'newest' ? null : anchor.message,
      limit, start: attempt.start, end: attempt.end, status: attempt.status,
      items: (attempt.body?.items ?? []).map((item) => this.records.message(item)),
    });
  }

  /** A device that logs in late: it lists the chats, then streams from as_of. */
  newcomerLoop() {
    const users = this.random.named('newcomers').sample(this.users, this.users.length);
    return this.every('newcomer', 4000, async () => {
      const user = users.pop();
      const added = user && await logIn(this.http, this.records, user);
      if (!added) return;
      const asOf = await this.takeSnapshot(user.id, added.token);
      if (asOf) this.addReader({ user, device: added, from: asOf, name: `${user.name}/late` });
    });
  }

  async takeSnapshot(userId, token) {
    const operation = { attempts: [] };
    const attempt = await this.http.perform(operation, { method: 'GET', path: '/v1/chats?limit=100', token });
    const { as_of: asOf = null, items = [], next = null } = attempt.body ?? {};
    this.records.snapshots.push({ user: userId, status: attempt.status, asOf, items, whole: next === null });
    return asOf;
  }
}

function pairs(ids, count, random) {
  const found = new Map();
  while (found.size < count) {
    const [a, b] = random.sample(ids, 2);
    found.set([a, b].sort().join(' '), [a, b]);
  }
  return [...found.values()];
}

function textOf(tag, random) {
  const filler = random.pick(FILLERS);
  const times = random.chance(0.02) ? random.between(50, 400) : random.between(1, 4);
  return `${tag} ${filler.repeat(times)}`;
}
