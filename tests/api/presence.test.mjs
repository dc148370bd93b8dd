// Who is there: said by clients, shown to those who share a chat and may see it, told to those who subscribed.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  addMember, createDirect, createGroup, expectProblem, expectStatus, logIn, postMessage, registerMany, removeMember,
} from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { startServer, startServerFor } from '../support/server.mjs';
import { checkOwnUser, checkPresence } from '../support/shapes.mjs';
import { eventually } from '../support/wait.mjs';

// Heartbeats are how a test knows that a stream is caught up.
const ENV = { PARLEY_HEARTBEAT: '100ms' };
const server = await startServer({ env: ENV });
const hasty = await startServer({ env: { ...ENV, PARLEY_PRESENCE_TTL: '1s' } });
after(() => Promise.all([server.dispose(), hasty.dispose()]));

const beActive = async (account, active = true) => expectStatus(await account.put('/v1/presence', { active }), 204);

async function look(reader, ...users) {
  const { items } = expectStatus(await reader.get(`/v1/presence?user_ids=${users.map((user) => user.id ?? user).join(',')}`), 200);
  for (const item of items) checkPresence(item);
  return items;
}

async function subscribe(account, ...users) {
  const { items } = expectStatus(await account.put('/v1/presence/subscriptions', { user_ids: users.map((user) => user.id ?? user) }), 200);
  for (const item of items) checkPresence(item);
  return items;
}

async function setPresence(account, presence) {
  const user = expectStatus(await account.patch('/v1/users/me', { presence }), 200);
  checkOwnUser(user);
  assert.equal(user.presence, presence);
}

async function listen(t, target, account) {
  const stream = await openReadyFor(t, target, { token: account.token });
  await stream.heartbeat();
  return stream;
}

const isPresence = (event) => event.type === 'presence';

// Presence that came before a message that is posted now.
async function heardUntilNow(sender, chat, stream) {
  const message = await postMessage(sender, chat, 'until now');
  return (await stream.until((event) => event.message?.id === message.id)).filter(isPresence);
}

test('whoever says to be active is online, and a stream or a request alone is not that', async (t) => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  await createDirect(alice, bob);
  await listen(t, server, bob);
  assert.deepEqual(await look(alice, bob), [{ user_id: bob.id, online: false, last_seen_at: null }]);
  await beActive(bob, false);
  assert.equal((await look(alice, bob))[0].online, false);
  const from = Date.now();
  await beActive(bob);
  const until = Date.now();
  const [seen] = await look(alice, bob);
  assert.equal(seen.online, true);
  const seenAt = Date.parse(seen.last_seen_at);
  assert.ok(seenAt > from - 1000 && seenAt < until + 1000, seen.last_seen_at);
  await beActive(bob, false);
  assert.equal((await look(alice, bob))[0].online, true, 'until the time to live is over');
});

test('after the time to live they are offline, and when they were seen stays, after a restart, too', async (t) => {
  const restarted = await startServerFor(t, { env: { ...ENV, PARLEY_PRESENCE_TTL: '1s' } });
  const [alice, bob] = await registerMany(restarted, 'alice', 'bob');
  await createDirect(alice, bob);
  await beActive(bob);
  await eventually(async () => (await look(alice, bob))[0].online === false, 'bob is offline');
  await beActive(bob); // within a minute of what was stored: in memory until the end
  const [before] = await look(alice, bob);
  await restarted.stop();
  await restarted.start();
  assert.deepEqual(await look(alice, bob), [{ ...before, online: false }]);
});

test('only those who share a chat are shown; others are as if they did not exist', async () => {
  const [alice, bob, carol, dave] = await registerMany(server, 'alice', 'bob', 'carol', 'dave');
  await createGroup(alice, [bob, carol]);
  const gone = await createGroup(alice, [dave]);
  expectStatus(await alice.delete(`/v1/chats/${gone.id}`), 204);
  for (const account of [alice, bob, carol, dave]) await beActive(account);
  const seen = await look(alice, dave, carol, '1', bob, bob, alice);
  const inOrder = [bob.id, carol.id].sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1));
  assert.deepEqual(seen.map((item) => item.user_id), inOrder);
  assert.deepEqual(await look(dave, alice, bob), []);
});

test('whoever shows nobody is shown to nobody, and sees nobody', async () => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  await createDirect(alice, bob);
  await Promise.all([beActive(alice), beActive(bob)]);
  await setPresence(bob, 'nobody');
  assert.deepEqual(await look(alice, bob), []);
  assert.deepEqual(await look(bob, alice), []);
  assert.deepEqual(await subscribe(alice, bob), []);
  assert.deepEqual(await subscribe(bob, alice), []);
  await setPresence(bob, 'shared_chats');
  assert.equal((await look(alice, bob)).length, 1);
  assert.equal((await look(bob, alice)).length, 1);
  assert.equal(expectStatus(await bob.get('/v1/users/me'), 200).presence, 'shared_chats');
  assert.ok(!('presence' in expectStatus(await alice.get(`/v1/users/${bob.id}`), 200)));
  expectProblem(await bob.patch('/v1/users/me', { presence: 'everybody' }), 400, 'bad_field', 'presence');
});

test('who subscribed is told of coming and going, on that device alone', async (t) => {
  const [alice, bob, carol] = await registerMany(hasty, 'alice', 'bob', 'carol');
  const chat = await createGroup(alice, [bob, carol]);
  const other = await logIn(alice);
  const [phone, tablet] = [await listen(t, hasty, alice), await listen(t, hasty, other)];
  assert.deepEqual(await subscribe(alice, bob, '1'), [{ user_id: bob.id, online: false, last_seen_at: null }]);
  await Promise.all([beActive(bob), beActive(carol)]);
  const { frame, type, ...came } = await phone.next('presence');
  checkPresence(came);
  assert.deepEqual([came.user_id, came.online, frame.event, frame.id], [bob.id, true, 'presence', undefined]);
  const went = await phone.next('presence');
  assert.deepEqual([went.user_id, went.online, went.last_seen_at], [bob.id, false, came.last_seen_at]);
  assert.deepEqual(await heardUntilNow(alice, chat, phone), []);
  assert.deepEqual(await heardUntilNow(alice, chat, tablet), []);
});

test('somebody who goes on being active is told of once', async (t) => {
  // Long enough that bob is not silent for it when the machine stands still for a moment.
  const steady = await startServerFor(t, { env: { ...ENV, PARLEY_PRESENCE_TTL: '4s' } });
  const [alice, bob] = await registerMany(steady, 'alice', 'bob');
  const chat = await createDirect(alice, bob);
  const stream = await listen(t, steady, alice);
  await subscribe(alice, bob);
  const until = Date.now() + 5500;
  for (let on = true; Date.now() < until; on = !on) {
    await beActive(bob);
    await beActive(bob, on);
  }
  assert.deepEqual((await heardUntilNow(alice, chat, stream)).map((event) => event.online), [true]);
});

test('new subscriptions replace the old, and none ends them', async (t) => {
  const [alice, bob, carol] = await registerMany(server, 'alice', 'bob', 'carol');
  const chat = await createGroup(alice, [bob, carol]);
  const stream = await listen(t, server, alice);
  await subscribe(alice, bob);
  await subscribe(alice, carol);
  await Promise.all([beActive(bob), beActive(carol)]);
  assert.deepEqual((await stream.until(isPresence)).map((event) => event.user_id), [carol.id]);
  assert.deepEqual(await heardUntilNow(alice, chat, stream), []);
  const [dave] = await registerMany(server, 'dave');
  await addMember(alice, chat, dave);
  assert.equal((await subscribe(alice, dave)).length, 1);
  assert.deepEqual(await subscribe(alice), []);
  await beActive(dave);
  assert.deepEqual(await heardUntilNow(alice, chat, stream), []);
});

test('a subscription ends with the last shared chat, with a change of mind, and not before', async (t) => {
  const [alice, bob, carol, dave] = await registerMany(server, 'alice', 'bob', 'carol', 'dave');
  const two = [await createGroup(alice, [bob, carol, dave]), await createGroup(alice, [bob])];
  const deleted = await createGroup(alice, [carol]);
  const stream = await listen(t, server, alice);
  assert.equal((await subscribe(alice, bob, carol, dave)).length, 3);
  await removeMember(alice, two[0], bob); /* they share another chat */
  await removeMember(alice, two[0], carol);
  expectStatus(await alice.delete(`/v1/chats/${deleted.id}`), 204);
  await setPresence(dave, 'nobody');
  for (const account of [carol, dave, bob]) await beActive(account);
  const came = (await stream.until((event) => event.type === 'presence' && event.user_id === bob.id)).filter(isPresence);
  assert.deepEqual(came.map((event) => event.user_id), [bob.id]);
});

test('what cannot be asked for is refused', async (t) => {
  const few = await startServerFor(t, { env: { ...ENV, PARLEY_PRESENCE_SUBSCRIPTIONS_MAX: '2' } });
  const [alice] = await registerMany(few, 'alice');
  const ids = (count) => Array.from({ length: count }, (_, i) => String(i + 1));
  expectProblem(await alice.get('/v1/presence'), 400, 'bad_query', 'user_ids');
  expectProblem(await alice.get('/v1/presence?user_ids='), 400, 'bad_query', 'user_ids');
  expectProblem(await alice.get('/v1/presence?user_ids=1,x'), 400, 'bad_query', 'user_ids');
  expectProblem(await alice.get('/v1/presence?user_ids=1,'), 400, 'bad_query', 'user_ids');
  assert.deepEqual(await look(alice, ...ids(100)), []);
  expectProblem(await alice.get(`/v1/presence?user_ids=${ids(101).join(',')}`), 400, 'bad_query', 'user_ids');
  expectProblem(await alice.put('/v1/presence', {}), 400, 'missing_field', 'active');
  expectProblem(await alice.put('/v1/presence', { active: 'yes' }), 400, 'bad_field', 'active');
  assert.deepEqual(await subscribe(alice, ...ids(2)), []);
  expectProblem(await alice.put('/v1/presence/subscriptions', { user_ids: ids(3) }), 400, 'bad_field', 'user_ids');
  expectProblem(await alice.put('/v1/presence/subscriptions', { user_ids: ids(401) }), 400, 'bad_field', 'user_ids');
  expectProblem(await alice.put('/v1/presence/subscriptions', { user_ids: ['x'] }), 400, 'bad_field', 'user_ids');
  expectProblem(await alice.put('/v1/presence/subscriptions', {}), 400, 'missing_field', 'user_ids');
});
