// How streams end: log-out, revocation, caps, draining. And the tickets that let them come back.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Client, createGroup, expectProblem, expectStatus, logIn, postMessage, register, registerMany } from '../support/client.mjs';
import { openEvents, openReady, openReadyFor } from '../support/events.mjs';
import { RawSocket, requestBytes } from '../support/raw.mjs';
import { startServer, startServerFor } from '../support/server.mjs';
import { checkFrame, checkKeys } from '../support/shapes.mjs';
import { eventually } from '../support/wait.mjs';

const server = await startServer();
after(() => server.dispose());

// Limits on, so that the caps count, but none that a test would meet by itself.
const CAPPED = {
  PARLEY_RATE_LIMIT: 'on',
  PARLEY_RATE_USER: '10000',
  PARLEY_RATE_ADDRESS: '10000',
  PARLEY_RATE_LOGIN: '10000',
};

const DRAIN_MS = 10_000; // how long the end waits at most for what is under way (LIMIT_DRAIN_MS)

async function newTicket(account) {
  return expectStatus(await account.post('/v1/events/ticket'), 201);
}

test('logging out ends every stream of the device with a last word', async (t) => {
  const phone = await register(server, 'alice');
  const laptop = await logIn(phone);
  const streams = [await openReady(server, { token: laptop.token }), await openReady(server, { token: laptop.token })];
  const other = await openReadyFor(t, server, { token: phone.token });
  expectStatus(await laptop.delete('/v1/sessions/current'), 204);
  for (const stream of streams) checkFrame((await stream.closing('logged_out')).frame, 'closing');
  await other.next('device.removed');
  assert.equal(other.closed, false);
  expectProblem(await laptop.get('/v1/events'), 401, 'unauthorized');
});

test('revoking a device ends its streams at once', async () => {
  const phone = await register(server, 'alice');
  const laptop = await logIn(phone);
  const stream = await openReady(server, { token: laptop.token });
  expectStatus(await phone.delete(`/v1/devices/${laptop.device.id}`), 204);
  await stream.closing('device_revoked');
  expectProblem(await laptop.get('/v1/events'), 401, 'unauthorized');
});

test('nothing posted after a revocation reaches the revoked device', async () => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const laptop = await logIn(bob);
  const stream = await openReady(server, { token: laptop.token });
  expectStatus(await bob.delete(`/v1/devices/${laptop.device.id}`), 204);
  await postMessage(alice, chat, 'too late');
  await stream.closing('device_revoked');
  assert.ok(stream.events.every((event) => event.type !== 'message.created'));
});

test('a ticket opens a stream without a header, and its URL says where', async (t) => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const ticket = await newTicket(bob);
  checkKeys(ticket, ['ticket', 'url', 'expires_in']);
  assert.equal(ticket.expires_in, 30);
  assert.equal(ticket.url, `/v1/events?ticket=${ticket.ticket}`);
  assert.equal(encodeURIComponent(ticket.ticket), ticket.ticket, 'a ticket needs no escaping in a URL');
  const stream = await openReadyFor(t, server, { path: ticket.url });
  assert.deepEqual([stream.ready.user_id, stream.ready.device_id], [bob.id, bob.device.id]);
  const message = await postMessage(alice, chat, 'by ticket');
  assert.equal((await stream.next('message.created')).message.id, message.id);
});

test('the URL of a ticket serves the reconnects, also after a crash', async (t) => {
  const crashing = await startServerFor(t);
  const [alice, bob] = await registerMany(crashing, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const { url } = await newTicket(bob);
  const first = await openReady(crashing, { path: url });
  first.cut();
  await postMessage(alice, chat, 'before the crash');
  const second = await openReady(crashing, { path: url, lastEventId: first.lastEventId });
  assert.equal((await second.next('message.created')).message.text, 'before the crash');
  await crashing.kill();
  await crashing.restart();
  await postMessage(alice, chat, 'after the crash');
  const third = await openReadyFor(t, crashing, { path: url, lastEventId: second.lastEventId });
  assert.equal((await third.next('message.created')).message.text, 'after the crash');
});

test('a ticket ends with the session that asked for it', async () => {
  const phone = await register(server, 'alice');
  const laptop = await logIn(phone);
  const [used, unused] = [await newTicket(laptop), await newTicket(laptop)];
  const stream = await openReady(server, { path: used.url });
  expectStatus(await laptop.delete('/v1/sessions/current'), 204);
  await stream.closing('logged_out');
  const anonymous = new Client(server);
  expectProblem(await anonymous.get(used.url), 401, 'unauthorized');
  expectProblem(await anonymous.get(unused.url), 401, 'unauthorized');
});

test('a ticket is good for streams and for nothing else', async () => {
  const alice = await register(server, 'alice');
  const { ticket } = await newTicket(alice);
  const anonymous = new Client(server);
  expectProblem(await anonymous.get('/v1/users/me', { token: ticket }), 401, 'unauthorized');
  const inQuery = await anonymous.get(`/v1/users/me?ticket=${ticket}`);
  assert.ok([400, 401].includes(inQuery.status), inQuery.text);
  expectProblem(await anonymous.post('/v1/events/ticket', undefined, { token: ticket }), 401, 'unauthorized');
});

test('a ticket with one character changed is refused', async () => {
  const alice = await register(server, 'alice');
  const { ticket } = await newTicket(alice);
  for (let index = 0; index < ticket.length; index += 5) {
    if (index === ticket.length - 1) continue; // its last character may have bits that do not count
    const other = ticket[index] === 'A' ? 'B' : 'A';
    const changed = ticket.slice(0, index) + other + ticket.slice(index + 1);
    expectProblem(await new Client(server).get(`/v1/events?ticket=${changed}`), 401, 'unauthorized');
  }
});

test('tickets are not logged', async (t) => {
  const alice = await register(server, 'alice');
  const { ticket, url } = await newTicket(alice);
  await openReadyFor(t, server, { path: url });
  expectProblem(await new Client(server).get(`${url}x`), 401, 'unauthorized');
  assert.ok(!server.stderr.join('\n').includes(ticket));
});

// Opens one stream more than the cap allows and expects the reason on that stream itself.
async function expectRefused(target, options, reason) {
  const stream = await openEvents(target, options);
  assert.equal(stream.status, 200, 'EventSource gives up for good on other statuses');
  const closing = await stream.closing(reason);
  checkFrame(closing.frame, 'closing');
  assert.ok(closing.frame.retry >= 1000, `retry ${closing.frame.retry}`);
}

test('a device has only so many streams; one that goes makes room', async (t) => {
  const capped = await startServerFor(t, { env: { ...CAPPED, PARLEY_STREAMS_PER_DEVICE: '2' } });
  const phone = await register(capped, 'alice');
  const laptop = await logIn(phone);
  const first = await openReady(capped, { token: phone.token });
  const second = await openReadyFor(t, capped, { token: phone.token });
  await expectRefused(capped, { token: phone.token }, 'too_many_streams');
  await openReadyFor(t, capped, { token: laptop.token });
  assert.equal(second.closed, false);
  first.cut();
  await eventually(() => opens(capped, phone), 'there is room again');
});

test('a user has only so many streams', async (t) => {
  const capped = await startServerFor(t, { env: { ...CAPPED, PARLEY_STREAMS_PER_USER: '2' } });
  const phone = await register(capped, 'alice');
  const laptop = await logIn(phone);
  const bob = await register(capped, 'bob');
  await openReadyFor(t, capped, { token: phone.token });
  await openReadyFor(t, capped, { token: laptop.token });
  await expectRefused(capped, { token: phone.token }, 'too_many_streams');
  await openReadyFor(t, capped, { token: bob.token });
});

test('an address has only so many streams; a trusted proxy tells addresses apart', async (t) => {
  const capped = await startServerFor(t, { env: { ...CAPPED, PARLEY_STREAMS_PER_ADDRESS: '2', PARLEY_TRUSTED_PROXY: 'on' } });
  const [alice, bob, carol] = await registerMany(capped, 'alice', 'bob', 'carol');
  const from = (address) => ({ 'X-Forwarded-For': `203.0.113.99, ${address}` });
  await openReadyFor(t, capped, { token: alice.token, headers: from('192.0.2.1') });
  await openReadyFor(t, capped, { token: bob.token, headers: from('192.0.2.1') });
  await expectRefused(capped, { token: carol.token, headers: from('192.0.2.1') }, 'too_many_streams');
  await openReadyFor(t, capped, { token: carol.token, headers: from('192.0.2.2') });
});

test('the server has only so many streams; other requests go on', async (t) => {
  const capped = await startServerFor(t, { env: { ...CAPPED, PARLEY_STREAMS_MAX: '2' } });
  const [alice, bob, carol] = await registerMany(capped, 'alice', 'bob', 'carol');
  await openReadyFor(t, capped, { token: alice.token });
  await openReadyFor(t, capped, { token: bob.token });
  const stream = await openEvents(capped, { token: carol.token });
  assert.equal(stream.status, 200);
  const closing = (await stream.until((event) => event.type === 'closing')).at(-1);
  assert.ok(['overloaded', 'too_many_streams'].includes(closing.reason), closing.reason);
  await stream.end();
  expectStatus(await carol.get('/v1/users/me'), 200);
});

// Is a new stream of the account admitted, and does it bring events?
async function opens(target, account) {
  const stream = await openEvents(target, { token: account.token });
  expectStatus(await account.patch('/v1/users/me', { display_name: 'barrier' }), 200);
  const events = await stream.until((event) => event.type === 'user.updated' || event.type === 'closing');
  stream.cut();
  return events.at(-1).type === 'user.updated';
}

test('opening streams too fast is answered on the stream', async (t) => {
  const limited = await startServerFor(t, { env: { ...CAPPED, PARLEY_RATE_USER: '1' } });
  const alice = await register(limited, 'alice');
  let refused = null;
  for (let i = 0; i < 12 && !refused; i++) {
    const stream = await openEvents(limited, { token: alice.token });
    assert.equal(stream.status, 200);
    const event = await stream.next();
    if (event.type === 'closing') refused = event;
    stream.cut();
  }
  assert.equal(refused?.reason, 'rate_limited');
  assert.ok(refused.frame.retry >= 1000, `retry ${refused.frame.retry}`);
});

test('SIGTERM closes streams with retries spread out, and every one can come back', async (t) => {
  const draining = await startServerFor(t, { env: { PARLEY_DRAIN_SPREAD: '10s' } });
  const [alice, bob] = await registerMany(draining, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const streams = await Promise.all(Array.from({ length: 30 }, () => openReady(draining, { token: bob.token })));
  await draining.stop();
  const closings = await Promise.all(streams.map((stream) => stream.closing('draining')));
  for (const closing of closings) checkFrame(closing.frame, 'closing');
  const retries = closings.map((closing) => closing.frame.retry);
  const [least, most] = [Math.min(...retries), Math.max(...retries)];
  assert.ok(most <= 15_000 && least >= 100, `${least} to ${most} ms`);
  assert.ok(most - least > 3000, `${least} to ${most} ms is not spread over 10 s`);
  assert.ok(new Set(retries).size > 10);

  await draining.restart();
  const message = await postMessage(alice, chat, 'after the restart');
  for (const stream of streams.slice(0, 3)) {
    const resumed = await openReadyFor(t, draining, { token: bob.token, lastEventId: stream.lastEventId });
    assert.equal((await resumed.next('message.created')).message.id, message.id);
  }
});

test('what was answered before SIGTERM has reached the streams before they close', async (t) => {
  const draining = await startServerFor(t);
  const [alice, bob] = await registerMany(draining, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const stream = await openReady(draining, { token: bob.token });
  const message = await postMessage(alice, chat, 'just before');
  draining.signal('SIGTERM');
  assert.equal((await stream.next('message.created')).message.id, message.id);
  await stream.closing('draining');
  assert.deepEqual(await draining.ended(), { code: 0, signal: null });
});

test('a request that runs when SIGTERM comes is finished; new ones are not begun', async (t) => {
  const draining = await startServerFor(t);
  const alice = await register(draining, 'alice');
  const chat = await createGroup(alice);
  const stream = await openReady(draining, { token: alice.token });
  const raw = await RawSocket.connectFor(t, draining.port);
  const body = JSON.stringify({ text: 'half sent when the signal came' });
  const headers = { Authorization: `Bearer ${alice.token}`, 'Content-Type': 'application/json', Expect: '100-continue', 'Content-Length': body.length };
  raw.write(requestBytes('POST', `/v1/chats/${chat.id}/messages`, headers));
  await raw.until(() => raw.text.includes('100 Continue'), 'the server has begun with the request');
  raw.write(body.slice(0, 10));

  draining.signal('SIGTERM');
  await stream.closing('draining');
  const late = await new Client(draining, alice.token).get('/v1/users/me', { headers: { Connection: 'close' } }).catch((error) => error);
  if (!(late instanceof Error)) expectProblem(late, 503, 'draining');
  raw.write(body.slice(10));
  const [answer] = await raw.responses(1);
  assert.ok(answer, `no answer: ${raw.text}`);
  assert.equal(answer.status, 201, answer.text);
  assert.deepEqual(await draining.ended(), { code: 0, signal: null });

  await draining.restart();
  const kept = await alice.get(`/v1/chats/${chat.id}/messages/${answer.body.id}`);
  assert.deepEqual(expectStatus(kept, 200), answer.body);
});

test('idle connections do not hold up the end', async (t) => {
  const draining = await startServerFor(t);
  const idle = await Promise.all(Array.from({ length: 5 }, () => RawSocket.connectFor(t, draining.port)));
  expectStatus(await new Client(draining).get('/healthz'), 200);
  const start = Date.now();
  await draining.stop();
  assert.ok(Date.now() - start < DRAIN_MS, `${Date.now() - start} ms`);
  for (const raw of idle) await raw.end();
});
