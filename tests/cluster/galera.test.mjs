// A Galera cluster below several nodes: its servers come and go, and nothing is lost or doubled.
//
// Needs a cluster of the test's own, whose folder PARLEY_TEST_GALERA names (tests/support/galera.sh). One test at a time: they end its servers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, createGroup, expectStatus, historyPage, register, wholeHistory } from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { galera } from '../support/galera.mjs';
import { startServerFor } from '../support/server.mjs';
import { eventually } from '../support/wait.mjs';

const skip = galera ? false : 'PARLEY_TEST_GALERA names no cluster';

const STEP_DEADLINE_MS = 60_000;
const LONGEST_PAUSE_MS = 20_000; // four seconds until the others give a server up, and what they need to go on

// The same account, asking another node.
const on = (node, account) => Object.assign(new Client(node, account.token), { id: account.id, user: account.user });

// A group of a user's own. Nodes that begin together are in each other's way for a moment.
async function settleIn(node) {
  const alice = await eventually(() => register(node, 'alice'), 'a user registers', STEP_DEADLINE_MS);
  return { alice, chat: await eventually(() => createGroup(alice), 'a group is made', STEP_DEADLINE_MS) };
}

async function startNodeFor(t, database, servers) {
  return startServerFor(t, { env: { PARLEY_DB: database.url(servers) } });
}

// What is written with a key is sent again until it was heard to be done.
async function insist(account, chat, key) {
  const attempt = async () => {
    const answer = await account.post(`/v1/chats/${chat.id}/messages`, { text: key }, { headers: { 'Idempotency-Key': key } });
    return answer.status !== 503 && answer;
  };
  return expectStatus(await eventually(attempt, `${key} is posted`, STEP_DEADLINE_MS), 200, 201);
}

// Posts one after the other.
class Poster {
  messages = [];
  longestPauseMs = 0;
  #stopped = false;

  constructor(account, chat, name) {
    Object.assign(this, { account, chat, name });
  }

  async post(count) {
    for (let i = 0; i < count; i++) {
      const start = Date.now();
      this.messages.push(await insist(this.account, this.chat, `${this.name}-${this.messages.length + 1}`));
      this.longestPauseMs = Math.max(this.longestPauseMs, Date.now() - start);
    }
  }

  // Posts until told to stop.
  start() {
    this.done = this.#run();
    this.done.catch(() => {});
    return this;
  }

  async #run() {
    while (!this.#stopped) await this.post(1);
  }

  // Resolves when so many more were posted.
  async more(count) {
    const target = this.messages.length + count;
    await Promise.race([this.done, eventually(() => this.messages.length >= target, `${count} more posts`, STEP_DEADLINE_MS)]);
  }

  async stop() {
    this.#stopped = true;
    await this.done;
  }
}

const moreOf = (posters, count) => Promise.all(posters.map((poster) => poster.more(count)));

// Every message that was answered is in the log once, in the order of the log, and nothing else is; the stream had the same.
async function judge({ posters, stream, readers, chat }) {
  await Promise.all(posters.map((poster) => poster.stop()));
  const posted = posters.flatMap((poster) => poster.messages).sort((a, b) => a.seq - b.seq);
  assert.deepEqual(posted.map((message) => message.seq), posted.map((_, i) => i + 1));
  for (const reader of readers) assert.deepEqual(await wholeHistory(reader, chat), posted);
  const heard = [];
  while (heard.length < posted.length) heard.push((await stream.next('message.created', STEP_DEADLINE_MS)).message.id);
  assert.deepEqual(heard, posted.map((message) => message.id));
}

// Two nodes, on each a poster, and a stream on the second.
async function setStage(t) {
  const database = await galera.createDatabaseFor(t);
  const nodes = [await startNodeFor(t, database), await startNodeFor(t, database)];
  const { alice, chat } = await settleIn(nodes[0]);
  const stream = await openReadyFor(t, nodes[1], { token: alice.token });
  const readers = nodes.map((node) => on(node, alice));
  const posters = readers.map((reader, i) => new Poster(reader, chat, `poster-${i + 1}`).start());
  return { database, nodes, chat, stream, readers, posters };
}

test('a database server that is killed is replaced by the next within seconds, and nothing is lost or doubled', { skip }, async (t) => {
  const stage = await setStage(t);
  await galera.untilUsed(1, stage.database);
  await moreOf(stage.posters, 20);
  await galera.kill(1);
  await moreOf(stage.posters, 40);
  await galera.untilUsed(2, stage.database);
  await galera.restart(1);
  await moreOf(stage.posters, 20);
  await galera.untilUsed(1, stage.database);
  await moreOf(stage.posters, 20);
  await judge(stage);
  const pauses = stage.posters.map((poster) => poster.longestPauseMs);
  t.diagnostic(`posts paused for ${pauses.join(' and ')} ms at most`);
  for (const pause of pauses) assert.ok(pause < LONGEST_PAUSE_MS, `no post for ${pause} ms`);
});

test('two servers that are killed in turn take nothing with them', { skip }, async (t) => {
  const stage = await setStage(t);
  for (const server of [1, 2]) {
    await moreOf(stage.posters, 10);
    await galera.kill(server);
    await moreOf(stage.posters, 10);
    await galera.restart(server);
  }
  await moreOf(stage.posters, 10);
  await judge(stage);
});

test('a server that has lost its cluster is left, and used again when it is back', { skip }, async (t) => {
  const stage = await setStage(t);
  await galera.untilUsed(1, stage.database);
  await moreOf(stage.posters, 10);
  await galera.isolate(1);
  await moreOf(stage.posters, 10);
  await galera.untilUsed(2, stage.database);
  const late = await startNodeFor(t, stage.database);
  await galera.untilUsed(2, stage.database);
  assert.equal((await historyPage(on(late, stage.readers[0]), stage.chat, { limit: 1 })).items.length, 1);
  await galera.join(1);
  await moreOf(stage.posters, 10);
  await galera.untilUsed(1, stage.database);
  await judge(stage);
});

test('a server that only reads is passed over', { skip }, async (t) => {
  const database = await galera.createDatabaseFor(t);
  await galera.sql(1, 'SET GLOBAL read_only = 1');
  t.after(() => galera.sql(1, 'SET GLOBAL read_only = 0'));
  const node = await startNodeFor(t, database);
  await galera.untilUsed(2, database);
  await settleIn(node);
  await galera.sql(1, 'SET GLOBAL read_only = 0');
  await galera.untilUsed(1, database);
});

test('nodes that write to different servers number every message once', { skip }, async (t) => {
  const database = await galera.createDatabaseFor(t);
  const nodes = [];
  for (const servers of [[1, 2, 3], [2, 3, 1], [3, 1, 2]]) nodes.push(await startNodeFor(t, database, servers));
  const { alice, chat } = await settleIn(nodes[0]);
  const stream = await openReadyFor(t, nodes[2], { token: alice.token });
  const readers = nodes.map((node) => on(node, alice));
  const posters = readers.map((reader, i) => new Poster(reader, chat, `poster-${i + 1}`));
  // Of writers at several servers the fastest leaves the others little. So it waits for them now and then.
  for (let round = 0; round < 6; round++) await Promise.all(posters.map((poster) => poster.post(5)));
  await judge({ posters, stream, readers, chat });
});

test('what one server has answered is read from every other at once', { skip }, async (t) => {
  const database = await galera.createDatabaseFor(t);
  const nodes = [await startNodeFor(t, database, [1, 2, 3]), await startNodeFor(t, database, [3, 2, 1])];
  const { alice, chat } = await settleIn(nodes[0]);
  const elsewhere = on(nodes[1], alice);
  for (let i = 1; i <= 50; i++) {
    const message = await insist(alice, chat, `message-${i}`);
    assert.deepEqual((await historyPage(elsewhere, chat, { limit: 1 })).items, [message]);
  }
});
