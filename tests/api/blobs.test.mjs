// Presigned URLs of the embedded storage: what the server takes, gives and refuses at /blobs/.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readlinkSync, unlinkSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { openPage, skip, startSite } from '../support/browser.mjs';
import { createGroup, expectProblem, expectStatus, parseJson, postMessage, register } from '../support/client.mjs';
import { MIB, announce, complete, holdBlob, md5Of, partsOf, sendOk, signParts, someBytes, upload } from '../support/media.mjs';
import { RawSocket, parseResponses, requestBytes } from '../support/raw.mjs';
import { startServer, startServerFor } from '../support/server.mjs';
import { eventually, withDeadline } from '../support/wait.mjs';

const PAGE = 'https://chat.example';
const BLOCK = 64 * 1024;

const server = await startServer({
  env: { PARLEY_CORS_ORIGINS: PAGE, PARLEY_MEDIA_PART_ABOVE: '1GiB', PARLEY_MEDIA_PENDING: '10000', PARLEY_REQUEST_TIMEOUT: '4s' },
});
after(() => server.dispose());
const alice = await register(server, 'alice');

// --- sending and looking

const base64 = (hex) => Buffer.from(hex, 'hex').toString('base64');

// One request exactly as given: Content-Length is set only by `headers`.
function exchange(url, { method = 'GET', headers = {}, body } = {}) {
  const { hostname, port, pathname, search } = new URL(url);
  return new Promise((resolve, reject) => {
    const request = http.request({ host: hostname, port, method, path: pathname + search, headers, agent: false });
    request.on('error', reject);
    request.on('response', (response) => readAnswer(url, { method, headers, payload: body }, response).then(resolve, reject));
    request.end(body);
  });
}

async function readAnswer(url, request, response) {
  const chunks = [];
  for await (const chunk of response) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  const isJson = /json/.test(response.headers['content-type'] ?? '');
  const answer = { status: response.statusCode, headers: response.headers, bytes, text: isJson ? bytes.toString() : '', body: isJson ? parseJson(bytes.toString()) : undefined };
  holdBlob(url, request, answer);
  return { method: request.method, path: new URL(url).pathname, ...answer };
}

function put({ url, headers }, bytes, changed = {}) {
  const all = { ...headers, 'content-length': bytes.length, ...changed.headers };
  for (const name of Object.keys(all)) if (all[name] === null) delete all[name];
  return exchange(changed.url ?? url, { method: changed.method ?? 'PUT', headers: all, body: bytes });
}

function filesIn(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const full = path.join(folder, entry.name);
    return entry.isDirectory() ? filesIn(full) : [full];
  });
}
const linkOf = (file) => (existsSync(file) ? readlinkSync(file) : '');
const openFiles = ({ child }) => readdirSync(`/proc/${child.pid}/fd`).map((fd) => linkOf(`/proc/${child.pid}/fd/${fd}`));
const storedFiles = (of = server) => filesIn(path.join(of.dataDir, 'media', 'objects'));
const incomingFiles = (of = server) => readdirSync(path.join(of.dataDir, 'media', 'incoming'));
const keyOf = (url) => decodeURIComponent(new URL(url).pathname.replace('/blobs/', ''));
const isStored = (url) => storedFiles().some((file) => path.basename(file) === keyOf(url));

async function refusedPut(media, bytes, status, code, changed) {
  expectProblem(await put(media.upload, bytes, changed), status, code);
  assert.equal(isStored(media.upload.url), false);
  await eventually(() => incomingFiles().length === 0, 'nothing left behind');
}

// An upload whose body is still to come.
async function beginPut(t, of, media, size) {
  const { pathname, search } = new URL(media.upload.url);
  const raw = await RawSocket.connectFor(t, of.port);
  raw.write(requestBytes('PUT', pathname + search, { ...media.upload.headers, Host: `127.0.0.1:${of.port}`, 'Content-Length': size }));
  return raw;
}

function withQuery(url, name, value) {
  const changed = new URL(url);
  if (value === null) changed.searchParams.delete(name);
  else changed.searchParams.set(name, value);
  return changed.href;
}

// --- uploads

for (const size of [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 10 * MIB + 7]) {
  test(`${size} bytes arrive as they were sent`, async () => {
    const bytes = someBytes(size);
    const media = await announce(alice, bytes);
    const answer = await put(media.upload, bytes);
    expectStatus(answer, 200);
    assert.equal(answer.headers.etag, `"${md5Of(bytes)}"`);
    assert.equal(answer.headers['content-length'], '0');
    const { url } = await complete(alice, media);
    const got = await exchange(url);
    expectStatus(got, 200);
    assert.ok(got.bytes.equals(bytes));
  });
}

test('the same URL works again, with the same bytes only', async () => {
  const bytes = someBytes();
  const media = await announce(alice, bytes);
  expectStatus(await put(media.upload, bytes), 200);
  expectStatus(await put(media.upload, bytes), 200);
  expectProblem(await put(media.upload, someBytes()), 400, 'bad_digest');
  const { url } = await complete(alice, media);
  assert.ok((await exchange(url)).bytes.equals(bytes));
});

test('a body in many small pieces with pauses is received', async (t) => {
  const bytes = someBytes(8);
  const media = await announce(alice, bytes);
  const { pathname, search } = new URL(media.upload.url);
  const raw = await RawSocket.connectFor(t, server.port);
  raw.write(requestBytes('PUT', pathname + search, { ...media.upload.headers, Host: `127.0.0.1:${server.port}`, 'Content-Length': '8' }));
  for (const byte of bytes) {
    await delay(600); // together longer than PARLEY_REQUEST_TIMEOUT
    raw.write(Buffer.from([byte]));
  }
  await raw.until(() => parseResponses(raw.received).length > 0);
  expectStatus(parseResponses(raw.received)[0], 200);
});

test('a body that stops coming is cut off, and leaves nothing', async (t) => {
  const bytes = someBytes(3 * BLOCK);
  const media = await announce(alice, bytes);
  const { pathname, search } = new URL(media.upload.url);
  const raw = await RawSocket.connectFor(t, server.port);
  raw.write(requestBytes('PUT', pathname + search, { ...media.upload.headers, Host: `127.0.0.1:${server.port}`, 'Content-Length': bytes.length }));
  raw.write(bytes.subarray(0, 2 * BLOCK));
  await eventually(() => incomingFiles().length === 1, 'a file on its way');
  await raw.until(() => raw.closed);
  await eventually(() => incomingFiles().length === 0, 'nothing left behind');
  assert.equal(isStored(media.upload.url), false);
});

test('a connection that dies in the middle leaves nothing', async () => {
  const bytes = someBytes(5 * BLOCK);
  const media = await announce(alice, bytes);
  const { pathname, search } = new URL(media.upload.url);
  for (const sent of [0, 1, BLOCK - 1, BLOCK, 4 * BLOCK, 5 * BLOCK - 1]) {
    const raw = await RawSocket.connect(server.port);
    raw.write(requestBytes('PUT', pathname + search, { ...media.upload.headers, Host: `127.0.0.1:${server.port}`, 'Content-Length': bytes.length }));
    await raw.writeAll(bytes.subarray(0, sent));
    raw.destroy();
  }
  await eventually(() => incomingFiles().length === 0, 'nothing left behind');
  assert.equal(isStored(media.upload.url), false);
  expectStatus(await put(media.upload, bytes), 200);
});

test('Expect: 100-continue is answered for what may be sent, and refused without a body', async (t) => {
  const bytes = someBytes(100);
  const media = await announce(alice, bytes);
  const { pathname, search } = new URL(media.upload.url);
  const head = { ...media.upload.headers, Host: `127.0.0.1:${server.port}`, 'Content-Length': 100, Expect: '100-continue' };
  const good = await RawSocket.connectFor(t, server.port);
  good.write(requestBytes('PUT', pathname + search, head));
  await good.until(() => /^HTTP\/1.1 100 /.test(good.text));
  good.write(bytes);
  await good.until(() => parseResponses(good.received).length > 0);
  expectStatus(parseResponses(good.received)[0], 200);
  const bad = await RawSocket.connectFor(t, server.port);
  bad.write(requestBytes('PUT', `${pathname}x${search}`, head));
  await bad.until(() => parseResponses(bad.received).length > 0);
  expectProblem(parseResponses(bad.received)[0], 403, 'bad_signature');
  assert.doesNotMatch(bad.text, / 100 /);
});

test('what does not fit the signature is refused', async () => {
  const bytes = someBytes();
  const media = await announce(alice, bytes);
  const { url, headers } = media.upload;
  const changes = {
    'another method': [{ method: 'POST' }, 405, 'method_not_allowed'],
    'another host': [{ headers: { host: 'example.org' } }],
    'another object': [{ url: url.replace('/blobs/', '/blobs/9') }],
    'a deeper object': [{ url: url.replace('?', '/x?') }],
    'another type': [{ headers: { 'content-type': 'text/html' } }],
    'no type': [{ headers: { 'content-type': null } }],
    'another MD5': [{ headers: { 'content-md5': base64(md5Of(Buffer.from('x'))) } }],
    'no MD5': [{ headers: { 'content-md5': null } }],
    'an ACL': [{ headers: { 'x-amz-acl': 'public-read' } }],
    'a copy': [{ headers: { 'x-amz-copy-source': '/blobs/1' } }],
    'many x-amz headers': [{ headers: Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`x-amz-meta-${i}`, 'x'])) }],
    'another signature': [{ url: withQuery(url, 'X-Amz-Signature', 'f'.repeat(64)) }],
    'no signature': [{ url: withQuery(url, 'X-Amz-Signature', null) }],
    'nothing of the query': [{ url: url.replace(/\?.*/, '') }],
    'more time': [{ url: withQuery(url, 'X-Amz-Expires', '604800') }],
    'a later date': [{ url: withQuery(url, 'X-Amz-Date', '20990101T000000Z') }],
    'fewer signed headers': [{ url: withQuery(url, 'X-Amz-SignedHeaders', 'host') }],
    'another key': [{ url: withQuery(url, 'X-Amz-Credential', 'other/20990101/local/s3/aws4_request') }],
    'a part': [{ url: `${url}&partNumber=1&uploadId=${'0'.repeat(32)}` }],
    'an unknown argument': [{ url: `${url}&acl=` }, 400, 'bad_query'],
    'an argument twice': [{ url: `${url}&X-Amz-Expires=1` }, 400, 'bad_query'],
  };
  assert.ok(headers['content-type'] && headers['content-md5']);
  for (const [name, [changed, status = 403, code = 'bad_signature']] of Object.entries(changes)) {
    await assert.doesNotReject(refusedPut(media, bytes, status, code, changed), name);
  }
  expectStatus(await put(media.upload, bytes), 200);
});

test('a wrong length is refused', async (t) => {
  const bytes = someBytes(100);
  const media = await announce(alice, bytes);
  for (const wrong of [someBytes(99), someBytes(101), Buffer.alloc(0)]) await refusedPut(media, wrong, 403, 'bad_signature');
  const { pathname, search } = new URL(media.upload.url);
  const raw = await RawSocket.connectFor(t, server.port);
  raw.write(requestBytes('PUT', pathname + search, { ...media.upload.headers, Host: `127.0.0.1:${server.port}`, 'Content-Length': 6e9 }));
  await raw.until(() => parseResponses(raw.received).length > 0);
  expectProblem(parseResponses(raw.received)[0], 413, 'body_too_large');
});

test('a body without a length is refused', async () => {
  const bytes = someBytes(100);
  const media = await announce(alice, bytes);
  const answer = await exchange(media.upload.url, { method: 'PUT', headers: { ...media.upload.headers, 'transfer-encoding': 'chunked' }, body: bytes });
  expectProblem(answer, 400, 'bad_request', 'Content-Length');
});

test('bytes of another MD5 are refused, small or large', async () => {
  for (const size of [100, 2 * BLOCK, 3 * BLOCK + 1]) await refusedPut(await announce(alice, someBytes(size)), someBytes(size), 400, 'bad_digest');
});

test('an expired URL is refused', async (t) => {
  const other = await startServerFor(t, { env: { PARLEY_MEDIA_UPLOAD_TTL: '4s', PARLEY_MEDIA_DOWNLOAD_TTL: '4s' } });
  const bob = await register(other, 'bob');
  const content = someBytes();
  const media = await announce(bob, content);
  await put(media.upload, content);
  const { url } = await complete(bob, media);
  await eventually(async () => expectProblem(await put(media.upload, content), 403, 'url_expired'), 'the end of the upload URL');
  await eventually(async () => expectProblem(await exchange(url), 403, 'url_expired'), 'the end of the download URL');
});

test('an upload that ends after its URL leaves nothing, not even when its row is gone', async (t) => {
  const other = await startServerFor(t, { env: { PARLEY_MEDIA_UPLOAD_TTL: '4s', PARLEY_CLEANUP_INTERVAL: '100ms' } });
  const bob = await register(other, 'bob');
  const bytes = someBytes(100);
  const media = await announce(bob, bytes);
  const raw = await beginPut(t, other, media, bytes.length);
  raw.write(bytes.subarray(0, 50));
  expectStatus(await bob.delete(`/v1/media/${media.id}`), 204);
  await delay(6500); // the row goes a second after the URL
  raw.write(bytes.subarray(50));
  await raw.until(() => parseResponses(raw.received).length > 0);
  expectProblem(parseResponses(raw.received)[0], 403, 'url_expired');
  assert.deepEqual(storedFiles(other), []);
  await eventually(() => incomingFiles(other).length === 0, 'nothing left behind');
});

test('parts are received, and only those that were signed', async (t) => {
  const other = await startServerFor(t, { env: { PARLEY_MEDIA_PART_ABOVE: '5MiB', PARLEY_MEDIA_PART_SIZE: '5MiB' } });
  const bob = await register(other, 'bob');
  const bytes = someBytes(11 * MIB);
  const media = await announce(bob, bytes, { content_type: 'video/mp4' });
  const parts = partsOf(media, bytes);
  const signed = await signParts(bob, media, parts);
  expectProblem(await put(signed[0], parts[1].bytes), 400, 'bad_digest');
  expectProblem(await put(signed[0], parts[0].bytes, { url: signed[0].url.replace('partNumber=1', 'partNumber=2') }), 403, 'bad_signature');
  for (const [i, part] of parts.entries()) assert.equal((await sendOk(signed[i], part.bytes)).headers.etag, `"${md5Of(part.bytes)}"`);
  const { url } = await complete(bob, media);
  assert.ok((await exchange(url)).bytes.equals(bytes));
  expectProblem(await put(signed[0], parts[0].bytes), 404, 'not_found');
  assert.equal(storedFiles(other).length, 1);
});

test('many uploads at once all arrive', async () => {
  await Promise.all(Array.from({ length: 40 }, async (_, i) => {
    const bytes = someBytes(i * 20_000 + 1);
    const { url } = await upload(alice, bytes);
    assert.ok((await exchange(url)).bytes.equals(bytes));
  }));
  assert.equal(incomingFiles().length, 0);
});

test('posts go on beside an upload and a download of 200 MB', async () => {
  const bytes = Buffer.alloc(200 * MIB, someBytes(MIB));
  const media = await announce(alice, bytes, { content_type: 'video/mp4' });
  const chat = await createGroup(alice);
  let sending = true;
  const times = [];
  const posting = (async () => {
    while (sending || times.length < 20) {
      const start = performance.now();
      await postMessage(alice, chat, 'beside');
      times.push(performance.now() - start);
    }
  })();
  expectStatus(await put(media.upload, bytes), 200);
  const { url } = await complete(alice, media);
  const got = await exchange(url);
  sending = false;
  await posting;
  assert.ok(got.bytes.equals(bytes));
  times.sort((a, b) => a - b);
  assert.ok(times[Math.floor(times.length / 2)] < 500, `the median post took ${times[Math.floor(times.length / 2)]} ms of ${times.length}`);
});

test('a server that stops in the middle of transfers stops, and the next one tidies up', async (t) => {
  const other = await startServerFor(t);
  const bob = await register(other, 'bob');
  const bytes = someBytes(4 * BLOCK);
  const media = await announce(bob, bytes);
  const { pathname, search } = new URL(media.upload.url);
  const raw = await RawSocket.connectFor(t, other.port);
  raw.write(requestBytes('PUT', pathname + search, { ...media.upload.headers, Host: `127.0.0.1:${other.port}`, 'Content-Length': bytes.length }));
  raw.write(bytes.subarray(0, 2 * BLOCK));
  await eventually(() => incomingFiles(other).length === 1, 'a file on its way');
  await other.kill();
  assert.equal(incomingFiles(other).length, 1);
  await other.start();
  assert.equal(incomingFiles(other).length, 0);
});

// --- downloads

const bytes = someBytes(3 * BLOCK + 100);
const file = await upload(alice, bytes, { file_name: 'a b.png' });

test('a download says what it is and is not run', async () => {
  const { status, headers } = await exchange(file.url);
  assert.equal(status, 200);
  assert.equal(headers['content-type'], 'image/png');
  assert.equal(headers['content-length'], String(bytes.length));
  assert.equal(headers.etag, `"${md5Of(bytes)}"`);
  assert.equal(headers['accept-ranges'], 'bytes');
  assert.equal(headers['cache-control'], 'private');
  assert.equal(headers['x-content-type-options'], 'nosniff');
  assert.match(headers['content-disposition'], /^inline; filename="a b.png"/);
  assert.match(headers['content-security-policy'], /default-src 'none'.*sandbox/);
  assert.ok(Math.abs(Date.parse(headers['last-modified']) - Date.now()) < 600_000);
});

test('HTML is a download of unknown type', async () => {
  const { url } = await upload(alice, Buffer.from('<script>alert(1)</script>'), { content_type: 'text/html' });
  const { headers } = await exchange(url);
  assert.equal(headers['content-type'], 'application/octet-stream');
  assert.match(headers['content-disposition'], /^attachment/);
});

test('HEAD tells the same without the bytes', async () => {
  const [got, head] = [await exchange(file.url), await exchange(file.url, { method: 'HEAD', headers: { range: 'bytes=0-9' } })];
  assert.equal(head.status, 200);
  assert.equal(head.bytes.length, 0);
  for (const name of ['content-length', 'content-type', 'etag', 'last-modified', 'accept-ranges', 'content-disposition']) {
    assert.equal(head.headers[name], got.headers[name], name);
  }
});

const last = () => bytes.length - 1;
const RANGES = {
  'bytes=0-0': () => [0, 0],
  'bytes=10-19': () => [10, 19],
  'bytes=65530-65545': () => [65530, 65545],
  'bytes=100-': () => [100, last()],
  'bytes=-5': () => [last() - 4, last()],
  'bytes=-99999999999999999999999': () => [0, last()],
  'bytes=5-99999999999999999999999': () => [5, last()],
};
for (const [range, expected] of Object.entries(RANGES)) {
  test(`Range: ${range} gets its bytes`, async () => {
    const [first, end] = expected();
    const got = await exchange(file.url, { headers: { range } });
    expectStatus(got, 206);
    assert.equal(got.headers['content-range'], `bytes ${first}-${end}/${bytes.length}`);
    assert.equal(got.headers['content-length'], String(end - first + 1));
    assert.ok(got.bytes.equals(bytes.subarray(first, end + 1)));
  });
}

for (const range of ['bytes=0-1,5-6', 'lines=1-2', 'bytes=', 'bytes=-', 'bytes=9-8', 'bytes=a-b', 'bytes 1-2', 'bytes=1-2x']) {
  test(`Range: ${range} gets the whole`, async () => {
    const got = await exchange(file.url, { headers: { range } });
    expectStatus(got, 200);
    assert.ok(got.bytes.equals(bytes));
  });
}

for (const range of ['bytes=-0', 'bytes=999999999-', 'bytes=999999999-9999999999', 'bytes=99999999999999999999999-']) {
  test(`Range: ${range} cannot be satisfied`, async () => {
    const got = await exchange(file.url, { headers: { range } });
    expectProblem(got, 416, 'bad_range', 'Range');
    assert.equal(got.headers['content-range'], `bytes */${bytes.length}`);
  });
}

test('conditions are honoured', async () => {
  const { headers } = await exchange(file.url, { method: 'HEAD' });
  const { etag, 'last-modified': date } = headers;
  const [past, future] = [new Date(Date.parse(date) - 60_000).toUTCString(), new Date(Date.parse(date) + 60_000).toUTCString()];
  const cases = [
    [{ 'if-none-match': etag }, 304], [{ 'if-none-match': `"x", W/${etag}` }, 304], [{ 'if-none-match': '*' }, 304], [{ 'if-none-match': '"x"' }, 200],
    [{ 'if-modified-since': date }, 304], [{ 'if-modified-since': future }, 304], [{ 'if-modified-since': past }, 200],
    [{ 'if-modified-since': 'soon' }, 200], [{ 'if-none-match': '"x"', 'if-modified-since': future }, 200],
    [{ 'if-match': etag }, 200], [{ 'if-match': '*' }, 200], [{ 'if-match': '"x"' }, 412], [{ 'if-match': `W/${etag}` }, 412],
    [{ 'if-unmodified-since': date }, 200], [{ 'if-unmodified-since': past }, 412], [{ 'if-match': etag, 'if-unmodified-since': past }, 200],
    [{ range: 'bytes=0-4', 'if-range': etag }, 206], [{ range: 'bytes=0-4', 'if-range': '"x"' }, 200], [{ range: 'bytes=0-4', 'if-range': `W/${etag}` }, 200],
    [{ range: 'bytes=0-4', 'if-range': date }, 206], [{ range: 'bytes=0-4', 'if-range': future }, 200], [{ range: 'bytes=0-4', 'if-range': 'soon' }, 200],
    [{ range: 'bytes=0-4', 'if-none-match': etag }, 304],
  ];
  for (const [given, status] of cases) {
    const got = await exchange(file.url, { headers: given });
    assert.equal(got.status, status, JSON.stringify(given));
    if (status === 412) expectProblem(got, 412, 'precondition_failed');
    if (status === 304) assert.equal(got.headers.etag, etag);
    if (status === 304) assert.equal(got.bytes.length, 0);
  }
});

test('an answer of 304 leaves the connection usable', async (t) => {
  const { pathname, search } = new URL(file.url);
  const raw = await RawSocket.connectFor(t, server.port);
  const Host = `127.0.0.1:${server.port}`;
  raw.write(requestBytes('GET', pathname + search, { Host, 'If-None-Match': '*' }));
  await raw.until(() => /\r\n\r\n/.test(raw.text));
  assert.match(raw.text, /^HTTP\/1.1 304 /);
  raw.write(requestBytes('GET', pathname + search, { Host, Range: 'bytes=0-3' }));
  await raw.until(() => /HTTP\/1.1 206 /.test(raw.text));
});

test('a download by a URL that was changed is refused', async () => {
  const changed = [
    withQuery(file.url, 'response-content-type', 'text/html'),
    withQuery(file.url, 'response-content-disposition', 'inline'),
    withQuery(file.url, 'response-content-type', null),
    file.url.replace('/blobs/', '/blobs/9'),
    file.url.replace(/\?.*/, ''),
  ];
  for (const url of changed) expectProblem(await exchange(url), 403, 'bad_signature');
  expectProblem(await exchange(file.url, { method: 'PUT', headers: { 'content-length': 1 }, body: 'x' }), 400);
  expectProblem(await exchange(file.url, { method: 'DELETE' }), 405);
});

test('what is deleted is not found', async () => {
  const { url } = await upload(alice, someBytes());
  unlinkSync(storedFiles().find((name) => path.basename(name) === keyOf(url)));
  expectProblem(await exchange(url), 404, 'not_found');
});

test('a reader that goes away in the middle costs nothing', async () => {
  const big = Buffer.alloc(20 * MIB, 'x');
  const { url } = await upload(alice, big, { content_type: 'video/mp4' });
  const { pathname, search } = new URL(url);
  for (let i = 0; i < 5; i++) {
    const raw = await RawSocket.connect(server.port);
    raw.write(requestBytes('GET', pathname + search, { Host: `127.0.0.1:${server.port}` }));
    await raw.until(() => raw.received.length > i * 100_000);
    raw.destroy();
  }
  await eventually(() => !openFiles(server).some((file) => path.basename(file) === keyOf(url)), 'no file is open');
  assert.ok((await exchange(url)).bytes.equals(big));
});

async function beginDownload(of, url) {
  const raw = await RawSocket.connect(of.port);
  const { pathname, search } = new URL(url);
  raw.write(requestBytes('GET', pathname + search, { Host: `127.0.0.1:${of.port}` }));
  await raw.until(() => raw.received.length > 0);
  return raw;
}

test('a slow reader gets everything, one that stops reading is cut off', async (t) => {
  const other = await startServerFor(t, { env: { PARLEY_IDLE_TIMEOUT: '4s', PARLEY_MEDIA_PART_ABOVE: '1GiB' } });
  const bob = await register(other, 'bob');
  const big = Buffer.alloc(16 * MIB, 'x');
  const { url } = await upload(bob, big, { content_type: 'video/mp4' });
  const files = () => openFiles(other).filter((file) => path.basename(file) === keyOf(url)).length;
  const slow = await beginDownload(other, url);
  const stopped = await beginDownload(other, url);
  stopped.socket.pause();
  for (let i = 0; i < 10; i++) {
    slow.socket.pause();
    await delay(450); // together longer than PARLEY_IDLE_TIMEOUT
    const before = slow.received.length;
    slow.socket.resume();
    await slow.until(() => slow.received.length > before + MIB || slow.received.length > big.length);
  }
  await slow.until(() => slow.received.length > big.length);
  assert.ok(slow.received.subarray(-big.length).equals(big));
  await eventually(() => files() === 0, 'no file is open');
  slow.destroy();
  stopped.destroy();
});

// Begins uploads, `each` of every media, and resolves with the answers to those that are refused when there are so many.
async function beginMany(t, of, all, each, refused) {
  const raws = await Promise.all(all.flatMap((media) => Array.from({ length: each }, () => beginPut(t, of, media, 10))));
  const answered = () => raws.filter((raw) => parseResponses(raw.received).length > 0);
  await eventually(() => answered().length >= refused, 'refusals');
  const answers = answered().map((raw) => parseResponses(raw.received)[0]);
  for (const raw of raws) raw.destroy();
  assert.equal(answers.length, refused);
  for (const answer of answers) expectProblem(answer, 503, 'overloaded');
}

const announceMany = (account, count) => Promise.all(Array.from({ length: count }, () => announce(account, someBytes(10))));

test('more transfers than the server takes at once are refused for now', async (t) => {
  const other = await startServerFor(t, { env: { PARLEY_MEDIA_PENDING: '200' } });
  const bob = await register(other, 'bob');
  const content = someBytes(10);
  const media = await announce(bob, content);
  await beginMany(t, other, await announceMany(bob, 130), 4, 8);
  await eventually(async () => (await put(media.upload, content)).status === 200, 'an upload after that');
});

test('one address takes no more than its share of them', async (t) => {
  const other = await startServerFor(t, { env: { PARLEY_RATE_LIMIT: 'on', PARLEY_MEDIA_PENDING: '100' } });
  await beginMany(t, other, await announceMany(await register(other, 'bob'), 34), 4, 8);
});

test('the same file is received a few times at once, not many', async (t) => {
  const content = someBytes(10);
  const media = await announce(alice, content);
  await beginMany(t, server, [media], 12, 4);
  await eventually(async () => (await put(media.upload, content)).status === 200, 'an upload after that');
});

// --- browsers

const PICTURE = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

// A second of silence.
function silence() {
  const head = Buffer.alloc(44);
  head.write('RIFF\0\0\0\0WAVEfmt ', 'latin1');
  head.writeUInt32LE(36 + 8000, 4);
  [[16, 16], [8000, 24], [8000, 28], [8000, 40]].forEach(([value, at]) => head.writeUInt32LE(value, at));
  [[1, 20], [1, 22], [1, 32], [8, 34]].forEach(([value, at]) => head.writeUInt16LE(value, at));
  head.write('data', 36);
  return Buffer.concat([head, Buffer.alloc(8000, 128)]);
}

test('a browser shows a picture and plays a sound at their URLs', { skip }, async (t) => {
  const picture = await upload(alice, PICTURE);
  const shown = await openPage(t, picture.url);
  assert.equal(await shown.evaluate(() => document.images[0].naturalWidth), 1);
  const sound = await upload(alice, silence(), { content_type: 'audio/wav' });
  const player = await openPage(t, sound.url);
  await eventually(() => player.evaluate(() => document.querySelector('video, audio').readyState > 0), 'the sound');
});

test('a browser does not run what an upload says it should', { skip }, async (t) => {
  const script = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><script>document.title = "run"</script></svg>');
  for (const content_type of ['text/plain', 'image/png']) {
    const { url } = await upload(alice, script, { content_type });
    const page = await openPage(t, url);
    assert.notEqual(await page.title(), 'run');
  }
});

async function uploadInPage({ upload: { url, headers }, content }) {
  const answer = await fetch(url, { method: 'PUT', headers, body: new TextEncoder().encode(content) });
  return { status: answer.status, etag: answer.headers.get('etag') };
}

test('a page of another origin uploads by fetch and reads what it uploaded', { skip }, async (t) => {
  const site = await startSite(t);
  const other = await startServerFor(t, { env: { PARLEY_CORS_ORIGINS: site } });
  const bob = await register(other, 'bob');
  const content = 'a'.repeat(3 * BLOCK);
  const media = await announce(bob, Buffer.from(content), { content_type: 'text/plain' });
  const page = await openPage(t, site);
  const answer = await page.evaluate(uploadInPage, { upload: media.upload, content });
  assert.deepEqual(answer, { status: 200, etag: `"${md5Of(Buffer.from(content))}"` });
  const { url } = await complete(bob, media);
  assert.equal(await page.evaluate((from) => fetch(from).then((got) => got.text()), url), content);
});

// --- pages of other origins

test('a page of a configured origin may upload', async () => {
  const media = await announce(alice, someBytes());
  const wanted = { origin: PAGE, 'access-control-request-method': 'PUT', 'access-control-request-headers': 'content-md5,content-type,x-amz-acl' };
  const preflight = await exchange(media.upload.url, { method: 'OPTIONS', headers: wanted });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers['access-control-allow-origin'], PAGE);
  assert.match(preflight.headers['access-control-allow-methods'], /\bPUT\b/);
  const allowed = preflight.headers['access-control-allow-headers'].toLowerCase().split(/, */);
  for (const name of ['content-md5', 'content-type', 'x-amz-acl']) assert.ok(allowed.includes(name), name);
  const other = await exchange(media.upload.url, { method: 'OPTIONS', headers: { ...wanted, origin: 'https://evil.example' } });
  assert.equal(other.headers['access-control-allow-origin'], undefined);
});

test('answers and refusals are readable by such a page', async () => {
  const content = someBytes();
  const media = await announce(alice, content);
  for (const [sent, status] of [[someBytes(), 400], [content, 200], [someBytes(5), 403]]) {
    const answer = await put(media.upload, sent, { headers: { origin: PAGE } });
    assert.equal(answer.status, status);
    assert.equal(answer.headers['access-control-allow-origin'], PAGE);
    assert.match(answer.headers['access-control-expose-headers'], /\bETag\b/);
  }
});

// --- where media is elsewhere

test('with another storage there is nothing here', async (t) => {
  const other = await startServerFor(t, {
    env: { PARLEY_S3_ENDPOINT: 'http://127.0.0.1:9', PARLEY_S3_BUCKET: 'bucket', PARLEY_S3_ACCESS_KEY: 'a', PARLEY_S3_SECRET_KEY: 's' },
  });
  const url = `http://127.0.0.1:${other.port}/blobs/1-a`;
  expectProblem(await exchange(url), 404, 'not_found');
  expectProblem(await exchange(url, { method: 'PUT', headers: { 'content-length': 1 }, body: 'x' }), 404, 'not_found');
});

test('a key with slashes and spaces works', async (t) => {
  const other = await startServerFor(t, { env: { PARLEY_S3_PREFIX: 'some folder/of ours+/' } });
  const bob = await register(other, 'bob');
  const content = someBytes();
  const { url } = await upload(bob, content);
  assert.match(url, /\/blobs\/some%20folder\/of%20ours%2B\/\d+-/);
  assert.ok((await withDeadline(exchange(url), 'the file')).bytes.equals(content));
});
