// Several nodes on one database: any user on any node, and everybody sees everything.
//
// Needs a MariaDB server, which PARLEY_TEST_DB names.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createGroup, expectStatus, logIn, postMany, postMessage, register, scheduleMessage, wholeHistory, Client } from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { startNodesFor } from '../support/nodes.mjs';
import { eventually } from '../support/wait.mjs';

const skip = process.env.PARLEY_TEST_DB ? false : 'PARLEY_TEST_DB names no MariaDB server';

// The same account, asking another node.
const on = (node, account) => Object.assign(new Client(node, account.token), { id: account.id, user: account.user, device: account.device });

test('what is posted on one node arrives at streams of the others, once and in order', { skip }, async (t) => {
  const nodes = await startNodesFor(t, 3);
  const alice = await register(nodes[0], 'alice');
  const bob = await register(nodes[1], 'bob');
  const chat = await createGroup(alice, [bob]);
  const streams = await Promise.all(nodes.map((node) => openReadyFor(t, node, { token: bob.token })));
  const messages = [];
  for (let i = 0; i < 30; i++) messages.push(await postMessage(on(nodes[i % 3], alice), chat, `message ${i}`));
  assert.deepEqual(messages.map((message) => message.seq), messages.map((_, i) => i + 1));
  for (const stream of streams) {
    const got = [];
    while (got.length < messages.length) got.push((await stream.next('message.created')).message.id);
    assert.deepEqual(got, messages.map((message) => message.id));
  }
  for (const node of nodes) assert.deepEqual(await wholeHistory(on(node, bob), chat), messages);
});

test('nodes that post at the same time number every message once', { skip }, async (t) => {
  const nodes = await startNodesFor(t, 4);
  const alice = await register(nodes[0], 'alice');
  const chat = await createGroup(alice);
  const stream = await openReadyFor(t, nodes[3], { token: alice.token });
  const posted = await Promise.all(nodes.map((node, i) => postMany(on(node, alice), chat, 25, `node ${i} message`)));
  const seqs = posted.flat().map((message) => message.seq).sort((a, b) => a - b);
  assert.deepEqual(seqs, Array.from({ length: 100 }, (_, i) => i + 1));
  const got = [];
  while (got.length < 100) got.push((await stream.next('message.created')).message.seq);
  assert.deepEqual(got, seqs);
});

test('a node that is killed takes nothing with it, and its streams go on elsewhere', { skip }, async (t) => {
  const nodes = await startNodesFor(t, 2);
  const alice = await register(nodes[0], 'alice');
  const chat = await createGroup(alice);
  const stream = await openReadyFor(t, nodes[0], { token: alice.token });
  const before = await postMany(on(nodes[0], alice), chat, 5, 'before');
  for (const message of before) assert.equal((await stream.next('message.created')).message.id, message.id);
  const { lastEventId } = stream;
  await nodes[0].kill();
  const after = await postMany(on(nodes[1], alice), chat, 5, 'after');
  const again = await openReadyFor(t, nodes[1], { token: alice.token, lastEventId });
  for (const message of after) assert.equal((await again.next('message.created')).message.id, message.id);
  await nodes[0].restart();
  assert.deepEqual(await wholeHistory(on(nodes[0], alice), chat), [...before, ...after]);
});

test('a device that is removed on one node is out on all', { skip }, async (t) => {
  const nodes = await startNodesFor(t, 2);
  const alice = await register(nodes[0], 'alice');
  const phone = await logIn(alice);
  const elsewhere = on(nodes[1], phone);
  expectStatus(await elsewhere.get('/v1/users/me'), 200);
  const stream = await openReadyFor(t, nodes[1], { token: phone.token });
  expectStatus(await alice.delete(`/v1/devices/${phone.device.id}`), 204);
  await eventually(async () => (await elsewhere.get('/v1/users/me')).status === 401, 'the other node has forgotten the session');
  await eventually(() => stream.closed, 'the stream on the other node ends');
});

test('the same key is the same message on every node', { skip }, async (t) => {
  const nodes = await startNodesFor(t, 2);
  const alice = await register(nodes[0], 'alice');
  const chat = await createGroup(alice);
  const path = `/v1/chats/${chat.id}/messages`;
  const post = (node) => on(node, alice).post(path, { text: 'once' }, { headers: { 'Idempotency-Key': 'once' } });
  const answers = await Promise.all([post(nodes[0]), post(nodes[1]), post(nodes[0]), post(nodes[1])]);
  assert.deepEqual(answers.map((answer) => answer.status).sort(), [200, 200, 200, 201]);
  assert.equal(new Set(answers.map((answer) => answer.body.id)).size, 1);
});

test('what is scheduled is posted once, by whichever node is there', { skip }, async (t) => {
  const nodes = await startNodesFor(t, 3);
  const alice = await register(nodes[0], 'alice');
  const chat = await createGroup(alice);
  const texts = Array.from({ length: 60 }, (_, i) => `number ${i}`);
  const start = Date.now() + 4000; // when the last of them has been accepted
  await Promise.all(texts.map((text, i) =>
    scheduleMessage(on(nodes[i % 3], alice), chat, { text, send_at: new Date(start + i * 20).toISOString() })));
  const posted = async () => (await wholeHistory(on(nodes[2], alice), chat)).map(({ text }) => text);
  await eventually(async () => (await posted()).length > 5);
  await nodes[0].kill();
  await eventually(async () => (await posted()).length > 30);
  await nodes[1].kill();
  await eventually(async () => (await posted()).length >= texts.length, 'the last node posts what the others were asked to');
  await Promise.all([nodes[0].restart(), nodes[1].restart()]);
  assert.deepEqual((await posted()).sort(), [...texts].sort());
  const { items } = expectStatus(await on(nodes[1], alice).get(`/v1/chats/${chat.id}/scheduled`), 200);
  assert.deepEqual(items, []);
});
