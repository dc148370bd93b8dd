// What a block does, whichever node is asked.
//
// Needs a MariaDB server, which PARLEY_TEST_DB names, and redis-server.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, createDirect, expectStatus, postMessage, register, wholeHistory } from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { startNodesFor } from '../support/nodes.mjs';
import { startRedisFor } from '../support/redis.mjs';

const skip = process.env.PARLEY_TEST_DB ? false : 'PARLEY_TEST_DB names no MariaDB server';

const on = (node, account) => Object.assign(new Client(node, account.token), { id: account.id });
const hiddenForm = ({ id, chat_id, seq }) => ({ id, chat_id, seq, hidden: true });

// Alice posts at the first node; Bob listens at every one.
async function checkBlock(t, nodes) {
  const [alice, bob] = [await register(nodes[0], 'alice'), await register(nodes[1], 'bob')];
  const chat = await createDirect(alice, bob);
  const streams = await Promise.all(nodes.map((node) => openReadyFor(t, node, { token: bob.token })));
  const before = await postMessage(alice, chat, 'before');
  expectStatus(await bob.put(`/v1/blocks/${alice.id}`), 201);
  const hidden = await postMessage(alice, chat, 'secret');
  expectStatus(await alice.patch(`/v1/chats/${chat.id}/messages/${before.id}`, { text: 'secret' }), 200);
  expectStatus(await on(nodes[0], bob).delete(`/v1/blocks/${alice.id}`), 204);
  const heard = await postMessage(alice, chat, 'heard');
  for (const [i, stream] of streams.entries()) {
    const events = await stream.until(({ message }) => message?.id === heard.id);
    const contents = events.filter(({ message, type }) => message && !(type === 'message.created' && message.id === before.id));
    assert.deepEqual(contents.map(({ message }) => message), [hiddenForm(hidden), hiddenForm(before), heard], `node ${i}`);
    assert.deepEqual(await wholeHistory(on(nodes[i], bob), chat), [hiddenForm(before), hiddenForm(hidden), heard]);
  }
}

const THUMB = encodeURIComponent('👍');

// Alice reacts and pins at the first node while the block lasts; Bob is told so, and no more, at every one, and has nothing to read.
async function checkAdditions(t, nodes) {
  const [alice, bob] = [await register(nodes[0], 'alice'), await register(nodes[1], 'bob')];
  const chat = await createDirect(alice, bob);
  const message = await postMessage(bob, chat, 'from bob');
  expectStatus(await bob.put(`/v1/blocks/${alice.id}`), 201);
  const streams = await Promise.all(nodes.map((node) => openReadyFor(t, node, { token: bob.token })));
  expectStatus(await alice.put(`/v1/chats/${chat.id}/messages/${message.id}/reactions/${THUMB}`), 200);
  expectStatus(await alice.put(`/v1/chats/${chat.id}/pins/${message.id}`), 204);
  const hidden = await postMessage(alice, chat, 'secret');
  for (const [i, stream] of streams.entries()) {
    const events = await stream.until((event) => event.message?.id === hidden.id);
    const added = events.filter(({ type }) => type === 'message.reacted' || type === 'message.pinned');
    assert.deepEqual(added.map((event) => [event.type, event.withheld]), [['message.reacted', true], ['message.pinned', true]], `node ${i}`);
    const { items, unread_total } = expectStatus(await on(nodes[i], bob).get('/v1/chats'), 200);
    assert.deepEqual([items[0].unread, unread_total], [0, 0], `node ${i}`);
  }
}

test('what a blocked user adds to messages is withheld at all nodes that hear of it', { skip }, async (t) => {
  const redis = startRedisFor(t);
  await checkAdditions(t, await startNodesFor(t, 2, { PARLEY_REDIS: redis.url }));
});

test('what a blocked user adds to messages is withheld at all nodes that read it', { skip }, async (t) => {
  await checkAdditions(t, await startNodesFor(t, 2));
});

test('what a blocked sender posts is hidden at all nodes that hear of it', { skip }, async (t) => {
  const redis = startRedisFor(t);
  await checkBlock(t, await startNodesFor(t, 2, { PARLEY_REDIS: redis.url }));
});

test('what a blocked sender posts is hidden at all nodes that read it', { skip }, async (t) => {
  await checkBlock(t, await startNodesFor(t, 2));
});
