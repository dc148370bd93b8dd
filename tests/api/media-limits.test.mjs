// What media may be, how much of it there may be, uploads in parts, and a storage that is down.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, test } from 'node:test';
import { NO_CLOCK, cleanUp, startManual } from '../support/cleanup.mjs';
import { createGroup, expectProblem, expectStatus, postMessage, register, registerMany } from '../support/client.mjs';
import { advance } from '../support/expiring.mjs';
import {
  MIB, announce, announcementOf, complete, fetchContent, fetchUrl, getMedia, listParts, md5Of, partsOf, send, sendOk, sendParts, signParts, someBytes,
  tryAnnounce, tryComplete, trySign, upload,
} from '../support/media.mjs';
import { startServer, startServerFor } from '../support/server.mjs';
import { checkPendingMedia, checkPresigned, checkReadyMedia } from '../support/shapes.mjs';
import { eventually } from '../support/wait.mjs';

const GIB = 1024 * MIB;
const TIB = 1024 * GIB;
const PART = 5 * MIB; // the smallest that may be set
const HOUR_MS = 3_600_000;
const MD5 = '0123456789abcdef0123456789abcdef';

const server = await startServer();
after(() => server.dispose());

// Everything above a mebibyte goes in parts of five.
const inParts = await startServer({ env: { PARLEY_MEDIA_PART_ABOVE: '1MiB', PARLEY_MEDIA_PART_SIZE: '5MiB' } });
after(() => inParts.dispose());

const announcement = (fields) => ({ content_type: 'image/png', size: 1, md5: MD5, ...fields });

async function expectBadField(account, field, ...values) {
  for (const value of values) {
    const { detail } = expectProblem(await tryAnnounce(account, announcement({ [field]: value })), 400, 'bad_field', field);
    assert.ok(detail.length > 10, detail);
  }
}

// ---- What is announced

test('each field of an announcement is checked and named', async () => {
  const alice = await register(server, 'alice');
  await expectBadField(alice, 'size', 0, -1, 1.5, '1', null, true, 20 * MIB + 1, 5 * TIB + 1, 2 ** 53);
  await expectBadField(alice, 'content_type', '', 'image', 'image/', '/png', 'image/*', '*/*', 'image/png/x', 'image /png', 'image/png\r\nX: 1', 'image/pñg',
    `image/${'x'.repeat(130)}`, 7, null);
  await expectBadField(alice, 'md5', '', MD5.slice(1), `${MD5}0`, MD5.replace('0', 'g'), 'ASNFZ4mrze8BI0VniavN7w==', 7, null);
  await expectBadField(alice, 'sha256', '', MD5, `${MD5}${MD5}0`, `${MD5}${MD5}`.replace('0', 'x'), null);
  await expectBadField(alice, 'width', 0, -1, 100_001, 1.5, '7', null);
  await expectBadField(alice, 'height', 0, -1, 100_001, 1.5, '7', null);
  await expectBadField(alice, 'duration_ms', 0, -1, 2 ** 32, 1.5, '7', null);
  await expectBadField(alice, 'blurhash', '', 'x'.repeat(129), 'a\nb', 7, null);
  await expectBadField(alice, 'thumbnail_id', '', '0', 7, 'x', '01', null);
  await expectBadField(alice, 'file_name', 7, null);
  for (const field of ['content_type', 'size', 'md5']) {
    expectProblem(await tryAnnounce(alice, announcement({ [field]: undefined })), 400, 'missing_field', field);
  }
  expectProblem(await tryAnnounce(alice, announcement({ colour: 'red' })), 400, 'unknown_field', 'colour');
  expectProblem(await alice.request('POST', '/v1/media', { raw: '{}', headers: { 'Content-Type': 'image/png' } }), 415, 'unsupported_media_type');
});

test('the largest values are taken as they are', async () => {
  const alice = await register(server, 'alice');
  const fields = { width: 100_000, height: 1, duration_ms: 2 ** 32 - 1, blurhash: 'é'.repeat(128), sha256: 'AB'.repeat(32), md5: MD5.toUpperCase(), size: 20 * MIB };
  const media = expectStatus(await tryAnnounce(alice, announcement(fields)), 201);
  checkPendingMedia(media);
  for (const [name, value] of Object.entries({ ...fields, sha256: 'ab'.repeat(32), md5: MD5 })) assert.equal(media[name], value, name);
});

test('types have their own limits, and those not listed are not taken', async (t) => {
  const own = await startServerFor(t, { env: { PARLEY_MEDIA_TYPES: 'image/png:1KiB,image/*:2KiB,text/plain:0' } });
  const alice = await register(own, 'alice');
  const ask = (content_type, size) => tryAnnounce(alice, announcement({ content_type, size }));
  expectStatus(await ask('image/png', 1024), 201);
  expectProblem(await ask('image/png', 1025), 400, 'bad_field', 'size');
  expectStatus(await ask('IMAGE/WebP', 2048), 201);
  expectProblem(await ask('image/webp', 2049), 400, 'bad_field', 'size');
  for (const type of ['text/plain', 'text/html', 'video/mp4']) expectProblem(await ask(type, 1), 400, 'bad_field', 'content_type');
});

test('five gibibytes and one byte do not go in one piece', async (t) => {
  const own = await startServerFor(t, { env: { PARLEY_MEDIA_TYPES: '*/*:5TiB', PARLEY_MEDIA_PART_ABOVE: '5GiB', PARLEY_MEDIA_QUOTA: '0', PARLEY_MEDIA_PART_SIZE: '8MiB' } });
  const alice = await register(own, 'alice');
  const uploadOf = async (size) => expectStatus(await tryAnnounce(alice, announcement({ size })), 201).upload;
  assert.equal((await uploadOf(5 * GIB)).kind, 'single');
  const { kind, part_size, part_count } = await uploadOf(5 * GIB + 1);
  assert.deepEqual({ kind, part_size, part_count }, { kind: 'multipart', part_size: 8 * MIB, part_count: 641 });
  const huge = await uploadOf(5 * TIB);
  assert.ok(huge.part_count <= 10_000 && huge.part_size % MIB === 0, JSON.stringify(huge));
  assert.equal(Math.ceil((5 * TIB) / huge.part_size), huge.part_count);
  assert.ok((5 * TIB) / (huge.part_size - MIB) > 10_000, 'no larger than needed');
});

// ---- How much there may be

test('uploads that are not completed are counted', async (t) => {
  const own = await startServerFor(t, { env: { PARLEY_MEDIA_PENDING: '3' } });
  const [alice, bob] = await registerMany(own, 'alice', 'bob');
  const files = [someBytes(), someBytes(), someBytes(), someBytes()];
  const uploads = [];
  for (const bytes of files.slice(0, 3)) uploads.push(await announce(alice, bytes));
  expectProblem(await tryAnnounce(alice, announcementOf(files[3])), 409, 'too_many_uploads');
  await announce(bob, files[3]);
  await sendOk(uploads[0].upload, files[0]);
  await complete(alice, uploads[0]);
  await announce(alice, files[3]);
  expectProblem(await tryAnnounce(alice, announcementOf(someBytes())), 409, 'too_many_uploads');
  expectStatus(await alice.delete(`/v1/media/${uploads[1].id}`), 204);
  await announce(alice, someBytes());
});

test('parallel announcements do not get past the limit', async (t) => {
  const own = await startServerFor(t, { env: { PARLEY_MEDIA_PENDING: '5' } });
  const alice = await register(own, 'alice');
  const answers = await Promise.all(Array.from({ length: 30 }, () => tryAnnounce(alice, announcementOf(someBytes()))));
  assert.equal(answers.filter(({ status }) => status === 201).length, 5);
  for (const answer of answers.filter(({ status }) => status !== 201)) expectProblem(answer, 409, 'too_many_uploads');
});

test('all media of a user together have a quota, which deleting gives back', async (t) => {
  const own = await startServerFor(t, { env: { PARLEY_MEDIA_QUOTA: '2500B', PARLEY_MEDIA_UPLOAD_TTL: '5s', PARLEY_CLEANUP_INTERVAL: '200ms' } });
  const [alice, bob] = await registerMany(own, 'alice', 'bob');
  const first = await upload(alice, someBytes(1000));
  await upload(alice, someBytes(1000));
  expectProblem(await tryAnnounce(alice, announcementOf(someBytes(501))), 409, 'media_quota', 'size');
  await announce(alice, someBytes(500));
  expectProblem(await tryAnnounce(alice, announcementOf(someBytes(1))), 409, 'media_quota');
  await announce(bob, someBytes(2500));
  expectStatus(await alice.delete(`/v1/media/${first.id}`), 204);
  await eventually(async () => (await tryAnnounce(alice, announcementOf(someBytes(1000)))).status === 201, 'the space is given back');
});

test('forwarding costs nothing', async (t) => {
  const own = await startServerFor(t, { env: { PARLEY_MEDIA_QUOTA: '1000B' } });
  const [alice, bob] = await registerMany(own, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const media = await upload(alice, someBytes(1000));
  for (const account of [alice, bob, alice, bob]) {
    expectStatus(await account.post(`/v1/chats/${chat.id}/messages`, { attachments: [media.id] }), 201);
  }
  await upload(bob, someBytes(1000));
});

test('upload URLs end, and fresh ones work', async (t) => {
  const own = await startServerFor(t, { env: { PARLEY_MEDIA_UPLOAD_TTL: '4s', PARLEY_MEDIA_DOWNLOAD_TTL: '4s' } });
  const alice = await register(own, 'alice');
  const bytes = someBytes();
  const media = await announce(alice, bytes);
  const late = () => Date.now() > Date.parse(media.upload.expires_at) + 1000;
  await eventually(late, 'the time of the URL is over');
  assert.equal((await send(media.upload, bytes)).status, 403);
  await sendOk((await getMedia(alice, media.id)).upload, bytes);
  const ready = await complete(alice, media);
  await eventually(async () => (await fetchUrl(ready.url)).status === 403, 'the time of the download URL is over');
  assert.deepEqual((await fetchContent(alice, media.id)).bytes, bytes);
});

// ---- Parts

async function announcedInParts(size = 2 * PART + MIB, fields = {}) {
  const alice = await register(inParts, 'alice');
  const bytes = someBytes(size);
  return { alice, bytes, media: await announce(alice, bytes, { content_type: 'video/mp4', ...fields }) };
}

test('an upload in parts goes on after a cut', async () => {
  const { alice, bytes, media } = await announcedInParts();
  checkPendingMedia(media);
  assert.deepEqual(media.upload, { kind: 'multipart', part_size: PART, part_count: 3, parts_url: `/v1/media/${media.id}/parts` });
  assert.deepEqual(await listParts(alice, media), { items: [], next: null });
  expectProblem(await tryComplete(alice, media), 409, 'upload_missing');

  await sendParts(alice, media, bytes, (number) => number !== 2);
  const parts = partsOf(media, bytes);
  const listed = ({ number, bytes: part }) => ({ number, size: part.length, md5: md5Of(part) });
  assert.deepEqual(await listParts(alice, media), { items: [listed(parts[0]), listed(parts[2])], next: null });
  const page = await listParts(alice, media, { limit: 1 });
  assert.deepEqual(page, { items: [listed(parts[0])], next: '1' });
  assert.deepEqual(await listParts(alice, media, { limit: 1, cursor: page.next }), { items: [listed(parts[2])], next: null });
  assert.match(expectProblem(await tryComplete(alice, media), 409, 'upload_missing').detail, /part 2/);

  const again = await getMedia(alice, media.id);
  assert.deepEqual(again.upload, media.upload);
  const arrived = new Set((await listParts(alice, media)).items.map(({ number }) => number));
  await sendParts(alice, media, bytes, (number) => !arrived.has(number));
  const ready = await complete(alice, media);
  checkReadyMedia(ready);
  assert.deepEqual((await fetchUrl(ready.url)).bytes, bytes);
  const range = await fetchUrl(ready.url, { headers: { Range: `bytes=${PART - 2}-${PART + 1}` } });
  assert.deepEqual(range.bytes, bytes.subarray(PART - 2, PART + 2));
  assert.equal((await complete(alice, media)).id, media.id);
});

test('signed parts say what to send', async () => {
  const { alice, bytes, media } = await announcedInParts();
  const parts = partsOf(media, bytes);
  const signed = await signParts(alice, media, [parts[2], parts[0]]);
  assert.deepEqual(signed.map(({ number, size }) => ({ number, size })), [{ number: 3, size: MIB }, { number: 1, size: PART }]);
  for (const part of signed) checkPresigned(part, ['number', 'size']);
  assert.equal((await send(signed[0], parts[2].bytes.subarray(1))).status, 403, 'another length');
  assert.ok((await send(signed[0], someBytes(MIB))).status >= 400, 'other bytes');
  assert.equal((await send(signed[1], parts[2].bytes)).status, 403, 'another part');
  assert.deepEqual((await listParts(alice, media)).items, []);
});

test('a part may be sent again', async () => {
  const { alice, bytes, media } = await announcedInParts();
  const other = someBytes(bytes.length);
  await sendParts(alice, media, other, (number) => number === 1);
  await sendParts(alice, media, bytes);
  const ready = await complete(alice, media);
  assert.deepEqual((await fetchUrl(ready.url)).bytes, bytes);
});

test('two devices that begin at the same time share one upload', async () => {
  const { alice, bytes, media } = await announcedInParts();
  const parts = partsOf(media, bytes);
  const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => trySign(alice, media, [parts[i % 3]])));
  const signed = answers.map((answer) => expectStatus(answer, 200).parts[0]);
  const uploads = new Set(signed.map(({ url }) => new URL(url).searchParams.get('uploadId')));
  assert.equal(uploads.size, 1);
  for (const part of signed.slice(0, 3)) await sendOk(part, parts[part.number - 1].bytes);
  await complete(alice, media);
});

test('completing it many times at once completes it', async () => {
  const { alice, bytes, media } = await announcedInParts();
  await sendParts(alice, media, bytes);
  const answers = await Promise.all(Array.from({ length: 10 }, () => tryComplete(alice, media)));
  for (const answer of answers) assert.equal(expectStatus(answer, 200).state, 'ready');
  assert.deepEqual((await fetchContent(alice, media.id)).bytes, bytes);
});

test('what is deleted while it is joined is looked for until it cannot appear any more', { skip: NO_CLOCK }, async (t) => {
  const own = await startManual(t, { PARLEY_MEDIA_PART_ABOVE: '1000B', PARLEY_MEDIA_QUOTA: '2000B' }, true);
  const alice = await register(own, 'alice');
  const bytes = someBytes(2000);
  const media = await announce(alice, bytes);
  await sendParts(alice, media, bytes);
  await advance(own, 2 * HOUR_MS); // the URLs of its parts have ended
  await complete(alice, media);
  expectStatus(await alice.delete(`/v1/media/${media.id}`), 204);
  await cleanUp(own);
  expectProblem(await tryAnnounce(alice, announcementOf(bytes)), 409, 'media_quota');
  await advance(own, HOUR_MS + 2000);
  await cleanUp(own);
  await announce(alice, bytes);
});

test('a file just above the limit is one part', async () => {
  const { alice, bytes, media } = await announcedInParts(MIB + 1);
  assert.deepEqual([media.upload.part_size, media.upload.part_count], [PART, 1]);
  await sendParts(alice, media, bytes);
  const ready = await complete(alice, media);
  assert.deepEqual((await fetchUrl(ready.url)).bytes, bytes);
  const small = await announce(alice, someBytes(MIB));
  assert.equal(small.upload.kind, 'single');
});

test('part URLs are of no use after completion', async () => {
  const { alice, bytes, media } = await announcedInParts(MIB + 1);
  const parts = partsOf(media, bytes);
  const [signed] = await signParts(alice, media, parts);
  await sendOk(signed, parts[0].bytes);
  const ready = await complete(alice, media);
  assert.ok((await send(signed, parts[0].bytes)).status >= 400);
  assert.deepEqual((await fetchUrl(ready.url)).bytes, bytes);
  expectProblem(await alice.get(`/v1/media/${media.id}/parts`), 409, 'conflict');
  expectProblem(await trySign(alice, media, parts), 409, 'conflict');
});

test('what is not a list of parts of this upload is refused', async () => {
  const { alice, media } = await announcedInParts();
  const where = `/v1/media/${media.id}/parts`;
  const part = { number: 1, md5: MD5 };
  const bad = [[], null, part, [1], [{}], [{ number: 1 }], [{ md5: MD5 }], [{ ...part, size: 1 }], [{ ...part, number: 0 }], [{ ...part, number: 4 }],
    [{ ...part, number: 2 ** 32 + 1 }], [{ ...part, number: '1' }], [{ ...part, md5: 'x' }], [part, part], Array.from({ length: 101 }, (_, i) => ({ ...part, number: i + 1 }))];
  for (const parts of bad) expectProblem(await alice.post(where, { parts }), 400, 'bad_field', 'parts');
  expectProblem(await alice.post(where, {}), 400, 'missing_field', 'parts');
  expectProblem(await alice.get(`${where}?cursor=x`), 400, 'bad_cursor', 'cursor');
  expectProblem(await alice.get(`${where}?cursor=10001`), 400, 'bad_cursor', 'cursor');
  expectProblem(await alice.get(`${where}?limit=101`), 400, 'bad_query', 'limit');
});

test('what goes in one piece has no parts', async () => {
  const alice = await register(inParts, 'alice');
  const media = await announce(alice, someBytes());
  expectProblem(await alice.get(`/v1/media/${media.id}/parts`), 409, 'conflict');
  expectProblem(await trySign(alice, media, [{ number: 1, bytes: someBytes() }]), 409, 'conflict');
});

test('an upload in parts that is deleted takes no more', async () => {
  const { alice, bytes, media } = await announcedInParts(MIB + 1);
  const parts = partsOf(media, bytes);
  await signParts(alice, media, parts);
  expectStatus(await alice.delete(`/v1/media/${media.id}`), 204);
  expectProblem(await trySign(alice, media, parts), 404, 'not_found');
  expectProblem(await alice.get(`/v1/media/${media.id}/parts`), 404, 'not_found');
  expectProblem(await tryComplete(alice, media), 404, 'not_found');
});

// ---- A storage that is down

// A port that nothing listens on.
async function closedPort() {
  const listener = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => listener.once('listening', resolve));
  const { port } = listener.address();
  await new Promise((resolve) => listener.close(resolve));
  return port;
}

test('a storage that is down stops nothing but uploads', async (t) => {
  const env = {
    PARLEY_S3_ENDPOINT: `http://127.0.0.1:${await closedPort()}`, PARLEY_S3_ACCESS_KEY: 'key', PARLEY_S3_SECRET_KEY: 'very-secret-4f1b', PARLEY_S3_TIMEOUT: '500ms',
    PARLEY_MEDIA_PART_ABOVE: '1MiB',
  };
  const own = await startServerFor(t, { env });
  const [alice, bob] = await registerMany(own, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const [single, multipart] = [await announce(alice, someBytes()), await announce(alice, someBytes(2 * MIB))];
  assert.equal(new URL(single.upload.url).origin, env.PARLEY_S3_ENDPOINT);
  checkPendingMedia(await getMedia(alice, single.id));
  let asked = 0;
  let waited_ms;
  // A disk that stands still makes a post late, too, though not each time.
  for (let round = 0; round < 3 && !(waited_ms < 2000); round++) {
    const answers = Promise.all([
      tryComplete(alice, single),
      trySign(alice, multipart, [{ number: 1, bytes: someBytes() }]),
      ...Array.from({ length: 20 }, () => tryComplete(alice, single)),
    ]);
    const started = Date.now();
    await postMessage(bob, chat, 'meanwhile');
    waited_ms = Date.now() - started;
    for (const answer of await answers) expectProblem(answer, 503, 'storage_unavailable');
    asked += (await answers).length;
  }
  assert.ok(waited_ms < 2000, 'posting waited for the storage');
  checkPendingMedia(await getMedia(alice, single.id));
  expectStatus(await alice.delete(`/v1/media/${single.id}`), 204);
  await postMessage(bob, chat, 'afterwards');
  expectStatus(await alice.get('/readyz'), 200);
  const logged = own.stderr.filter((line) => line.includes('event=storage_failed'));
  assert.equal(logged.length, asked);
  assert.ok(!own.stderr.some((line) => /very-secret-4f1b|X-Amz-Signature/.test(line)), 'a secret is in the log');
});
