// Pinned messages: who may, how many, and when they are no longer there.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { addMember, createDirect, createGroup, expectProblem, expectStatus, getChat, postMany, postMessage, register, registerMany } from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { startServer } from '../support/server.mjs';
import { TIME, checkKeys, checkList } from '../support/shapes.mjs';
import { eventually } from '../support/wait.mjs';

const server = await startServer();
after(() => server.dispose());

const pinPath = (message) => `/v1/chats/${message.chat_id}/pins/${message.id}`;
const pin = async (account, message) => expectStatus(await account.put(pinPath(message)), 204);
const unpin = async (account, message) => expectStatus(await account.delete(pinPath(message)), 204);

async function listPins(account, chat) {
  const list = expectStatus(await account.get(`/v1/chats/${chat.id}/pins`), 200);
  checkList(list);
  assert.equal(list.next, null);
  for (const item of list.items) {
    checkKeys(item, ['message_id', 'seq', 'user_id', 'pinned_at']);
    assert.match(item.pinned_at, TIME);
  }
  return list.items;
}

const pinnedIds = async (account, chat) => (await listPins(account, chat)).map(({ message_id }) => message_id);

async function aliceAndBob(fields = {}) {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  return { alice, bob, chat: await createGroup(alice, [bob], fields) };
}

test('an admin pins and unpins, and the members are told', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const message = await postMessage(bob, chat, 'important');
  const stream = await openReadyFor(t, server, { token: bob.token });
  await pin(alice, message);
  const [item] = await listPins(bob, chat);
  assert.deepEqual([item.message_id, item.seq, item.user_id], [message.id, message.seq, alice.id]);
  await unpin(alice, message);
  assert.deepEqual(await listPins(bob, chat), []);
  const [pinned, unpinned] = await stream.take(2);
  checkKeys(pinned, ['type', 'chat_id', 'rev', 'actor_id', 'message_id', 'pinned_at', 'frame']);
  assert.deepEqual([pinned.type, pinned.message_id, pinned.actor_id, pinned.pinned_at, pinned.rev], ['message.pinned', message.id, alice.id, item.pinned_at, message.rev + 1]);
  checkKeys(unpinned, ['type', 'chat_id', 'rev', 'actor_id', 'message_id', 'frame']);
  assert.deepEqual([unpinned.type, unpinned.message_id, unpinned.rev], ['message.unpinned', message.id, message.rev + 2]);
});

test('a replay tells the same of pins', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const message = await postMessage(bob, chat, 'important');
  const live = await openReadyFor(t, server, { token: bob.token });
  await pin(alice, message);
  await unpin(alice, message);
  const events = await live.take(2);
  const replay = await openReadyFor(t, server, { token: bob.token, lastEventId: message.id });
  assert.deepEqual(await replay.take(2), events);
});

test('pinning and unpinning twice changes nothing and tells nobody', async () => {
  const { alice, chat } = await aliceAndBob();
  const message = await postMessage(alice, chat, 'important');
  await pin(alice, message);
  const before = [await getChat(alice, chat), await listPins(alice, chat)];
  await pin(alice, message);
  assert.deepEqual([await getChat(alice, chat), await listPins(alice, chat)], before);
  await unpin(alice, message);
  const { last_rev } = await getChat(alice, chat);
  await unpin(alice, message);
  assert.equal((await getChat(alice, chat)).last_rev, last_rev);
});

test('both may pin in a direct chat', async () => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createDirect(alice, bob);
  const message = await postMessage(alice, chat, 'important');
  await pin(bob, message);
  assert.deepEqual(await pinnedIds(alice, chat), [message.id]);
  await unpin(alice, message);
  assert.deepEqual(await pinnedIds(bob, chat), []);
});

test('a chat has at most 50 pinned messages, the last pinned first', async () => {
  const { alice, chat } = await aliceAndBob();
  const messages = await postMany(alice, chat, 51);
  for (const message of messages.slice(0, 50)) await pin(alice, message);
  expectProblem(await alice.put(pinPath(messages[50])), 409, 'too_many_pins');
  await pin(alice, messages[0]);
  await unpin(alice, messages[0]);
  await pin(alice, messages[50]);
  assert.deepEqual((await pinnedIds(alice, chat)).slice(0, 3), [messages[50].id, messages[49].id, messages[48].id]);
});

test('many pins at once stay within the limit', async () => {
  const { alice, chat } = await aliceAndBob();
  const messages = await postMany(alice, chat, 60);
  const answers = await Promise.all(messages.map((message) => alice.put(pinPath(message))));
  assert.deepEqual([204, 409].map((status) => answers.filter((answer) => answer.status === status).length), [50, 10]);
  assert.equal((await listPins(alice, chat)).length, 50);
});

test('a deleted message is no longer pinned and cannot be', async () => {
  const { alice, chat } = await aliceAndBob();
  const message = await postMessage(alice, chat, 'important');
  await pin(alice, message);
  expectStatus(await alice.delete(`/v1/chats/${chat.id}/messages/${message.id}`), 204);
  assert.deepEqual(await listPins(alice, chat), []);
  expectProblem(await alice.put(pinPath(message)), 409, 'already_deleted');
  await unpin(alice, message);
});

test('a message that has disappeared is no longer pinned', async () => {
  const { alice, chat } = await aliceAndBob();
  const message = await postMessage(alice, chat, 'for a moment', { ttl_s: 4 });
  await pin(alice, message);
  assert.deepEqual(await pinnedIds(alice, chat), [message.id]);
  await eventually(async () => (await pinnedIds(alice, chat)).length === 0, 'the pin to go with its message');
  expectProblem(await alice.put(pinPath(message)), 404, 'not_found');
});

test('who joined later sees the pins from then on, or all when the chat shows its history', async () => {
  const { alice, chat } = await aliceAndBob();
  const carol = await register(server, 'carol');
  const early = await postMessage(alice, chat, 'early');
  await pin(alice, early);
  await addMember(alice, chat, carol);
  const late = await postMessage(alice, chat, 'late');
  await pin(alice, late);
  assert.deepEqual(await pinnedIds(carol, chat), [late.id]);
  expectStatus(await alice.patch(`/v1/chats/${chat.id}`, { history: 'all' }), 200);
  assert.deepEqual(await pinnedIds(carol, chat), [late.id, early.id]);
});
