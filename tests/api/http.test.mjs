// What HTTP promises about reads, whatever they read: HEAD, OPTIONS, tags, compression, lengths and connections.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { createGroup, createLink, expectProblem, expectStatus, getChat, postMany, postMessage, register, scheduleMessage } from '../support/client.mjs';
import { MIB, announce, someBytes, upload } from '../support/media.mjs';
import { RawSocket, requestBytes } from '../support/raw.mjs';
import { readRoutes, startServer } from '../support/server.mjs';
import { THUMB } from './authorisation.mjs';

const server = await startServer({ env: { PARLEY_EDIT_HISTORY: 'on' } });
after(() => server.dispose());
const alice = await register(server, 'alice');
const bearer = { Authorization: `Bearer ${alice.token}` };

const QUERIES = {
  '/v1/users': `username=${alice.username}`,
  '/v1/presence': `user_ids=${alice.id}`,
  '/v1/chats/{chat_id}/messages/{message_id}/reactions': `emoji=${THUMB}`,
};
// These have URLs that work for whoever has them, or their state of this moment, or another answer than JSON.
const UNTAGGED = ['/v1/media/{media_id}', '/v1/media/{media_id}/parts', '/v1/media/{media_id}/content', '/healthz', '/readyz', '/metrics'];
const PAGES = ['/', '/{page}', '/openapi.yaml'];

let ids;
let reads; // every route of GET but the stream and the storage's: {route, path}
before(async () => {
  const chat = await createGroup(alice);
  const message = await postMessage(alice, chat, 'before');
  expectStatus(await alice.patch(`/v1/chats/${chat.id}/messages/${message.id}`, { text: 'after' }), 200);
  const inParts = await announce(alice, someBytes(), { size: 40 * MIB, content_type: 'video/mp4' });
  const media = await upload(alice, someBytes());
  const link = await createLink(alice, chat);
  const scheduled = await scheduleMessage(alice, chat);
  ids = { chat_id: chat.id, message_id: message.id, user_id: alice.id, device_id: alice.device.id, media_id: media.id, link_id: link.id };
  Object.assign(ids, { token: link.token, scheduled_id: scheduled.id, emoji: THUMB, page: 'docs', object: 'none', in_parts: inParts.id });
  const routes = (await readRoutes()).filter(({ method }) => method === 'GET').map((route) => route.path);
  reads = routes.filter((route) => route !== '/v1/events' && route !== '/blobs/{object}').map((route) => ({ route, path: pathOf(route) }));
});

function pathOf(route) {
  const template = route.replace('{media_id}/parts', '{in_parts}/parts');
  const path = template.replace(/\{([^}]*)\}/g, (_, name) => ids[name]);
  return QUERIES[route] ? `${path}?${QUERIES[route]}` : path;
}

// The answer with its body as bytes, by a connection of its own.
function fetchBytes(path, { method = 'GET', headers = {} } = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port: server.port, method, path, headers: { ...bearer, ...headers } }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, bytes: Buffer.concat(chunks) }));
    });
    request.on('error', reject);
    request.end();
  });
}

function postBytes(path, text, key) {
  return requestBytes('POST', path, { ...bearer, 'Content-Type': 'application/json', 'Idempotency-Key': key }, JSON.stringify({ text }));
}

const knownTo = (answer) => ({ headers: { 'If-None-Match': answer.headers.etag } });

// The same as the other clients see it.
const ask = (path, method = 'GET', options = {}) => alice.request(method, path, options);

test('HEAD answers what GET does, but for the body', async () => {
  const lively = ['/metrics', '/v1/media/{media_id}', '/v1/media/{media_id}/content'];
  for (const { route, path } of reads) {
    const [get, head] = [await ask(path), await ask(path, 'HEAD')];
    assert.ok(get.status < 400, `${route}: ${get.status} ${get.text}`);
    assert.equal(head.status, get.status, route);
    assert.equal(head.text, '', route);
    assert.equal(head.headers['content-type'], get.headers['content-type'], route);
    assert.equal(head.headers.etag, get.headers.etag, route);
    if (!lively.includes(route)) assert.equal(head.headers['content-length'], get.headers['content-length'], route);
  }
});

test('OPTIONS names the methods of every path', async () => {
  const methods = new Map();
  for (const { method, path } of await readRoutes()) methods.set(path, [...(methods.get(path) ?? []), method]);
  for (const [route, known] of methods) {
    const { status, headers, bytes } = await fetchBytes(pathOf(route), { method: 'OPTIONS' });
    assert.equal(status, 204, route);
    assert.equal(bytes.length, 0, route);
    const expected = [...known, 'OPTIONS', ...(known.includes('GET') ? ['HEAD'] : [])];
    assert.deepEqual(headers.allow.split(', ').sort(), expected.sort(), route);
  }
  assert.equal((await fetchBytes('/v1/nothing', { method: 'OPTIONS' })).status, 404);
});

test('what was read has a tag, and is not sent to whoever has it', async () => {
  for (const { route, path } of reads) {
    const first = await ask(path);
    if (UNTAGGED.includes(route)) {
      assert.equal(first.headers.etag, undefined, route);
      continue;
    }
    assert.match(first.headers.etag ?? '', /^(W\/)?"[^"]+"$/, route);
    const second = await ask(path, 'GET', knownTo(first));
    assert.equal(second.status, 304, route);
    assert.equal(second.text, '', route);
    assert.equal(second.headers.etag, first.headers.etag, route);
    assert.equal(second.headers['content-length'], first.headers['content-length'], route);
    assert.equal((await ask(path, 'GET', { headers: { 'If-None-Match': '"other"' } })).status, 200, route);
  }
});

test('the tag of a list changes when the list does, and not with what happens elsewhere', async () => {
  const bob = await register(server, 'bob');
  const chat = await createGroup(alice);
  for (const path of ['/v1/chats', `/v1/chats/${chat.id}/messages`]) {
    const first = await fetchBytes(path);
    const elsewhere = await createGroup(bob);
    await postMessage(bob, elsewhere, 'not for alice');
    const second = await fetchBytes(path);
    assert.notEqual(JSON.parse(second.bytes).as_of, JSON.parse(first.bytes).as_of);
    assert.equal(second.headers.etag, first.headers.etag, path);
    assert.equal((await fetchBytes(path, knownTo(first))).status, 304);
    await postMessage(alice, chat, 'here');
    const third = await fetchBytes(path, knownTo(first));
    assert.equal(third.status, 200);
    assert.notEqual(third.headers.etag, first.headers.etag, path);
  }
});

test('a text that looks like as_of counts as text', async () => {
  const chat = await createGroup(alice);
  const message = await postMessage(alice, chat, 'x ,"as_of":"1"');
  const path = `/v1/chats/${chat.id}/messages/${message.id}`;
  const first = await fetchBytes(path);
  expectStatus(await alice.patch(path, { text: 'x ,"as_of":"2"' }), 200);
  assert.notEqual((await fetchBytes(path)).headers.etag, first.headers.etag);
});

const GZIP = { 'Accept-Encoding': 'gzip' };

test('longer reads are compressed for those who take it, and are the same', async () => {
  const chat = await createGroup(alice);
  await postMany(alice, chat, 30, 'some text that is long enough to be worth it');
  const path = `/v1/chats/${chat.id}/messages?limit=30`;
  const [plain, packed] = [await fetchBytes(path), await fetchBytes(path, { headers: GZIP })];
  assert.equal(plain.headers['content-encoding'], undefined);
  assert.equal(packed.headers['content-encoding'], 'gzip');
  for (const { headers } of [plain, packed]) assert.match(headers.vary, /\bAccept-Encoding\b/);
  assert.ok(gunzipSync(packed.bytes).equals(plain.bytes));
  assert.equal(packed.headers['content-length'], String(packed.bytes.length));
  assert.ok(packed.bytes.length < plain.bytes.length / 2);
  const head = await fetchBytes(path, { method: 'HEAD', headers: GZIP });
  assert.equal(head.headers['content-length'], packed.headers['content-length']);
  const known = await fetchBytes(path, { headers: { ...GZIP, ...knownTo(plain).headers } });
  assert.equal(known.status, 304);
  assert.equal(known.headers['content-length'], packed.headers['content-length']);
  assert.equal((await fetchBytes(path, { headers: { 'Accept-Encoding': 'br, gzip;q=0' } })).headers['content-encoding'], undefined);
});

test('short answers, writes and errors are sent as they are', async () => {
  const chat = await createGroup(alice);
  const text = 'a long text '.repeat(500);
  const posted = await alice.post(`/v1/chats/${chat.id}/messages`, { text }, { headers: GZIP });
  assert.equal(expectStatus(posted, 201).text, text);
  for (const path of ['/v1/users/me', '/v1/nothing', '/v1/chats?limit=0']) {
    assert.equal((await fetchBytes(path, { headers: GZIP })).headers['content-encoding'], undefined, path);
  }
});

test('what gives access is neither compressed nor tagged', async () => {
  const bytes = someBytes();
  const thumbnail = await upload(alice, someBytes(), { content_type: 'image/png' });
  const file = await upload(alice, bytes, { file_name: `${'long name '.repeat(20)}.txt`, content_type: 'image/png', thumbnail_id: thumbnail.id });
  const { headers, bytes: body } = await fetchBytes(`/v1/media/${file.id}`, { headers: GZIP });
  assert.ok(body.length > 1024, `${body.length} bytes would not have been compressed anyway`);
  assert.ok(JSON.parse(body).url);
  for (const name of ['content-encoding', 'etag']) assert.equal(headers[name], undefined);
});

test('bodies that are compressed are refused, with what is taken instead', async () => {
  const coded = { headers: { 'Content-Encoding': 'gzip' } };
  const answer = await alice.post('/v1/chats', { type: 'group', title: 'x', member_ids: [] }, coded);
  expectProblem(answer, 415, 'unsupported_media_type', 'Content-Encoding');
  assert.equal(answer.headers['accept-encoding'], 'identity');
  const plain = { headers: { 'Content-Encoding': 'identity' } };
  expectStatus(await alice.post('/v1/chats', { type: 'group', title: 'x', member_ids: [] }, plain), 201);
});

test('one connection carries reads of all kinds, sent at once', async (t) => {
  const chat = await createGroup(alice);
  await postMany(alice, chat, 10, 'some text that is long enough to be worth it');
  const path = `/v1/chats/${chat.id}/messages`;
  const { headers } = await fetchBytes(path);
  const raw = await RawSocket.connectFor(t, server.port);
  const requests = [
    requestBytes('GET', path, { ...bearer, ...GZIP }),
    requestBytes('GET', path, { ...bearer, 'If-None-Match': headers.etag }),
    requestBytes('OPTIONS', path, bearer),
    requestBytes('GET', '/docs', GZIP),
    requestBytes('GET', path, { ...bearer, ...GZIP, 'If-None-Match': `"x", ${headers.etag}` }),
    requestBytes('GET', '/v1/nothing', bearer),
    requestBytes('GET', '/healthz', { Connection: 'close' }),
  ];
  raw.write(Buffer.concat(requests));
  const answers = await raw.responses(requests.length);
  assert.deepEqual(answers.map((answer) => answer.status), [200, 304, 204, 200, 304, 404, 200]);
  await raw.end();
});

test('a connection is kept for the next request, HEAD and 304 included', async (t) => {
  const { headers } = await fetchBytes('/v1/users/me');
  const raw = await RawSocket.connectFor(t, server.port);
  const head = /^HTTP\/1\.1 200 [^]*?\r\n\r\n$/;
  raw.write(requestBytes('HEAD', '/v1/users/me', bearer));
  await raw.until(() => head.test(raw.text), 'the head');
  assert.match(raw.text, /^content-length: [1-9]/im);
  raw.received = Buffer.alloc(0);
  for (let i = 1; i <= 3; i++) {
    raw.write(requestBytes('GET', '/v1/users/me', { ...bearer, 'If-None-Match': headers.etag }));
    assert.equal((await raw.responses(i))[i - 1].status, 304);
  }
  assert.ok(!raw.closed);
});

test('posts that were sent at once on one connection are answered and stored in their order', async (t) => {
  const chat = await createGroup(alice);
  const path = `/v1/chats/${chat.id}/messages`;
  const raw = await RawSocket.connectFor(t, server.port);
  const posts = Array.from({ length: 20 }, (_, i) => postBytes(path, `post ${i}`, `ordered-${i}`));
  raw.write(Buffer.concat([...posts, requestBytes('GET', '/v1/users/me', bearer)]));
  const answers = await raw.responses(posts.length + 1);
  assert.deepEqual(answers.map((answer) => answer.status), [...posts.map(() => 201), 200]);
  assert.deepEqual(answers.slice(0, -1).map((answer) => answer.body.seq), posts.map((_, i) => i + 1));
});

// Large posts make commits slow enough that connections break before, while and after their posts are committed.
test('of posts whose connections break each is stored once when it is repeated, and no other request suffers', async () => {
  const chat = await createGroup(alice);
  const path = `/v1/chats/${chat.id}/messages`;
  const texts = Array.from({ length: 60 }, (_, i) => `${i} `.padEnd(50000, 'x'));
  const broken = texts.map(async (text, i) => {
    const raw = await RawSocket.connect(server.port);
    await raw.writeAll(postBytes(path, text, `broken-${i}`));
    await delay(i % 12);
    raw.socket.resetAndDestroy();
  });
  await Promise.all([...broken, postMany(alice, chat, 20, 'unbroken')]);
  const repeated = await Promise.all(texts.map((text, i) => alice.post(path, { text }, { headers: { 'Idempotency-Key': `broken-${i}` } })));
  assert.equal(new Set(repeated.map((response) => expectStatus(response, 200, 201).id)).size, texts.length);
  assert.equal((await getChat(alice, chat)).last_seq, texts.length + 20);
});
