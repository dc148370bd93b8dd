// What nodes do when their database has lost what it had shown: a crash that forgot commits, an older copy, a promoted replica.
//
// Each test has a MariaDB server of its own, which is given back an older copy of its files.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createGroup, expectStatus, historyPage, logIn, postMany, postMessage, register, wholeHistory, Client } from '../support/client.mjs';
import { startDatabaseServerFor } from '../support/database-server.mjs';
import { openReadyFor } from '../support/events.mjs';
import { startServerFor } from '../support/server.mjs';
import { eventually } from '../support/wait.mjs';

const skip = process.env.PARLEY_TEST_DB ? false : 'PARLEY_TEST_DB names no MariaDB server';

// The same account, asking another node.
const on = (node, account) => Object.assign(new Client(node, account.token), { id: account.id, user: account.user, device: account.device });

const positionOf = (id) => BigInt(id) >> 16n;

async function startNodes(t, database, count, env = {}) {
  const nodes = [];
  for (let node = 0; node < count; node++) nodes.push(await startServerFor(t, { env: { PARLEY_DB: database.url, PARLEY_NODE: `node-${node}`, ...env } }));
  return nodes;
}

const isReady = async (node) => (await new Client(node).get('/readyz')).status === 200;

const answers = (nodes) => eventually(async () => (await Promise.all(nodes.map(isReady))).every(Boolean), 'all nodes are ready');

// A post that is said until it is answered, since the database may have just come back.
const postEventually = (sender, chat, text) => eventually(() => postMessage(sender, chat, text, { key: text.replaceAll(' ', '-') }), `${text} is posted`);

// The copy to go back to. Nodes run on meanwhile.
async function saveDatabase(database, nodes) {
  database.stop();
  database.save('older');
  database.restart();
  await answers(nodes);
}

const areLive = async (node) => /^parley_streams_behind 0$/m.test(await (await fetch(`${node.origin}/metrics`)).text());

// Not while a node reads events for a stream: that one would be closed, and its client would come back.
async function loseDatabase(database, nodes) {
  await eventually(async () => (await Promise.all(nodes.map(areLive))).every(Boolean), 'all streams have all there is');
  database.kill();
  database.restore('older');
  database.restart();
}

async function takeMessages(stream, count) {
  const messages = [];
  while (messages.length < count) messages.push((await stream.next('message.created')).message);
  return messages;
}

// A node that has not noticed yet what the database lost may show that first, as it did to those who listened.
async function resetReason(stream) {
  const event = await stream.next();
  return event.message ? resetReason(stream) : event.reason;
}

const idsOf = (messages) => messages.map((message) => message.id);

// A chat of two with some messages, kept in the older copy.
async function startChat(nodes, database) {
  const alice = await register(nodes[0], 'alice');
  const bob = await register(nodes[0], 'bob');
  const chat = await createGroup(alice, [bob]);
  const kept = await postMany(alice, chat, 5, 'kept');
  await saveDatabase(database, nodes);
  return { alice, bob, chat, kept };
}

test('streams of every node are reset when the database is an older one', { skip }, async (t) => {
  const database = startDatabaseServerFor(t);
  const nodes = await startNodes(t, database, 3); // the third never writes
  const { alice, bob, chat, kept } = await startChat(nodes, database);

  const streams = await Promise.all(nodes.map((node) => openReadyFor(t, node, { token: bob.token })));
  const lost = [];
  for (let i = 0; i < 10; i++) lost.push(await postMessage(on(nodes[i % 2], alice), chat, `lost ${i}`));
  for (const stream of streams) assert.deepEqual(idsOf(await takeMessages(stream, lost.length)), idsOf(lost));
  await loseDatabase(database, nodes);

  for (const stream of streams) {
    const reset = await stream.next('reset');
    assert.equal(reset.reason, 'future');
    assert.deepEqual(reset.reload, ['/v1/chats', '/v1/users/me', '/v1/devices']);
    assert.equal(reset.id, reset.frame.id);
    assert.ok(BigInt(reset.id) >= BigInt(kept.at(-1).id) && positionOf(reset.id) < positionOf(lost[0].id), `reset to ${reset.id}`);
  }
  const after = [];
  for (let i = 0; i < 12; i++) after.push(await postEventually(on(nodes[i % 2], alice), chat, `after ${i}`));
  assert.deepEqual(after.map((message) => message.seq), after.map((_, i) => kept.length + 1 + i));
  for (const stream of streams) assert.deepEqual(idsOf(await takeMessages(stream, after.length)), idsOf(after));
  for (const node of nodes) assert.deepEqual(idsOf(await wholeHistory(on(node, bob), chat)), idsOf([...kept, ...after]));
  const lostIds = new Set(idsOf(lost));
  assert.ok(after.every((message) => !lostIds.has(message.id)), 'no id is used again');
});

test('a token of what was lost is answered with reset, on every node', { skip }, async (t) => {
  const database = startDatabaseServerFor(t);
  const nodes = await startNodes(t, database, 2);
  const { alice, bob, chat, kept } = await startChat(nodes, database);
  const lost = await postMany(alice, chat, 6, 'lost');
  const page = await on(nodes[1], bob).get(`/v1/chats/${chat.id}/messages`);
  const asOf = expectStatus(page, 200).as_of ?? lost.at(-1).id;
  await loseDatabase(database, nodes);
  await answers(nodes);

  const resume = async (node, lastEventId) => {
    const stream = await openReadyFor(t, node, { token: bob.token, lastEventId });
    return resetReason(stream);
  };
  for (const node of nodes) {
    assert.equal(await resume(node, lost[0].id), 'future');
    assert.equal(await resume(node, asOf), 'future');
  }
  const after = [];
  for (let i = 0; i < 8; i++) after.push(await postEventually(alice, chat, `after ${i}`));
  for (const node of nodes) {
    assert.equal(await resume(node, lost[0].id), 'fork');
    const stream = await openReadyFor(t, node, { token: bob.token, lastEventId: kept.at(-1).id });
    assert.deepEqual(idsOf(await takeMessages(stream, after.length)), idsOf(after));
  }
});

test('a node that was frozen meanwhile notices that its positions were used again', { skip }, async (t) => {
  const database = startDatabaseServerFor(t);
  const nodes = await startNodes(t, database, 2);
  const { alice, bob, chat, kept } = await startChat(nodes, database);
  const stream = await openReadyFor(t, nodes[1], { token: bob.token });
  const lost = await postMany(alice, chat, 4, 'lost');
  await takeMessages(stream, lost.length);

  nodes[1].signal('SIGSTOP');
  await loseDatabase(database, [nodes[0]]);
  const after = [];
  for (let i = 0; i < 9; i++) after.push(await postEventually(alice, chat, `after ${i}`));
  nodes[1].signal('SIGCONT');

  const reset = await stream.next('reset');
  assert.equal(reset.reason, 'fork');
  assert.ok(BigInt(reset.id) >= BigInt(after.at(-1).id), 'the reset is at the head');
  const last = await postEventually(on(nodes[1], alice), chat, 'last');
  assert.deepEqual(idsOf(await takeMessages(stream, 1)), [last.id]);
  assert.deepEqual(idsOf(await wholeHistory(on(nodes[1], bob), chat)), idsOf([...kept, ...after, last]));
});

test('users, devices and members that the older database does not have are nobody on any node', { skip }, async (t) => {
  const database = startDatabaseServerFor(t);
  const nodes = await startNodes(t, database, 2);
  const { alice, bob, chat } = await startChat(nodes, database);
  const carol = await register(nodes[0], 'carol');
  const phone = await logIn(bob);
  expectStatus(await alice.put(`/v1/chats/${chat.id}/members/${carol.id}`, {}), 201);
  const gone = [carol, phone];
  const streams = [];
  for (const node of nodes) {
    for (const account of gone) {
      expectStatus(await on(node, account).get('/v1/users/me'), 200);
      streams.push(await openReadyFor(t, node, { token: account.token }));
    }
  }
  const staying = await openReadyFor(t, nodes[1], { token: bob.token });
  const lost = await postMessage(alice, chat, 'lost');
  // A node may tell first what it had not heard of when the stream was opened.
  for (const stream of [...streams, staying]) await stream.until((event) => event.message?.id === lost.id, 'what will be lost');
  await loseDatabase(database, nodes);

  for (const stream of streams) {
    await stream.until((event) => event.type === 'reset', 'reset');
    await stream.closing('device_revoked');
  }
  await staying.until((event) => event.type === 'reset', 'reset');
  for (const node of nodes) for (const account of gone) expectStatus(await on(node, account).get('/v1/users/me'), 401);
  const message = await postEventually(on(nodes[1], alice), chat, 'to bob alone');
  assert.deepEqual(idsOf(await takeMessages(staying, 1)), [message.id]);
  const taken = await register(nodes[1], 'dave');
  expectStatus(await on(nodes[0], taken).get('/v1/users/me'), 200);
});

test('a node notices by its own post, long before it would ask the database', { skip }, async (t) => {
  const database = startDatabaseServerFor(t);
  const nodes = await startNodes(t, database, 1, { PARLEY_POLL_INTERVAL: '1m' });
  const { alice, bob, chat, kept } = await startChat(nodes, database);
  const stream = await openReadyFor(t, nodes[0], { token: bob.token });
  const lost = await postMany(alice, chat, 4, 'lost');
  await takeMessages(stream, lost.length);
  await loseDatabase(database, nodes);

  const first = await postEventually(alice, chat, 'after');
  const reset = await stream.next('reset');
  assert.ok(BigInt(reset.id) >= BigInt(first.id), 'what came before the reset is to be reloaded');
  const second = await postEventually(alice, chat, 'and after');
  assert.deepEqual(idsOf(await takeMessages(stream, 1)), [second.id]);
  assert.deepEqual((await historyPage(bob, chat)).items.map((message) => message.seq), [...kept, first, second].map((_, i) => i + 1));
});

test('a member that was removed in what was lost is a member again, and the other way round', { skip }, async (t) => {
  const database = startDatabaseServerFor(t);
  const nodes = await startNodes(t, database, 2);
  const { alice, bob, chat } = await startChat(nodes, database);
  const streams = await Promise.all(nodes.map((node) => openReadyFor(t, node, { token: bob.token })));
  expectStatus(await alice.delete(`/v1/chats/${chat.id}/members/${bob.id}`), 204);
  const other = await createGroup(alice, [bob]);
  for (const stream of streams) await stream.until((event) => event.type === 'chat.created', 'the other chat');
  await loseDatabase(database, nodes);

  for (const stream of streams) await stream.next('reset');
  const message = await postEventually(alice, chat, 'welcome back');
  for (const stream of streams) assert.deepEqual(idsOf(await takeMessages(stream, 1)), [message.id]);
  for (const node of nodes) expectStatus(await on(node, bob).get(`/v1/chats/${other.id}`), 404);
});

test('a restart of the database that loses nothing resets nobody', { skip }, async (t) => {
  const database = startDatabaseServerFor(t);
  const nodes = await startNodes(t, database, 2);
  const { alice, bob, chat } = await startChat(nodes, database);
  const streams = await Promise.all(nodes.map((node) => openReadyFor(t, node, { token: bob.token })));
  const messages = [];
  for (let round = 0; round < 2; round++) {
    messages.push(...(await postMany(on(nodes[round], alice), chat, 3, `round ${round}`)));
    for (const stream of streams) await stream.until((event) => event.message?.id === messages.at(-1).id, 'all that was posted');
    database.kill();
    database.restart();
    messages.push(await postEventually(on(nodes[round], alice), chat, `after round ${round}`));
  }
  for (const stream of streams) {
    await stream.until((event) => event.message?.id === messages.at(-1).id, 'all that was posted');
    assert.deepEqual(stream.events.map((event) => event.message?.id ?? event.type), ['ready', ...idsOf(messages)]);
  }
});
