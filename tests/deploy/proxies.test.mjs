// Parley behind the nginx and the HAProxy of deploy/: real ones, with TLS and HTTP/2, as curl and a browser meet them.
//
// DEPLOY_QUIET_SECONDS: how long the streams are that nothing is said on.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { openPage, skip } from '../support/browser.mjs';
import { PASSWORD, createDirect, createGroup, expectStatus, postMessage, registerMany, wholeHistory } from '../support/client.mjs';
import { CurlStream, curl, openCurlStream } from '../support/curl.mjs';
import { MIB, announcementOf, md5Of, someBytes } from '../support/media.mjs';
import { PROXIES, prepareProxy } from '../support/proxy.mjs';
import { startServerFor } from '../support/server.mjs';
import { eventually } from '../support/wait.mjs';

const AT_ONCE_MS = 10_000; // what a proxy gathered until its buffer is full would take minutes
const QUIET_MS = Number(process.env.DEPLOY_QUIET_SECONDS ?? 3) * 1000;

// A server behind a proxy, and two who talk.
async function makeWorld(t, kind, env = {}) {
  const proxy = await prepareProxy(t, kind);
  const server = await startServerFor(t, { env: { PARLEY_TRUSTED_PROXY: 'on', PARLEY_PUBLIC_URL: proxy.origin, PARLEY_DRAIN_SPREAD: '0s', PARLEY_STREAM_RETRY: '100ms', ...env } });
  await proxy.start([server.port]);
  await eventually(async () => (await curl(proxy, '/readyz')).status === 200, 'the proxy knows its node');
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  return { proxy, server, alice, bob, chat: await createGroup(alice, [bob]) };
}

// Each text is a message's own, so it is its key, too.
function tryPost(proxy, sender, chat, text) {
  const headers = { 'Idempotency-Key': text.replaceAll(' ', '-') };
  return curl(proxy, `/v1/chats/${chat.id}/messages`, { token: sender.token, body: { text }, headers });
}

async function postBy(proxy, sender, chat, text) {
  const answer = await tryPost(proxy, sender, chat, text);
  assert.equal(answer.status, 201, answer.text);
  return answer;
}

const isLater = ({ status, headers, text }) => status === 200 && headers['content-type'] === 'text/event-stream' && /^retry: [1-4]\d{3}\n\n$/.test(text);

// ---- What runs inside the page

function listenInPage(url) {
  window.got = { texts: [], errors: 0, opened: 0 };
  window.source = new EventSource(url);
  window.source.onopen = () => (window.got.opened += 1);
  window.source.onerror = () => (window.got.errors += 1);
  window.source.addEventListener('message.created', (event) => window.got.texts.push(JSON.parse(event.data).message.text));
  return new Promise((resolve) => window.source.addEventListener('ready', resolve, { once: true }));
}

const seenBy = (page) => page.evaluate(() => ({ ...window.got, state: window.source.readyState }));

// ---- The tests

function testBehind(kind) {
  test(`${kind}: events pass at once, over HTTP/2`, async (t) => {
    const { proxy, alice, bob, chat } = await makeWorld(t, kind, { PARLEY_HEARTBEAT: '500ms' });
    const stream = await openCurlStream(t, proxy, { token: bob.token });
    for (const text of ['one', 'two', 'three']) {
      const sent_ms = Date.now();
      const { version } = await postBy(proxy, alice, chat, text);
      assert.equal(version, '2');
      const event = await stream.next('message.created');
      assert.equal(event.json.message.text, text);
      assert.ok(event.at_ms - sent_ms < AT_ONCE_MS, `it took ${event.at_ms - sent_ms} ms`);
    }
    const heartbeats = [];
    while (heartbeats.length < 6) heartbeats.push(await stream.next(null));
    // One that waited for a machine that stood still comes with the next; more than two of them do not.
    const gaps = heartbeats.slice(1).map((heartbeat, i) => heartbeat.at_ms - heartbeats[i].at_ms);
    assert.ok(gaps.filter((gap) => gap > 100).length >= 3, `heartbeats came together: ${gaps} ms`);
  });

  test(`${kind}: while no node is there streams are told to come again, and requests get a 503`, async (t) => {
    const { proxy, server, alice, bob, chat } = await makeWorld(t, kind);
    const stream = await openCurlStream(t, proxy, { token: bob.token });
    await postBy(proxy, alice, chat, 'before');
    await stream.next('message.created');
    await server.kill();
    await stream.end();
    for (let i = 0; i < 5; i++) assert.ok(isLater(await curl(proxy, '/v1/events', { token: bob.token })), `answer ${i}`);
    const fromPage = await curl(proxy, '/v1/events', { token: bob.token, headers: { Origin: 'https://pages.example.org' } });
    assert.ok(isLater(fromPage));
    assert.equal(fromPage.headers['access-control-allow-origin'], 'https://pages.example.org');
    assert.equal(fromPage.headers['access-control-allow-credentials'], 'true');
    assert.equal(fromPage.headers['cache-control'], 'no-store');
    const refused = await curl(proxy, '/v1/chats', { token: bob.token });
    assert.deepEqual([refused.status, refused.headers['retry-after']], [503, '1']);

    await server.restart();
    await eventually(async () => (await curl(proxy, '/readyz')).status === 200, 'the proxy finds the node again');
    await postBy(proxy, alice, chat, 'after');
    // HAProxy looks for streams' nodes by themselves, and may still say that they are to come again.
    const resume = () => openCurlStream(t, proxy, { token: bob.token, lastEventId: stream.lastEventId });
    const resumed = await eventually(resume, 'streams go on');
    assert.equal((await resumed.next('message.created')).json.message.text, 'after');
  });

  test(`${kind}: an EventSource goes on by itself when the server was away`, { skip }, async (t) => {
    const { proxy, server, alice, bob, chat } = await makeWorld(t, kind);
    const ticket = expectStatus(await bob.post('/v1/events/ticket'), 201);
    const page = await openPage(t, `${proxy.origin}/healthz`);
    await page.evaluate(listenInPage, ticket.url);
    const texts = ['before'];
    await postBy(proxy, alice, chat, 'before');
    for (const end of ['stop', 'kill']) {
      const { errors } = await seenBy(page);
      await server[end]();
      // Once for the end, and once more for an answer of the proxy's own.
      await eventually(async () => (await seenBy(page)).errors >= errors + 2, 'the page asks in vain');
      assert.notEqual((await seenBy(page)).state, 2, 'the EventSource has given up');
      await server.restart();
      await postMessage(alice, chat, `after ${end}`);
      texts.push(`after ${end}`);
      await eventually(async () => (await seenBy(page)).texts.length >= texts.length, 'the page has them all');
    }
    await postBy(proxy, alice, chat, 'last');
    await eventually(async () => (await seenBy(page)).texts.includes('last'), 'the page has the last');
    assert.deepEqual((await seenBy(page)).texts, [...texts, 'last']);
  });

  test(`${kind}: posting goes on over a restart, with the same keys, and nothing is lost or doubled`, async (t) => {
    const { proxy, server, alice, bob, chat } = await makeWorld(t, kind);
    const texts = Array.from({ length: 30 }, (_, i) => `text ${i}`);
    const restarted = delay(200).then(() => server.stop()).then(() => server.restart());
    for (const text of texts) {
      await eventually(async () => {
        const answer = await tryPost(proxy, alice, chat, text);
        assert.ok([200, 201, 503].includes(answer.status), `${answer.status} ${answer.text}`);
        return answer.status !== 503;
      }, `${text} is posted`);
    }
    await restarted;
    assert.deepEqual((await wholeHistory(bob, chat)).map((message) => message.text), texts);
  });

  test(`${kind}: files go up and down whole, in one piece and in parts`, async (t) => {
    const { proxy, alice, bob } = await makeWorld(t, kind, { PARLEY_MEDIA_PART_ABOVE: '6MiB', PARLEY_MEDIA_PART_SIZE: '5MiB' });
    const folder = mkdtempSync(path.join(tmpdir(), 'parley-upload-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const chat = await createDirect(alice, bob);
    for (const size of [5 * MIB, 12 * MIB]) {
      const bytes = someBytes(size);
      const media = await uploadBy(proxy, alice, bytes, folder);
      expectStatus(await alice.post(`/v1/chats/${chat.id}/messages`, { attachments: [media.id] }), 201);
      const redirect = await curl(proxy, `/v1/media/${media.id}/content`, { token: bob.token });
      assert.equal(redirect.status, 307);
      assert.ok(redirect.headers.location.startsWith(`${proxy.origin}/blobs/`), redirect.headers.location);
      const content = await curl(proxy, redirect.headers.location);
      assert.ok(content.bytes.equals(bytes), `${content.status}, ${content.bytes.length} bytes`);
    }
  });

  test(`${kind}: a stream on which nothing is said stays`, async (t) => {
    const { proxy, alice, bob, chat } = await makeWorld(t, kind, { PARLEY_HEARTBEAT: '1h' });
    const stream = await openCurlStream(t, proxy, { token: bob.token });
    const count = stream.frames.length;
    // The time is what is tested.
    await delay(QUIET_MS);
    assert.deepEqual([stream.closed, stream.frames.length], [false, count]);
    await postBy(proxy, alice, chat, 'still there?');
    assert.equal((await stream.next('message.created')).json.message.text, 'still there?');
  });

  test(`${kind}: a client's address is where it comes from, whatever it says`, async (t) => {
    const limits = { PARLEY_RATE_LIMIT: 'on', PARLEY_RATE_LOGIN: '3' };
    const { proxy, alice } = await makeWorld(t, kind, limits);
    const body = { username: alice.username, password: PASSWORD };
    const logIn = (from, address) => curl(proxy, '/v1/sessions', { from, body: { ...body, username: `nobody-${address}` }, headers: { 'X-Forwarded-For': address } });
    const statuses = [];
    for (let i = 1; i <= 12; i++) statuses.push((await logIn('127.0.0.1', `192.0.2.${i}`)).status);
    assert.ok(statuses.includes(429), `nothing was refused: ${statuses}`);
    assert.equal((await logIn('127.0.0.2', '192.0.2.99')).status, 401);
  });

  test(`${kind}: metrics are kept inside, plain HTTP is sent to TLS, and the log has no secrets`, async (t) => {
    const { proxy, bob } = await makeWorld(t, kind);
    assert.equal((await curl(proxy, '/metrics')).status, 404);
    assert.equal((await curl(proxy, '/healthz')).status, 200);
    for (const page of ['/', '/docs']) assert.match((await curl(proxy, page)).headers['content-type'], /^text\/html/, page);
    const plain = await curl(proxy, `http://localhost:${proxy.plainPort}/v1/chats?limit=1`);
    assert.equal(plain.status, 308);
    assert.match(plain.headers.location, /^https:\/\/localhost(:\d+)?\/v1\/chats\?limit=1$/);
    const { ticket } = expectStatus(await bob.post('/v1/events/ticket'), 201);
    const stream = new CurlStream(proxy, { token: bob.token });
    await stream.next('ready');
    await curl(proxy, `/healthz?ticket=${ticket}`);
    stream.cut();
    await eventually(() => proxy.log().includes('/v1/events'), 'the stream is in the log');
    assert.ok(!proxy.log().includes(ticket), 'the log has the ticket');
  });

  test(`${kind}: a new stream goes where the fewest are`, async (t) => {
    const proxy = await prepareProxy(t, kind);
    const nodes = [await startNode(t), await startNode(t)];
    await proxy.start(nodes.map((node) => node.port));
    await eventually(async () => (await curl(proxy, '/readyz')).status === 200, 'the proxy knows its nodes');
    const open = () => new CurlStream(proxy, {});
    const streams = [open(), open(), open(), open()];
    t.after(() => streams.forEach((stream) => stream.cut()));
    await eventually(() => nodes.every((node) => node.streams.size === 2), 'two streams at each node');
    for (const response of nodes[0].streams) response.destroy();
    await eventually(() => nodes[0].streams.size === 0, 'its streams have ended');
    streams.push(open(), open());
    await eventually(() => nodes[0].streams.size === 2, 'both go where none is left');
    assert.equal(nodes[1].streams.size, 2);
  });
}

// Mostly they wait, so both proxies are tried beside each other.
describe('behind a proxy', { concurrency: true }, () => {
  for (const kind of PROXIES) describe(kind, { concurrency: 1 }, () => testBehind(kind));
});

// What a balancer sees of a node: it is ready, and has streams.
async function startNode(t) {
  const node = { streams: new Set() };
  const server = http.createServer((request, response) => {
    if (request.url !== '/v1/events') return response.end('ready');
    response.writeHead(200, { 'Content-Type': 'text/event-stream', Connection: 'close' }).flushHeaders();
    node.streams.add(response);
    response.on('close', () => node.streams.delete(response));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  node.port = server.address().port;
  return node;
}

// ---- Uploads, by curl

async function put(folder, { method, url, headers }, bytes, proxy) {
  const file = path.join(folder, 'upload');
  writeFileSync(file, bytes);
  const answer = await curl(proxy, url, { method, file, headers });
  assert.deepEqual([answer.status, answer.version], [200, '2'], answer.text);
}

async function uploadBy(proxy, account, bytes, folder) {
  const by = async (route, body) => {
    const answer = await curl(proxy, route, { method: 'POST', token: account.token, body });
    assert.ok(answer.status < 300, answer.text);
    return answer.body;
  };
  const media = await by('/v1/media', announcementOf(bytes, { content_type: 'application/octet-stream' }));
  if (media.upload.kind === 'multipart') await putParts(proxy, by, media, bytes, folder);
  else await put(folder, media.upload, bytes, proxy);
  return by(`/v1/media/${media.id}/complete`, {});
}

async function putParts(proxy, by, media, bytes, folder) {
  const { part_size, part_count } = media.upload;
  const parts = Array.from({ length: part_count }, (_, i) => bytes.subarray(i * part_size, (i + 1) * part_size));
  const signed = await by(`/v1/media/${media.id}/parts`, { parts: parts.map((part, i) => ({ number: i + 1, md5: md5Of(part) })) });
  for (const [i, part] of parts.entries()) await put(folder, signed.parts[i], part, proxy);
}
