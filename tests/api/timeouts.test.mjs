// Clients that are slow on purpose are cut off, and nobody waits for them.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, describe, it, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, createGroup, expectStatus, getChat, register } from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { RawSocket, requestBytes } from '../support/raw.mjs';
import { startServer } from '../support/server.mjs';

const CUT_OFF_MS = 9000; // the timeout is 1 s, its default 10 s; a server that looks once in a few seconds is fine
const IDLE_MS = 5000; // much longer than the machine may stand still between two requests
const IDLE_CUT_OFF_MS = 20_000; // the default is 60 s
const PROMPT_MS = 1000;
const ROUNDS = 5;
const DRIBBLE_MS = 100;

const server = await startServer({ env: { PARLEY_REQUEST_TIMEOUT: '1s', PARLEY_IDLE_TIMEOUT: `${IDLE_MS}ms` } });
server.agent = new http.Agent(); // it keeps no connection, which the server might close just when it is used again
after(() => server.dispose());
const alice = await register(server, 'alice');
const chat = await createGroup(alice);
const json = { Authorization: `Bearer ${alice.token}`, 'Content-Type': 'application/json' };

// Sends byte after byte until the server closes; what was sent never completes a request.
async function dribble(raw, bytes) {
  const end = Date.now() + CUT_OFF_MS;
  for (let i = 0; !raw.closed && Date.now() < end; i++) {
    await raw.writeAll(bytes.slice(i % bytes.length, (i % bytes.length) + 1));
    await delay(DRIBBLE_MS);
  }
  assert.ok(raw.closed, `still open after ${CUT_OFF_MS} ms`);
}

// A cut-off client may be told with 408, but nothing else.
function checkNotServed(raw) {
  assert.ok(raw.text === '' || /^HTTP\/1\.1 (408|400)/.test(raw.text), raw.text);
}

// The time of the slowest of several requests that are made beside a hundred slow ones.
async function askBesideSlowOnes() {
  const slow = await Promise.all(Array.from({ length: 100 }, () => RawSocket.connect(server.port)));
  for (const raw of slow) raw.write('POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Le');
  let longest_ms = 0;
  for (let i = 0; i < 20; i++) {
    const start = Date.now();
    expectStatus(await new Client(server).get('/healthz'), 200);
    longest_ms = Math.max(longest_ms, Date.now() - start);
  }
  await Promise.all(slow.map((raw) => raw.end(CUT_OFF_MS)));
  return longest_ms;
}

describe('slow clients', { concurrency: 10 }, () => {
  it('a connection that never sends anything is closed', async (t) => {
    const raw = await RawSocket.connectFor(t, server.port);
    await raw.end(IDLE_CUT_OFF_MS);
    checkNotServed(raw);
  });

  it('a head that stops in the middle is cut off', async (t) => {
    const raw = await RawSocket.connectFor(t, server.port);
    raw.write('GET /v1/users/me HTTP/1.1\r\nHost: x\r\n');
    await raw.end(CUT_OFF_MS);
    checkNotServed(raw);
  });

  it('a head that drips is cut off though something always comes', async (t) => {
    const raw = await RawSocket.connectFor(t, server.port);
    raw.write('GET /v1/users/me HTTP/1.1\r\nHost: x\r\n');
    await dribble(raw, 'X-Slow: 1\r\n');
    checkNotServed(raw);
  });

  it('a body that stops in the middle is cut off', async (t) => {
    const raw = await RawSocket.connectFor(t, server.port);
    raw.write(requestBytes('POST', `/v1/chats/${chat.id}/messages`, { ...json, 'Content-Length': 1000 }));
    raw.write('{"text":"');
    await raw.end(CUT_OFF_MS);
    checkNotServed(raw);
  });

  it('a body that drips is cut off though something always comes', async (t) => {
    const raw = await RawSocket.connectFor(t, server.port);
    raw.write(requestBytes('POST', `/v1/chats/${chat.id}/messages`, { ...json, 'Content-Length': 1000 }));
    await dribble(raw, ' ');
    checkNotServed(raw);
  });

  it('a body that drips in chunks is cut off', async (t) => {
    const raw = await RawSocket.connectFor(t, server.port);
    raw.write(requestBytes('POST', `/v1/chats/${chat.id}/messages`, { ...json, 'Transfer-Encoding': 'chunked' }));
    await dribble(raw, '1\r\n \r\n');
    checkNotServed(raw);
  });

  it('a kept connection that idles is closed, but not while it is used', async (t) => {
    const raw = await RawSocket.connectFor(t, server.port);
    for (let i = 1; i <= 5; i++) {
      raw.write(requestBytes('GET', '/healthz'));
      assert.equal((await raw.responses(i)).length, i, 'closed while in use');
      await delay(IDLE_MS / 4); // together longer than the timeout
    }
    await raw.end(IDLE_CUT_OFF_MS);
  });

  it('a stream is not a slow request', async (t) => {
    const stream = await openReadyFor(t, server, { token: alice.token });
    await delay(IDLE_MS + 1000);
    assert.equal(stream.closed, false);
    expectStatus(await alice.patch('/v1/users/me', { display_name: 'still listening' }), 200);
    await stream.next('user.updated');
  });

  it('a hundred slow clients delay nobody', async () => {
    let longest_ms;
    // A machine that stands still delays a request, too, but not in each round.
    for (let round = 0; round < ROUNDS && !(longest_ms < PROMPT_MS); round++) longest_ms = await askBesideSlowOnes();
    assert.ok(longest_ms < PROMPT_MS, `${longest_ms} ms`);
  });
});

test('half a message was never posted', async () => {
  assert.equal((await getChat(alice, chat)).last_seq, 0);
});
