// A year in seconds: how long sessions, tickets, keys, windows and invites last, and clocks that jump.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, PASSWORD, createGroup, expectProblem, expectStatus, getChat, logIn, postMessage, register, scheduleMessage, uniqueName, wholeHistory } from '../support/client.mjs';
import { openReady, openReadyFor } from '../support/events.mjs';
import { FAULT_BINARY, startServerFor } from '../support/server.mjs';
import { eventually } from '../support/wait.mjs';

const SECOND_MS = 1000;
const HOUR_MS = 3600 * SECOND_MS;
const DAY_MS = 24 * HOUR_MS;
const CLOCK_READ_MS = 1100;
const skip = FAULT_BINARY ? false : 'PARLEY_FAULT_BINARY names no build with a clock that can be moved';

const start = (t, env = {}) => startServerFor(t, { clock: true, env: { PARLEY_RETENTION: 'forever', ...env } });

// Moves the clock and waits until the server has seen it.
async function advance(server, ms) {
  server.advanceClock(ms);
  const expected = Date.now() + server.clockOffset;
  const close = async () => Math.abs(Date.parse((await register(server, 'clock')).user.created_at) - expected) < 10 * SECOND_MS;
  await eventually(close, 'the server sees the clock move');
}

// Nothing need show that the clock went back, so this waits as long as the server may take to look.
async function jumpBack(server, ms) {
  server.advanceClock(-ms);
  await delay(CLOCK_READ_MS);
}

describe('with a clock that is moved', { skip, concurrency: 4 }, () => {
  it('what is scheduled is posted when the clock jumps over its time', async (t) => {
    const server = await start(t);
    const alice = await register(server, 'alice');
    const chat = await createGroup(alice);
    const { send_at } = await scheduleMessage(alice, chat);
    await advance(server, 2 * DAY_MS);
    const [message] = await eventually(async () => {
      const history = await wholeHistory(alice, chat);
      return history.length > 0 && history;
    }, 'it is posted');
    assert.ok(message.created_at > send_at);
  });

  it('a session ends when it was not used for 90 days', async (t) => {
    const server = await start(t);
    const idle = await register(server, 'alice');
    const busy = await logIn(idle);
    await advance(server, 60 * DAY_MS);
    expectStatus(await busy.get('/v1/users/me'), 200);
    await advance(server, 31 * DAY_MS);
    expectStatus(await busy.get('/v1/users/me'), 200);
    expectProblem(await idle.get('/v1/users/me'), 401, 'unauthorized');
  });

  it('using a session keeps it, also over a restart', async (t) => {
    const server = await start(t);
    const alice = await register(server, 'alice');
    await advance(server, 60 * DAY_MS);
    expectStatus(await alice.get('/v1/users/me'), 200);
    await server.stop();
    await server.restart();
    await advance(server, 60 * DAY_MS);
    expectStatus(await alice.get('/v1/users/me'), 200);
  });

  it('a session ends after a year, used or not, and its stream says so', async (t) => {
    const server = await start(t, { PARLEY_HEARTBEAT: '200ms' });
    const alice = await register(server, 'alice');
    const stream = await openReady(server, { token: alice.token });
    for (let month = 1; month <= 6; month++) {
      await advance(server, 60 * DAY_MS);
      expectStatus(await alice.get('/v1/users/me'), 200);
    }
    assert.equal(stream.closed, false);
    await advance(server, 6 * DAY_MS);
    expectProblem(await alice.get('/v1/users/me'), 401, 'unauthorized');
    await stream.closing('session_expired');
  });

  it('a device that only listens is not idle', async (t) => {
    const server = await start(t, { PARLEY_HEARTBEAT: '200ms' });
    const alice = await register(server, 'alice');
    const stream = await openReadyFor(t, server, { token: alice.token });
    for (let i = 0; i < 3; i++) {
      await advance(server, 50 * DAY_MS);
      for (let beat = 0; beat < 2; beat++) await stream.heartbeat(); // the first may have been sent before
    }
    assert.equal(stream.closed, false);
    expectStatus(await alice.get('/v1/users/me'), 200);
  });

  it('a ticket must be used within 30 seconds and then lasts', async (t) => {
    const server = await start(t);
    const alice = await register(server, 'alice');
    const newTicket = async () => expectStatus(await alice.post('/v1/events/ticket'), 201).url;
    const [used, unused] = [await newTicket(), await newTicket()];
    (await openReady(server, { path: used })).cut();
    await advance(server, 31 * SECOND_MS);
    expectProblem(await new Client(server).get(unused), 401, 'unauthorized');
    (await openReady(server, { path: used })).cut();
    await advance(server, 60 * DAY_MS);
    await openReadyFor(t, server, { path: used });
  });

  it('a message may be edited for 24 hours, and deleted for ever', async (t) => {
    const server = await start(t);
    const alice = await register(server, 'alice');
    const message = await postMessage(alice, await createGroup(alice), 'first');
    const path = `/v1/chats/${message.chat_id}/messages/${message.id}`;
    await advance(server, 23 * HOUR_MS);
    expectStatus(await alice.patch(path, { text: 'second' }), 200);
    await advance(server, 2 * HOUR_MS);
    expectProblem(await alice.patch(path, { text: 'third' }), 403, 'window_closed');
    assert.equal(expectStatus(await alice.get(path), 200).text, 'second');
    await advance(server, 40 * DAY_MS);
    expectStatus(await alice.delete(path), 204);
  });

  it('an Idempotency-Key holds for 7 days, cleanups included', async (t) => {
    const server = await start(t, { PARLEY_CLEANUP_INTERVAL: '1s' });
    const alice = await register(server, 'alice');
    const chat = await createGroup(alice);
    const message = await postMessage(alice, chat, 'once', { key: 'week' });
    for (const days of [1, 2, 3.9]) {
      await advance(server, days * DAY_MS);
      expectStatus(await new Client(server).get('/healthz'), 200);
      const { code } = await server.parley(['cleanup', '--once']);
      assert.equal(code, 0);
      const again = await alice.post(`/v1/chats/${chat.id}/messages`, { text: 'once' }, { headers: { 'Idempotency-Key': 'week' } });
      assert.deepEqual(expectStatus(again, 200), message);
    }
    assert.equal((await getChat(alice, chat)).last_seq, 1);
  });

  it('an invite lasts as many days as it says', async (t) => {
    const server = await start(t, { PARLEY_REGISTRATION: 'invite' });
    const code = async (...options) => (await server.parley(['user', 'invite', ...options])).stdout.trim().split(/\s+/).at(-1);
    const [brief, long] = [await code('--days', '2', '--uses', '5'), await code('--days', '10', '--uses', '50')];
    const join = (invite) => new Client(server).post('/v1/users', { username: uniqueName(), password: PASSWORD, invite });
    expectStatus(await join(brief), 201);
    server.advanceClock(3 * DAY_MS);
    await eventually(async () => {
      const { created_at } = expectStatus(await join(long), 201).user;
      return Date.parse(created_at) > Date.now() + 2 * DAY_MS;
    }, 'the server sees the clock move');
    expectProblem(await join(brief), 403, 'bad_invite', 'invite');
    expectStatus(await join(long), 201);
  });

  it('a clock that jumps back breaks no order', async (t) => {
    const server = await start(t);
    await advance(server, 2 * DAY_MS);
    const alice = await register(server, 'alice');
    const chat = await createGroup(alice);
    const first = await postMessage(alice, chat, 'before the jump');
    const stream = await openReadyFor(t, server, { token: alice.token, lastEventId: first.id });
    await jumpBack(server, DAY_MS);
    const bob = await register(server, 'bob');
    const second = await postMessage(alice, chat, 'after the jump');
    assert.ok(BigInt(bob.id) > BigInt(alice.id), 'ids go on rising');
    assert.ok(BigInt(second.id) > BigInt(first.id));
    assert.deepEqual([second.seq, second.rev], [2, 3]);
    assert.equal((await stream.next('message.created')).message.id, second.id);
    expectStatus(await alice.get('/v1/users/me'), 200);
  });

  it('ids go on rising when the clock jumped back over a restart', async (t) => {
    const server = await start(t);
    await advance(server, 2 * DAY_MS);
    const alice = await register(server, 'alice');
    await server.stop();
    server.advanceClock(-1 * DAY_MS);
    await server.restart();
    const bob = await register(server, 'bob');
    assert.ok(BigInt(bob.id) > BigInt(alice.id));
  });

  it('a clock that jumps does not cut connections or streams', async (t) => {
    const server = await start(t);
    const alice = await register(server, 'alice');
    const stream = await openReadyFor(t, server, { token: alice.token });
    const chat = await createGroup(alice);
    await stream.next('chat.created');
    await advance(server, DAY_MS);
    await jumpBack(server, DAY_MS);
    const message = await postMessage(alice, chat, 'through the jumps');
    assert.equal((await stream.next('message.created')).message.id, message.id);
  });
});
