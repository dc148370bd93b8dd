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

test('what a blocked sender posts is hidden at all nodes that hear of it', { skip }, async (t) => {
  const redis = startRedisFor(t);
  await checkBlock(t, await startNodesFor(t, 2, { PARLEY_REDIS: redis.url }));
});

test('what a blocked sender posts is hidden at all nodes that read it', { skip }, async (t) => {
  await checkBlock(t, await startNodesFor(t, 2));
});
