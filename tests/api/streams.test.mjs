// The event stream: its bytes, what it brings live and after a reconnect, and how it meets odd clients.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Client, createDirect, createGroup, expectProblem, expectStatus, logIn, postMany, postMessage, register, registerMany, wholeHistory } from '../support/client.mjs';
import { openEvents, openReady, openReadyFor } from '../support/events.mjs';
import { RawSocket, requestBytes } from '../support/raw.mjs';
import { startServer, startServerFor } from '../support/server.mjs';
import { checkEventChat, checkFrame } from '../support/shapes.mjs';
import { eventually } from '../support/wait.mjs';

const server = await startServer();
after(() => server.dispose());

async function aliceAndBob(target = server) {
  const [alice, bob] = await registerMany(target, 'alice', 'bob');
  return { alice, bob, chat: await createGroup(alice, [bob]) };
}

const texts = (events) => events.map((event) => event.message.text);
const numbered = (count, prefix = 'message') => Array.from({ length: count }, (_, i) => `${prefix} ${i + 1}`);

test('the head of a stream tells every proxy to let it through', async (t) => {
  const alice = await register(server, 'alice');
  const { headers } = await openReadyFor(t, server, { token: alice.token });
  assert.match(headers['content-type'], /^text\/event-stream/);
  assert.match(headers['cache-control'], /no-store/);
  assert.equal(headers['x-accel-buffering'], 'no');
  assert.equal(headers['transfer-encoding'], undefined);
  assert.equal(headers['content-length'], undefined);
  assert.ok(headers['x-request-id']);
});

test('the first frame is ready and says who listens and where it stands', async (t) => {
  const { alice, chat } = await aliceAndBob();
  const stream = await openReadyFor(t, server, { token: alice.token });
  const { ready } = stream;
  checkFrame(ready.frame, 'first');
  assert.deepEqual(
    { user_id: ready.user_id, device_id: ready.device_id, heartbeat_ms: ready.heartbeat_ms },
    { user_id: alice.id, device_id: alice.device.id, heartbeat_ms: 15_000 },
  );
  assert.equal(ready.id, ready.frame.id);
  const message = await postMessage(alice, chat, 'first');
  assert.ok(BigInt(message.id) > BigInt(ready.id));
});

test('retry is around two seconds and not the same for everybody', async (t) => {
  const alice = await register(server, 'alice');
  const streams = await Promise.all(Array.from({ length: 8 }, () => openReadyFor(t, server, { token: alice.token })));
  const retries = streams.map((stream) => stream.ready.frame.retry);
  for (const retry of retries) assert.ok(retry >= 1000 && retry <= 3000, `${retry} ms`);
  assert.ok(new Set(retries).size > 1, `all ${retries[0]} ms`);
});

test('without a token a stream begins now, not with history', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  await postMany(alice, chat, 3, 'old');
  const stream = await openReadyFor(t, server, { token: bob.token });
  await postMessage(alice, chat, 'new');
  assert.equal((await stream.next('message.created')).message.text, 'new');
});

test('every frame has exactly the promised bytes, with increasing ids', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const stream = await openReadyFor(t, server, { token: bob.token });
  const message = await postMessage(alice, chat, 'a\nb');
  expectStatus(await alice.patch(`/v1/chats/${chat.id}/messages/${message.id}`, { text: 'c' }), 200);
  expectStatus(await alice.delete(`/v1/chats/${chat.id}/messages/${message.id}`), 204);
  expectStatus(await alice.patch(`/v1/chats/${chat.id}`, { title: 'New' }), 200);
  expectStatus(await alice.delete(`/v1/chats/${chat.id}/members/${bob.id}`), 204);
  const events = await stream.take(5);
  assert.deepEqual(events.map((event) => event.type), ['message.created', 'message.edited', 'message.deleted', 'chat.updated', 'member.removed']);
  let previous = BigInt(stream.ready.id);
  for (const event of events) {
    checkFrame(event.frame, 'durable');
    assert.equal(event.frame.event, event.type);
    assert.equal(event.chat_id, chat.id);
    assert.equal(event.actor_id, alice.id);
    assert.ok(BigInt(event.frame.id) > previous);
    previous = BigInt(event.frame.id);
  }
});

test('every recipient and every device gets the same bytes, the sender too', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const phone = await logIn(bob);
  const streams = [];
  for (const { token } of [alice, bob, phone, phone]) streams.push(await openReadyFor(t, server, { token }));
  await postMessage(alice, chat, 'to all', { client_key: 'mine' });
  const events = await Promise.all(streams.map((stream) => stream.next('message.created')));
  assert.equal(new Set(events.map((event) => event.frame.raw)).size, 1);
});

test('nobody gets what happens in chats of others', async (t) => {
  const { alice, chat } = await aliceAndBob();
  const carol = await register(server, 'carol');
  const own = await createGroup(carol);
  const stream = await openReadyFor(t, server, { token: carol.token });
  await postMany(alice, chat, 3, 'private');
  await postMessage(carol, own, 'mine');
  const event = await stream.next();
  assert.equal(event.message?.text, 'mine');
});

test('direct chats name both members in events and nobody in particular', async (t) => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const stream = await openReadyFor(t, server, { token: bob.token });
  const chat = await createDirect(alice, bob);
  const event = await stream.next('chat.created');
  checkEventChat(event.chat);
  assert.equal(event.chat.id, chat.id);
  assert.deepEqual([...event.chat.member_ids].sort(), [alice.id, bob.id].sort());
});

test('resuming brings everything since, in order, once, and then what is new', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const first = await openReady(server, { token: bob.token });
  await postMessage(alice, chat, 'seen');
  await first.next('message.created');
  first.cut();
  await postMany(alice, chat, 120, 'missed');
  const stream = await openReadyFor(t, server, { token: bob.token, lastEventId: first.lastEventId });
  assert.equal(stream.ready.id, first.lastEventId, 'until it has replayed, a stream stands where its token is');
  const replayed = await stream.take(120);
  assert.deepEqual(texts(replayed), numbered(120, 'missed'));
  for (const event of replayed) checkFrame(event.frame, 'durable');
  await postMessage(alice, chat, 'live');
  assert.equal((await stream.next('message.created')).message.text, 'live');
});

test('a replayed event is the event that was sent live', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const live = await openReadyFor(t, server, { token: bob.token });
  await postMany(alice, chat, 3);
  expectStatus(await alice.patch(`/v1/chats/${chat.id}`, { title: 'New' }), 200);
  const events = await live.take(4);
  const resumed = await openReadyFor(t, server, { token: bob.token, lastEventId: live.ready.id });
  const again = await resumed.take(4);
  assert.deepEqual(again.map((event) => event.frame.raw), events.map((event) => event.frame.raw));
});

test('a stream cut and resumed again and again while others post misses and repeats nothing', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const { as_of } = expectStatus(await bob.get('/v1/chats'), 200);
  const total = 240;
  const posting = Promise.all([1, 2, 3, 4].map(() => postMany(alice, chat, total / 4)));
  const received = [];
  let token = as_of;
  while (received.length < total) {
    const stream = await openReady(server, { token: bob.token, lastEventId: token });
    const wanted = Math.min(1 + (received.length % 17), total - received.length);
    received.push(...(await stream.take(wanted)));
    token = received.at(-1).frame.id;
    stream.cut();
  }
  await posting;
  assert.deepEqual(received.map((event) => event.message), await wholeHistory(bob, chat));
});

test('where a token comes from: the header, else either name in the query', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const { as_of } = expectStatus(await bob.get('/v1/chats'), 200);
  const message = await postMessage(alice, chat, 'since');
  const sources = [
    { lastEventId: as_of },
    { query: { last_event_id: as_of } },
    { query: { lastEventId: as_of } },
    { lastEventId: as_of, query: { last_event_id: 'unreadable' } },
    { lastEventId: as_of, query: { lastEventId: message.id } },
  ];
  for (const source of sources) {
    const stream = await openReadyFor(t, server, { token: bob.token, ...source });
    assert.equal((await stream.next('message.created')).message.id, message.id, JSON.stringify(source));
  }
  const wrong = await openReadyFor(t, server, { token: bob.token, lastEventId: 'unreadable', query: { last_event_id: as_of } });
  assert.equal((await wrong.next('reset')).reason, 'unreadable');
});

test('with named=0 no frame has an event line', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const stream = await openReadyFor(t, server, { token: bob.token, query: { named: '0' } });
  await postMessage(alice, chat, 'unnamed');
  const event = await stream.next('message.created');
  assert.match(stream.ready.frame.raw, /^retry: \d+\nid: \d+\ndata: \{.*\}\n\n$/);
  assert.match(event.frame.raw, /^id: \d+\ndata: \{.*\}\n\n$/);
  expectStatus(await bob.delete('/v1/sessions/current'), 204);
  const closing = await stream.closing('logged_out');
  assert.match(closing.frame.raw, /^retry: \d+\ndata: \{.*\}\n\n$/);
});

test('named=1 is the default and other values are refused', async (t) => {
  const alice = await register(server, 'alice');
  const stream = await openReadyFor(t, server, { token: alice.token, query: { named: '1' } });
  assert.equal(stream.ready.frame.event, 'ready');
  for (const query of ['named=2', 'named=', 'named=true', 'unknown=1']) {
    expectProblem(await alice.get(`/v1/events?${query}`), 400, 'bad_query', query.split('=')[0]);
  }
});

test('without a valid token the answer is a plain 401', async () => {
  const anonymous = new Client(server);
  expectProblem(await anonymous.get('/v1/events'), 401, 'unauthorized');
  expectProblem(await anonymous.get('/v1/events', { token: 'A'.repeat(43) }), 401, 'unauthorized');
  expectProblem(await anonymous.get('/v1/events?ticket=nonsense'), 401, 'unauthorized');
});

test('heartbeats have only an id, and it follows the log through chats of others', async (t) => {
  const quick = await startServerFor(t, { env: { PARLEY_HEARTBEAT: '1s' } });
  const { alice, chat } = await aliceAndBob(quick);
  const quiet = await register(quick, 'quiet');
  const stream = await openReadyFor(t, quick, { token: quiet.token });
  assert.equal(stream.ready.heartbeat_ms, 1000);
  const message = await postMessage(alice, chat, 'not for quiet');
  // Some may have been on their way already when the message was posted.
  const findMoved = () => stream.frames.find((frame) => frame.data === undefined && BigInt(frame.id) >= BigInt(message.id));
  checkFrame(await eventually(findMoved, 'the token of a quiet device moves'), 'heartbeat');
  stream.cut();

  const own = await createGroup(quiet);
  const resumed = await openReadyFor(t, quick, { token: quiet.token, lastEventId: stream.lastEventId });
  assert.equal((await resumed.next('chat.created')).chat_id, own.id);
});

test('HEAD answers the head of a stream and ends', async () => {
  const alice = await register(server, 'alice');
  const raw = await RawSocket.connect(server.port);
  raw.write(requestBytes('HEAD', '/v1/events', { Authorization: `Bearer ${alice.token}`, Connection: 'close' }));
  await raw.end();
  assert.match(raw.text, /^HTTP\/1\.1 200 /);
  assert.match(raw.text, /content-type: text\/event-stream/i);
  assert.ok(raw.text.endsWith('\r\n\r\n') && raw.text.indexOf('\r\n\r\n') === raw.text.length - 4, raw.text);
});

test('HEAD without a token is a 401 without a body', async () => {
  const raw = await RawSocket.connect(server.port);
  raw.write(requestBytes('HEAD', '/v1/events', { Connection: 'close' }));
  await raw.end();
  assert.match(raw.text, /^HTTP\/1\.1 401 /);
  assert.ok(raw.text.endsWith('\r\n\r\n'), raw.text);
});

test('an HTTP/1.0 client gets a stream it can read', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const raw = await RawSocket.connectFor(t, server.port);
  raw.write(`GET /v1/events HTTP/1.0\r\nAuthorization: Bearer ${bob.token}\r\n\r\n`);
  await raw.until(() => raw.text.includes('event: ready'), 'ready');
  assert.match(raw.text, /^HTTP\/1\.[01] 200 /);
  assert.doesNotMatch(raw.text, /transfer-encoding/i);
  await postMessage(alice, chat, 'to the old client');
  await raw.until(() => raw.text.includes('to the old client'), 'the message');
  const body = raw.text.slice(raw.text.indexOf('\r\n\r\n') + 4);
  assert.match(body, /^retry: \d+\nevent: ready\n/, 'no chunk sizes');
});

test('bytes after the request change nothing for the stream and are not answered', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const raw = await RawSocket.connectFor(t, server.port);
  const request = requestBytes('GET', '/v1/events', { Authorization: `Bearer ${bob.token}` });
  const extra = requestBytes('DELETE', '/v1/sessions/current', { Authorization: `Bearer ${bob.token}` });
  raw.write(Buffer.concat([request, extra, Buffer.from('garbage\0\r\n\r\n')]));
  await raw.until(() => raw.text.includes('event: ready'), 'ready');
  raw.write('x'.repeat(100_000));
  await postMessage(alice, chat, 'still here');
  await raw.until(() => raw.text.includes('still here'), 'the message');
  assert.equal(raw.text.split('HTTP/1.1 ').length, 2, 'one answer only');
  expectStatus(await bob.get('/v1/users/me'), 200);
});

test('a request in pieces is a request', async (t) => {
  const { bob } = await aliceAndBob();
  const raw = await RawSocket.connectFor(t, server.port);
  const bytes = requestBytes('GET', '/v1/events', { Authorization: `Bearer ${bob.token}` });
  for (let i = 0; i < bytes.length; i += 7) await raw.writeAll(bytes.subarray(i, i + 7));
  await raw.until(() => raw.text.includes('event: ready'), 'ready');
});

test('a stream opened on a connection that was used before works', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const raw = await RawSocket.connectFor(t, server.port);
  const headers = { Authorization: `Bearer ${bob.token}` };
  raw.write(requestBytes('GET', '/v1/users/me', headers));
  assert.equal((await raw.responses(1))[0].status, 200);
  raw.write(requestBytes('GET', '/v1/events', headers));
  await raw.until(() => raw.text.includes('event: ready'), 'ready');
  await postMessage(alice, chat, 'on a used connection');
  await raw.until(() => raw.text.includes('on a used connection'), 'the message');
});

test('a peer that stops reading delays nobody and later gets everything', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const carol = await register(server, 'carol');
  expectStatus(await alice.put(`/v1/chats/${chat.id}/members/${carol.id}`, {}), 201);
  const reader = await openReadyFor(t, server, { token: carol.token });
  const stalled = await RawSocket.connectFor(t, server.port);
  stalled.write(requestBytes('GET', '/v1/events', { Authorization: `Bearer ${bob.token}` }));
  await stalled.until(() => stalled.text.includes('event: ready'), 'ready');
  stalled.socket.pause();

  const count = 150;
  const filler = 'x'.repeat(99_000);
  for (let i = 1; i <= count; i++) {
    const message = await postMessage(alice, chat, `${i} ${filler}`);
    const event = await reader.next('message.created');
    assert.equal(event.frame.id, message.id);
  }
  const lag = await eventually(() => streamLag(), 'the stalled stream is behind');
  assert.ok(lag > 0);

  stalled.socket.resume();
  const wanted = Array.from({ length: count }, (_, i) => `${i + 1}`);
  await stalled.until(() => stalled.received.subarray(-200_000).includes(`"text":"${count} `) && stalled.text.endsWith('\n\n'), 'the rest', 30_000);
  const got = [...stalled.text.matchAll(/"text":\s*"(\d+) x/g)].map((found) => found[1]);
  assert.deepEqual(got, wanted);
  assert.equal(await eventually(async () => (await streamLag()) === 0, 'nobody is behind'), true);
});

async function streamLag() {
  const { text } = await new Client(server).get('/metrics');
  return Number(/^parley_stream_lag_positions(?:\{[^}]*\})? (\S+)$/m.exec(text)[1]);
}

test('streams that go away are noticed', async () => {
  const alice = await register(server, 'alice');
  const before = await openStreams();
  const streams = await Promise.all(Array.from({ length: 5 }, () => openReady(server, { token: alice.token })));
  assert.ok((await openStreams()) >= 5);
  for (const stream of streams) stream.cut();
  await eventually(async () => (await openStreams()) <= before, 'the gauge goes down');
});

async function openStreams() {
  const { text } = await new Client(server).get('/metrics');
  return Number(/^parley_streams_open(?:\{[^}]*\})? (\S+)$/m.exec(text)[1]);
}

test('a page from another origin that is not allowed still gets no permission', async (t) => {
  const alice = await register(server, 'alice');
  const stream = await openEvents(server, { token: alice.token, headers: { Origin: 'https://evil.example.org' } });
  t.after(() => stream.cut());
  assert.equal(stream.headers['access-control-allow-origin'], undefined);
});
