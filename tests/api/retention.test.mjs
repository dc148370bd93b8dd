// What is expired is gone: from reads at once, from the disk after the cleanup.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bodyHash, nextChain } from '../support/chain.mjs';
import { createGroup, expectProblem, expectStatus, getChat, historyPage, postMany, postMessage, register, registerMany, wholeHistory } from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { FAULT_BINARY, startServerFor } from '../support/server.mjs';
import { eventually } from '../support/wait.mjs';

const DAY_MS = 24 * 3600 * 1000;
const SECRET = 'expiring-words-5d1e';
const NO_CLOCK = FAULT_BINARY ? false : 'PARLEY_FAULT_BINARY names no build with a clock that can be moved';

// A server that only cleans up when it is told to.
const startManual = (t, env, clock = false) => startServerFor(t, { clock, env: { PARLEY_CLEANUP_INTERVAL: '0', ...env } });

async function cleanUp(server, ...options) {
  const { code, stderr } = await server.parley(['cleanup', '--once', ...options]);
  assert.equal(code, 0, stderr);
}

// Moves the clock and waits until the server has seen it.
async function advance(server, ms) {
  server.advanceClock(ms);
  const due = Date.now() + server.clockOffset - 1000;
  await eventually(async () => Date.parse((await register(server, 'clock')).user.created_at) >= due, 'the server sees the clock move');
}

test('a message past a retention of seconds disappears by itself', async (t) => {
  const server = await startServerFor(t, { env: { PARLEY_RETENTION: '2s', PARLEY_CLEANUP_INTERVAL: '1s' } });
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  const message = await postMessage(alice, chat, SECRET);
  const path = `/v1/chats/${chat.id}/messages/${message.id}`;
  const due = Date.parse(message.created_at) + 2000;
  await eventually(async () => (await alice.get(path)).status === 404, 'the message cannot be read any more');
  assert.ok(Date.now() >= due - 5, 'it went too early');
  assert.deepEqual((await historyPage(alice, chat)).items, []);
  await eventually(() => !server.dataContains(SECRET), 'the text is gone from the disk');
});

test('what was edited or deleted is gone from the disk after the cleanup', async (t) => {
  const server = await startManual(t);
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  const [edited, deleted] = [await postMessage(alice, chat, `${SECRET} edited`), await postMessage(alice, chat, `${SECRET} deleted`)];
  expectStatus(await alice.patch(`/v1/chats/${chat.id}/messages/${edited.id}`, { text: 'harmless' }), 200);
  expectStatus(await alice.delete(`/v1/chats/${chat.id}/messages/${deleted.id}`), 204);
  await cleanUp(server);
  assert.equal(server.dataContains(SECRET), false);
  assert.ok(server.dataContains('harmless'));
});

test('what a deleted chat held is gone from the disk after the cleanup', async (t) => {
  const server = await startManual(t);
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice, [], { title: 'A title that goes 91ac' });
  await postMany(alice, chat, 3, SECRET);
  expectStatus(await alice.delete(`/v1/chats/${chat.id}`), 204);
  await cleanUp(server);
  assert.equal(server.dataContains(SECRET), false);
});

test('after 30 days messages are hidden at once and gone after the cleanup', { skip: NO_CLOCK }, async (t) => {
  const server = await startManual(t, {}, true);
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const { as_of } = expectStatus(await bob.get('/v1/chats'), 200);
  const old = await postMany(alice, chat, 3, SECRET);
  await advance(server, 20 * DAY_MS);
  assert.deepEqual(await wholeHistory(bob, chat), old);
  const kept = await postMessage(alice, chat, 'younger');
  await advance(server, 15 * DAY_MS);

  await checkHidden(bob, chat, old, kept);
  await checkReplayHidden(t, server, bob, as_of, old, kept);
  assert.ok(server.dataContains(SECRET), 'only the cleanup removes it');
  await cleanUp(server, '--dry-run');
  assert.ok(server.dataContains(SECRET), 'a dry run removes nothing');
  await cleanUp(server);
  assert.equal(server.dataContains(SECRET), false);
  await checkHidden(bob, chat, old, kept);
  await checkAfterCleanup(t, server, { alice, bob, chat, as_of, kept });
});

async function checkHidden(reader, chat, old, kept) {
  const path = `/v1/chats/${chat.id}/messages`;
  assert.deepEqual(await wholeHistory(reader, chat), [kept]);
  for (const query of [{ before: kept.id }, { around: old[1].id }, { after: old[0].id }]) {
    const { items } = await historyPage(reader, chat, query);
    assert.ok(items.every((message) => message.id === kept.id), JSON.stringify(query));
  }
  for (const message of old) expectProblem(await reader.get(`${path}/${message.id}`), 404, 'not_found');
  assert.equal((await getChat(reader, chat)).last_seq, 4);
}

// Before the cleanup the floor may still be below the token: then what expired replays without its text.
async function checkReplayHidden(t, server, reader, token, old, kept) {
  const stream = await openReadyFor(t, server, { token: reader.token, lastEventId: token });
  const first = await stream.next();
  if (first.type === 'reset') return assert.equal(first.reason, 'expired');
  const events = [first, ...(await stream.take(3))];
  assert.deepEqual(events.slice(0, 3).map((event) => event.message), old.map(({ id, chat_id, seq }) => ({ id, chat_id, seq, deleted: true })));
  assert.deepEqual(events[3].message, kept);
}

async function checkAfterCleanup(t, server, { alice, bob, chat, as_of, kept }) {
  const expired = await openReadyFor(t, server, { token: bob.token, lastEventId: as_of });
  assert.equal((await expired.next('reset')).reason, 'expired');
  const next = await postMessage(alice, chat, 'after the cleanup');
  assert.deepEqual([next.seq, next.rev], [kept.seq + 1, kept.rev + 1]);
  assert.equal(next.chain, nextChain(kept.chain, next.seq, alice.id, bodyHash(next.salt, next.text)));
  assert.equal((await expired.next('message.created')).message.id, next.id);
  const fine = await openReadyFor(t, server, { token: bob.token, lastEventId: kept.id });
  assert.equal((await fine.next('message.created')).message.id, next.id);
}

test('the cleanup inside the server does the same, while messages are posted', { skip: NO_CLOCK }, async (t) => {
  const server = await startServerFor(t, { clock: true, env: { PARLEY_CLEANUP_INTERVAL: '1s' } });
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  await postMany(alice, chat, 30, SECRET);
  await advance(server, 31 * DAY_MS);
  const posted = await postMany(alice, chat, 30, 'new');
  await eventually(() => !server.dataContains(SECRET), 'the texts are gone from the disk');
  assert.deepEqual(await wholeHistory(alice, chat), posted);
  await server.kill();
  await server.restart();
  assert.deepEqual(await wholeHistory(alice, chat), posted);
  assert.equal((await postMessage(alice, chat, 'next')).seq, 61);
});

test('the cleanup of a stopped server does the same', { skip: NO_CLOCK }, async (t) => {
  const server = await startManual(t, {}, true);
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  await postMany(alice, chat, 5, SECRET);
  await server.stop();
  server.advanceClock(31 * DAY_MS);
  await cleanUp(server);
  assert.equal(server.dataContains(SECRET), false);
  await server.restart();
  assert.deepEqual(await wholeHistory(alice, chat), []);
});

test('with PARLEY_RETENTION=forever a year changes nothing', { skip: NO_CLOCK }, async (t) => {
  const server = await startManual(t, { PARLEY_RETENTION: 'forever', PARLEY_SESSION_IDLE: '3000d', PARLEY_SESSION_MAX: '3000d' }, true);
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  const { as_of } = expectStatus(await alice.get('/v1/chats'), 200);
  const messages = await postMany(alice, chat, 3);
  await advance(server, 366 * DAY_MS);
  await cleanUp(server);
  assert.deepEqual(await wholeHistory(alice, chat), messages);
  const stream = await openReadyFor(t, server, { token: alice.token, lastEventId: as_of });
  assert.deepEqual((await stream.take(3)).map((event) => event.message), messages);
});

test('a quiet device that only got heartbeats does not fall below the floor', { skip: NO_CLOCK }, async (t) => {
  const server = await startServerFor(t, { clock: true, env: { PARLEY_CLEANUP_INTERVAL: '0', PARLEY_HEARTBEAT: '200ms' } });
  const [alice, quiet] = await registerMany(server, 'alice', 'quiet');
  const chat = await createGroup(alice);
  const stream = await openReadyFor(t, server, { token: quiet.token });
  await postMany(alice, chat, 5, SECRET);
  await advance(server, 31 * DAY_MS);
  await cleanUp(server);
  const last = await postMessage(alice, chat, 'head');
  await eventually(() => BigInt(stream.lastEventId) >= BigInt(last.id), 'heartbeats bring the head');
  stream.cut();
  const own = await createGroup(quiet);
  const resumed = await openReadyFor(t, server, { token: quiet.token, lastEventId: stream.lastEventId });
  assert.equal((await resumed.next('chat.created')).chat_id, own.id);
});
