// Histories, single reads, lists, replays and live events tell the same story, whatever members do at once.
//
// PARLEY_SEED repeats a run's choices, though not the order in which what is sent at once arrives.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { after, test } from 'node:test';
import { createGroup, createLink, expectStatus, getOwnChat, historyPage, registerMany, wholeHistory } from '../support/client.mjs';
import { openReady, openReadyFor } from '../support/events.mjs';
import { startServer } from '../support/server.mjs';

const ROUNDS = 30;
const AT_ONCE = 12;
const EMOJI = ['👍', '❤', '❤️', '😀', '🎉'];
const MARK = 'the end';

const server = await startServer({ env: { PARLEY_EDIT_HISTORY: 'on' } });
after(() => server.dispose());

// Numbers from 0 to below `n`, the same for the same seed.
function makeChooser(seed) {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return Math.floor(state / 65536) % n;
  };
}

// A group whose owner never leaves, and what its members do to it.
class Story {
  ids = [];

  constructor(users, chat, link, choose) {
    Object.assign(this, { users, chat, link, choose, path: `/v1/chats/${chat.id}` });
  }

  get owner() {
    return this.users[0];
  }

  someone() {
    return this.users[this.choose(this.users.length)];
  }

  some() {
    return this.ids[this.choose(this.ids.length)] ?? '1';
  }

  mentions() {
    return this.choose(3) === 0 ? { mentions: [{ user_id: this.someone().id, offset: 0, length: 4 }] } : {};
  }

  content() {
    if (this.choose(6) === 0) return { forward: { chat_id: this.chat.id, message_id: this.some() } };
    return { text: `text ${this.choose(100)}`, ...this.mentions() };
  }

  async post(user) {
    const reply = this.choose(3) === 0 ? { reply_to: this.some() } : {};
    const answer = await user.post(`${this.path}/messages`, { ...this.content(), ...reply });
    if (answer.status === 201) this.ids.push(answer.body.id);
    return answer;
  }

  act() {
    const user = this.someone();
    const message = `${this.path}/messages/${this.some()}`;
    const reaction = `${message}/reactions/${encodeURIComponent(EMOJI[this.choose(EMOJI.length)])}`;
    const actions = [
      () => this.post(user), () => this.post(user), () => this.post(user), () => this.post(user),
      () => user.patch(message, { text: `edit ${this.choose(100)}`, ...this.mentions() }),
      () => user.delete(message),
      () => user.put(reaction), () => user.put(reaction), () => user.put(reaction),
      () => user.delete(reaction), () => user.delete(reaction),
      () => user.delete(`${message}?for=me`),
      () => this.owner.put(`${this.path}/pins/${this.some()}`),
      () => this.owner.delete(`${this.path}/pins/${this.some()}`),
      () => (user === this.owner ? this.post(user) : user.delete(`${this.path}/members/${user.id}`)),
      () => user.post(`/v1/links/${this.link.token}/join`),
    ];
    return actions[this.choose(actions.length)]();
  }

  async run() {
    for (let round = 0; round < ROUNDS; round++) {
      const answers = await Promise.all(Array.from({ length: AT_ONCE }, () => this.act()));
      for (const answer of answers) assert.ok(answer.status < 429, `${answer.method} ${answer.path}: ${answer.status} ${answer.text}`);
    }
  }
}

async function begin(t, history) {
  const seed = Number(process.env.PARLEY_SEED ?? randomInt(1, 2 ** 31));
  t.diagnostic(`PARLEY_SEED=${seed}`);
  const users = await registerMany(server, 'owner', 'b', 'c', 'd', 'e');
  const chat = await createGroup(users[0], users.slice(1), { history });
  return new Story(users, chat, await createLink(users[0], chat), makeChooser(seed));
}

// Upwards in short pages, and one by one: the same as downwards.
async function checkReads(story, user, items) {
  const upwards = [];
  for (let after = '1'; after; ) {
    const page = await historyPage(user, story.chat, { limit: 7, after });
    upwards.push(...page.items);
    after = page.next;
  }
  assert.deepEqual(upwards, items);
  for (const item of items) {
    assert.deepEqual(expectStatus(await user.get(`${story.path}/messages/${item.id}`), 200), item);
    const edits = expectStatus(await user.get(`${story.path}/messages/${item.id}/edits`), 200).items;
    if (item.text === undefined) assert.deepEqual(edits, []);
  }
}

async function checkReactions(story, user, items) {
  for (const { id, reactions = [] } of items) {
    for (const { emoji, count } of reactions) {
      const list = expectStatus(await user.get(`${story.path}/messages/${id}/reactions?emoji=${encodeURIComponent(emoji)}`), 200);
      assert.equal(list.items.length, count, `${emoji} of ${id}`);
    }
  }
}

// `shown`: message id -> what the history says of it.
async function checkLists(story, user, shown) {
  const { items: pins } = expectStatus(await user.get(`${story.path}/pins`), 200);
  for (const { message_id } of pins) assert.equal(typeof shown.get(message_id)?.text, 'string', message_id);
  const own = await getOwnChat(user, story.chat);
  const listed = expectStatus(await user.get('/v1/chats'), 200).items.find(({ id }) => id === story.chat.id);
  assert.deepEqual(listed, own);
  if (own.last_message) assert.deepEqual(own.last_message, [...shown.values()].at(-1));
}

// The chat's events from `lastEventId` on, as a server tells them that has just started and remembers none.
async function replay(story, user, lastEventId) {
  const stream = await openReady(server, { token: user.token, lastEventId });
  expectStatus(await user.patch('/v1/users/me', { display_name: MARK }), 200);
  const events = [];
  for (let event; event?.user?.display_name !== MARK; events.push(event)) [event] = await stream.take(1);
  stream.cut();
  return events.filter(({ chat_id }) => chat_id === story.chat.id);
}

// To a message whose text the reader sees, or saw until it was edited while they were away.
function checkReacted(message, id) {
  assert.ok(typeof message?.text === 'string' || message?.withheld, id);
}

// A replay shows messages as the history does, or says less.
function checkReplay(events, shown, isOwner) {
  for (const { message, type, withheld, message_id } of events) {
    if (type === 'message.reacted' && !withheld) checkReacted(shown.get(message_id), message_id);
    if (!message || (!isOwner && message.text === undefined)) continue;
    const said = shown.get(message.id);
    assert.ok(said, `the history has no ${message.id}`);
    if (isOwner) assert.deepEqual(message, said);
    else assert.deepEqual([message.text, message.mentions, message.reply_to], [said.text, said.mentions, said.reply_to]);
  }
}

// Whoever was there all the time knows everything from live events, but for what they deleted for themselves.
function checkLive(events, shown) {
  const known = new Map();
  for (const { type, message, message_id, reactions, reactions_rev } of events) {
    if (message) known.set(message.id, { ...message });
    if (type === 'message.reacted') Object.assign(known.get(message_id), { reactions, reactions_rev });
  }
  for (const [id, message] of known) {
    if (!shown.get(id).hidden) assert.deepEqual(message, shown.get(id));
  }
}

async function checkUser(story, user, lastEventId) {
  const items = await wholeHistory(user, story.chat);
  const shown = new Map(items.map((item) => [item.id, item]));
  await checkReads(story, user, items);
  if ((await user.get(story.path)).status === 200) {
    await checkReactions(story, user, items);
    await checkLists(story, user, shown);
  }
  checkReplay(await replay(story, user, lastEventId), shown, user === story.owner);
  return shown;
}

for (const history of ['from_join', 'all']) {
  test(`all ways to read agree, where a chat shows history ${history}`, async (t) => {
    const story = await begin(t, history);
    const live = await openReadyFor(t, server, { token: story.owner.token });
    await story.run();
    expectStatus(await story.owner.patch('/v1/users/me', { display_name: 'barrier' }), 200);
    const events = [];
    for (let event; event?.type !== 'user.updated'; events.push(event)) [event] = await live.take(1);
    await server.stop();
    await server.restart();
    const from = live.ready.frame.lastEventId;
    for (const user of story.users) {
      const shown = await checkUser(story, user, from);
      if (user === story.owner) checkLive(events.filter(({ chat_id }) => chat_id === story.chat.id), shown);
    }
  });
}
