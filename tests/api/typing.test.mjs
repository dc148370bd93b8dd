// Who types: told to the other members for a few seconds, to nobody else, and never twice in a moment.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  addMember, createDirect, createGroup, expectProblem, expectStatus, logIn, postMessage, registerMany, removeMember,
} from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { startServer, startServerFor } from '../support/server.mjs';
import { checkTyping } from '../support/shapes.mjs';

// Heartbeats are how a test knows that a stream is caught up.
const server = await startServer({ env: { PARLEY_HEARTBEAT: '100ms' } });
after(() => server.dispose());

const MOMENT_MS = 3000; // TYPING_INTERVAL_MS

const type = async (account, chat) => expectStatus(await account.post(`/v1/chats/${chat.id}/typing`), 204);

// Streams that hear whispers: they have said so by a heartbeat.
async function listen(t, target, ...accounts) {
  const streams = await Promise.all(accounts.map((account) => openReadyFor(t, target, { token: account.token })));
  for (const stream of streams) await stream.heartbeat();
  return streams;
}

// What came before a message that is posted now, of one type.
async function heardUntilNow(sender, chat, stream, what = 'typing') {
  const message = await postMessage(sender, chat, 'until now');
  const events = await stream.until((event) => event.message?.id === message.id);
  return events.filter((event) => event.type === what);
}

test('the other members are told, on all their devices, without an id', async (t) => {
  const [alice, bob, carol] = await registerMany(server, 'alice', 'bob', 'carol');
  const chat = await createGroup(alice, [bob]);
  const tablet = await logIn(bob);
  const other = await createGroup(alice, [carol]);
  const [own, phone, second, stranger] = await listen(t, server, alice, bob, tablet, carol);
  const before = phone.lastEventId;
  const from = Date.now();
  await type(alice, chat);
  const until = Date.now();
  for (const stream of [phone, second]) {
    const { frame, ...event } = await stream.next('typing');
    checkTyping(event);
    assert.deepEqual({ chat_id: event.chat_id, user_id: event.user_id }, { chat_id: chat.id, user_id: alice.id });
    const saidAt = Date.parse(event.expires_at) - 6000;
    assert.ok(saidAt > from - 1000 && saidAt < until + 1000, event.expires_at);
    assert.equal(frame.event, 'typing');
    assert.equal(frame.id, undefined);
  }
  assert.equal(phone.lastEventId, before);
  assert.deepEqual(await heardUntilNow(alice, chat, own), []);
  assert.deepEqual(await heardUntilNow(alice, other, stranger), []);
});

test('whoever repeats it in a moment is answered, and the others are told once', async (t) => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createDirect(alice, bob);
  const [stream] = await listen(t, server, bob);
  const from = Date.now();
  for (let i = 0; i < 20; i++) await type(alice, chat);
  const moments = 1 + Math.floor((Date.now() - from) / MOMENT_MS);
  await type(bob, chat);
  const heard = (await heardUntilNow(alice, chat, stream)).map((event) => event.user_id);
  assert.ok(heard.length >= 1 && heard.length <= moments, `told ${heard.length} times in ${moments}`);
  assert.ok(heard.every((id) => id === alice.id));
});

test('only members may say it, at once after they joined and no longer once they left', async (t) => {
  const [alice, bob, carol] = await registerMany(server, 'alice', 'bob', 'carol');
  const chat = await createGroup(alice, [bob]);
  const path = `/v1/chats/${chat.id}/typing`;
  const [stream] = await listen(t, server, alice);
  expectProblem(await carol.post(path), 404, 'not_found');
  await addMember(alice, chat, carol);
  await type(carol, chat);
  await removeMember(alice, chat, carol);
  expectProblem(await carol.post(path), 404, 'not_found');
  await addMember(alice, chat, carol);
  await type(carol, chat);
  await type(bob, chat);
  // Before the chat is deleted: what is told later finds nobody to be told.
  const events = await stream.until((event) => event.type === 'typing' && event.user_id === bob.id);
  expectStatus(await alice.delete(`/v1/chats/${chat.id}`), 204);
  for (const account of [alice, bob, carol]) expectProblem(await account.post(path), 404, 'not_found');
  events.push(...await stream.until((event) => event.type === 'chat.deleted'));
  assert.deepEqual(events.filter((event) => event.type === 'typing').map((event) => event.user_id), [carol.id, bob.id]);
});

test('who has left is not told', async (t) => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const other = await createDirect(alice, bob);
  const [stream] = await listen(t, server, bob);
  await removeMember(alice, chat, bob);
  await type(alice, chat);
  assert.deepEqual(await heardUntilNow(alice, other, stream), []);
});

test('nobody is told in chats that are larger than PARLEY_TYPING_MEMBERS_MAX', async (t) => {
  const small = await startServerFor(t, { env: { PARLEY_HEARTBEAT: '100ms', PARLEY_TYPING_MEMBERS_MAX: '2' } });
  const [alice, bob, carol] = await registerMany(small, 'alice', 'bob', 'carol');
  const pair = await createGroup(alice, [bob]);
  const three = await createGroup(alice, [bob, carol]);
  const [stream] = await listen(t, small, bob);
  await type(alice, three);
  await type(alice, pair);
  const heard = await heardUntilNow(alice, pair, stream);
  assert.deepEqual(heard.map((event) => event.chat_id), [pair.id]);
});

test('a stream without names hears it by its data', async (t) => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createDirect(alice, bob);
  const stream = await openReadyFor(t, server, { token: bob.token, query: { named: '0' } });
  await stream.heartbeat();
  await type(alice, chat);
  const { frame } = await stream.next('typing');
  assert.equal(frame.event, undefined);
});
