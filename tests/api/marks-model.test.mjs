// Chats, marks and settings against a simple model: many random actions of several users on two devices each, and after each what they changed is what
// the server says; now and then everything is compared, and the server is stopped or killed and comes back.
//
// PARLEY_SEED repeats a run, PARLEY_STEPS sets its length in actions.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { addMember, createGroup, expectProblem, expectStatus, logIn, postMessage, registerMany, removeMember } from '../support/client.mjs';
import { allStored } from '../support/marks.mjs';
import { startServerFor } from '../support/server.mjs';
import { checkChatList } from '../support/shapes.mjs';
import { Random } from '../verify/random.mjs';

const SEED = Number(process.env.PARLEY_SEED ?? randomInt(2 ** 31));
const STEPS = Number(process.env.PARLEY_STEPS ?? 3000);
const CHATS = 6;
const NO_SETTINGS = { muted_until: null, archived: false, pinned: false, draft: null };

// ---- The model

class ModelChat {
  messages = []; // {id, seq, sender, deleted}
  members = new Map(); // user -> {readSeq, joinedId, settings}
  activity = 0;

  constructor(chat, owner) {
    this.chat = chat;
    this.owner = owner;
  }

  get lastSeq() {
    return this.messages.length;
  }

  join(user, joinedId) {
    this.members.set(user, { readSeq: this.lastSeq, joinedId, settings: NO_SETTINGS });
  }

  // The last message that was posted while the user was there, and is still a member.
  lastSeen(user) {
    const last = this.messages.at(-1);
    return last && BigInt(last.id) > BigInt(this.members.get(user).joinedId) ? last : null;
  }

  deliveredSeq(user, deliveredId) {
    const delivered = this.messages.findLast((message) => BigInt(message.id) <= deliveredId);
    return Math.max(delivered?.seq ?? 0, this.members.get(user).readSeq);
  }
}

class Model {
  chats = [];
  delivered = new Map(); // user -> the highest id acknowledged
  hiding = new Set();
  clock = 0;

  touch(chat) {
    chat.activity = ++this.clock;
  }

  chatsOf(user) {
    return this.chats.filter((chat) => chat.members.has(user)).sort((a, b) => b.activity - a.activity);
  }

  unreadTotal(user) {
    return this.chatsOf(user).reduce((sum, chat) => sum + chat.lastSeq - chat.members.get(user).readSeq, 0);
  }
}

// ---- Actions

class Run {
  model = new Model();
  users = [];
  counts = {};

  constructor(server, random) {
    this.server = server;
    this.random = random;
  }

  async prepare() {
    const accounts = await registerMany(this.server, 'ann', 'ben', 'cai', 'dee', 'eli');
    for (const account of accounts) this.users.push({ id: account.id, devices: [account, await logIn(account)] });
    for (const user of this.users) this.model.delivered.set(user, 0n);
    for (let i = 0; i < CHATS; i++) {
      const chat = new ModelChat(await createGroup(this.users[0].devices[0]), this.users[0]);
      chat.join(this.users[0], chat.chat.last_id);
      this.model.touch(chat);
      this.model.chats.push(chat);
    }
  }

  device(user) {
    return this.random.pick(user.devices);
  }

  // A chat and one of its members.
  seat() {
    const chat = this.random.pick(this.model.chats);
    return { chat, user: this.random.pick([...chat.members.keys()]) };
  }

  async post() {
    const { chat, user } = this.seat();
    const message = await postMessage(this.device(user), chat.chat, `text ${this.model.clock}`);
    assert.equal(message.seq, chat.lastSeq + 1);
    chat.messages.push({ id: message.id, seq: message.seq, sender: user, deleted: false });
    chat.members.get(user).readSeq = message.seq;
    this.model.touch(chat);
  }

  async read() {
    const { chat, user } = this.seat();
    const own = chat.members.get(user);
    const seq = this.random.between(0, chat.lastSeq + 2);
    const answer = await this.device(user).put(`/v1/chats/${chat.chat.id}/read`, { seq });
    if (seq > chat.lastSeq) {
      expectProblem(answer, 400, 'bad_field', 'seq');
      return;
    }
    own.readSeq = Math.max(own.readSeq, seq);
    assert.deepEqual(expectStatus(answer, 200), {
      read_seq: own.readSeq, unread: chat.lastSeq - own.readSeq, unread_total: this.model.unreadTotal(user),
    });
  }

  async acknowledge() {
    const user = this.random.pick(this.users);
    const { messages } = this.random.pick(this.model.chats);
    if (messages.length === 0) return;
    const { id } = this.random.pick(messages);
    expectStatus(await this.device(user).post('/v1/events/ack', { id }), 204);
    if (BigInt(id) > this.model.delivered.get(user)) this.model.delivered.set(user, BigInt(id));
  }

  async join() {
    const chat = this.random.pick(this.model.chats);
    const outside = this.users.filter((user) => !chat.members.has(user));
    if (outside.length === 0) return;
    const user = this.random.pick(outside);
    await addMember(this.device(chat.owner), chat.chat, user);
    const { last_id } = expectStatus(await this.device(user).get(`/v1/chats/${chat.chat.id}`), 200);
    chat.join(user, last_id);
    this.model.touch(chat);
  }

  async leave() {
    const { chat, user } = this.seat();
    if (user === chat.owner) return;
    await removeMember(this.device(user), chat.chat, user);
    chat.members.delete(user);
    this.model.touch(chat);
    expectProblem(await this.device(user).put(`/v1/chats/${chat.chat.id}/read`, { seq: 0 }), 404, 'not_found');
  }

  async delete() {
    const chat = this.random.pick(this.model.chats);
    const own = chat.messages.filter((message) => !message.deleted && message.sender === chat.owner && chat.members.get(chat.owner));
    if (own.length === 0) return;
    const message = this.random.pick(own);
    expectStatus(await this.device(chat.owner).delete(`/v1/chats/${chat.chat.id}/messages/${message.id}`), 204);
    message.deleted = true;
    this.model.touch(chat);
  }

  async set() {
    const { chat, user } = this.seat();
    const own = chat.members.get(user);
    const fields = this.random.pick([
      { archived: this.random.chance(0.5) },
      { pinned: this.random.chance(0.5) },
      { draft: this.random.pick([null, `draft ${this.model.clock}`]) },
      { muted_until: this.random.pick([null, '2040-01-02T03:04:05.678Z']) },
      { archived: true, pinned: true, draft: 'both' },
    ]);
    own.settings = { ...own.settings, ...fields };
    const answer = expectStatus(await this.device(user).patch(`/v1/chats/${chat.chat.id}/me`, fields), 200);
    compareSettings(answer, own.settings);
  }

  async hide() {
    const user = this.random.pick(this.users);
    const receipts = this.random.chance(0.5);
    expectStatus(await this.device(user).patch('/v1/users/me', { receipts }), 200);
    if (receipts) this.model.hiding.delete(user);
    else this.model.hiding.add(user);
  }

  async stop() {
    await this.server.stop();
    await this.server.restart();
  }

  async kill() {
    await allStored(this.server);
    await this.server.kill();
    await this.server.restart();
  }

  // ---- Comparing

  async compareList(user) {
    const limit = this.random.between(1, CHATS);
    const expected = this.model.chatsOf(user);
    const seen = [];
    for (let cursor = ''; cursor !== null;) {
      const page = expectStatus(await this.device(user).get(`/v1/chats?limit=${limit}${cursor && `&cursor=${cursor}`}`), 200);
      checkChatList(page);
      assert.equal(page.unread_total, this.model.unreadTotal(user));
      seen.push(...page.items);
      cursor = page.next;
    }
    assert.deepEqual(seen.map((item) => item.id), expected.map((chat) => chat.chat.id));
    expected.forEach((chat, i) => compareChat(seen[i], chat, user));
  }

  async compareReceipts(chat, user) {
    const answer = await this.device(user).get(`/v1/chats/${chat.chat.id}/receipts`);
    if (this.model.hiding.has(user)) {
      expectProblem(answer, 403, 'forbidden');
      return;
    }
    const shown = [...chat.members.keys()].filter((member) => !this.model.hiding.has(member));
    const expected = shown.map((member) => ({
      user_id: member.id,
      delivered_seq: chat.deliveredSeq(member, this.model.delivered.get(member)),
      read_seq: chat.members.get(member).readSeq,
    }));
    const byId = (a, b) => (BigInt(a.user_id) < BigInt(b.user_id) ? -1 : 1);
    assert.deepEqual(expectStatus(answer, 200).items, expected.sort(byId));
  }

  async compareMessage(chat, user) {
    const message = chat.lastSeen(user);
    if (message === null || this.model.hiding.has(user)) return;
    const { member_count, delivered_count, read_count, delivered, read } = expectStatus(
      await this.device(user).get(`/v1/chats/${chat.chat.id}/messages/${message.id}/receipts`), 200,
    );
    const forWhom = [...chat.members].filter(([member, { joinedId }]) => member !== message.sender && BigInt(joinedId) < BigInt(message.id));
    const shown = forWhom.map(([member]) => member).filter((member) => !this.model.hiding.has(member));
    const readers = shown.filter((member) => chat.members.get(member).readSeq >= message.seq);
    const receivers = shown.filter((member) => chat.deliveredSeq(member, this.model.delivered.get(member)) >= message.seq);
    const ids = (users) => users.map((one) => one.id).sort();
    assert.deepEqual(
      { member_count, delivered_count, read_count, delivered: delivered.sort(), read: read.sort() },
      { member_count: forWhom.length, delivered_count: receivers.length, read_count: readers.length, delivered: ids(receivers), read: ids(readers) },
    );
  }

  async compareAll() {
    for (const user of this.users) await this.compareList(user);
    for (const chat of this.model.chats) {
      const user = this.random.pick([...chat.members.keys()]);
      await this.compareReceipts(chat, user);
      await this.compareMessage(chat, user);
    }
  }

  async compareOne() {
    const { chat, user } = this.seat();
    await this.compareList(user);
    await this.compareReceipts(chat, user);
    await this.compareMessage(chat, user);
  }

  async step() {
    const action = pickWeighted(this.random, ACTIONS);
    this.counts[action] = (this.counts[action] ?? 0) + 1;
    await this[action]();
  }
}

function compareSettings({ settings, draft }, expected) {
  assert.deepEqual(
    { muted_until: settings.muted_until, archived: settings.archived, pinned: settings.pinned_at !== null, draft },
    expected,
  );
}

function compareChat(item, chat, user) {
  const own = chat.members.get(user);
  const last = chat.lastSeen(user);
  assert.deepEqual([item.last_seq, item.read_seq, item.unread], [chat.lastSeq, own.readSeq, chat.lastSeq - own.readSeq]);
  compareSettings(item, own.settings);
  assert.equal(item.last_message?.id ?? null, last?.id ?? null);
  if (last !== null) assert.equal(item.last_message.deleted === true, last.deleted);
}

const ACTIONS = {
  post: 300, read: 250, acknowledge: 150, join: 60, leave: 40, delete: 20, set: 80, hide: 20, compareOne: 70, compareAll: 8, stop: 1, kill: 1,
};

function pickWeighted(random, weights) {
  let left = random.between(1, Object.values(weights).reduce((sum, weight) => sum + weight, 0));
  for (const [name, weight] of Object.entries(weights)) {
    if (left <= weight) return name;
    left -= weight;
  }
  throw new Error('the weights do not add up');
}

test('random actions leave what the model says', async (t) => {
  t.diagnostic(`PARLEY_SEED=${SEED} PARLEY_STEPS=${STEPS}`);
  const run = new Run(await startServerFor(t), new Random(SEED));
  await run.prepare();
  try {
    for (let i = 0; i < STEPS; i++) await run.step();
    await run.compareAll();
  } catch (error) {
    error.message = `PARLEY_SEED=${SEED} PARLEY_STEPS=${STEPS}: ${error.message}`;
    throw error;
  }
  t.diagnostic(JSON.stringify(run.counts));
});
