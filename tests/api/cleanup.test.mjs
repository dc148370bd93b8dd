// `parley cleanup`: what it deletes, what it says, and that what expired is nowhere any more, neither in the database nor in the storage.
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { bucketOf } from '../support/bucket.mjs';
import { NO_CLOCK } from '../support/cleanup.mjs';
import { Client, createGroup, expectProblem, expectStatus, postMany, postMessage, register } from '../support/client.mjs';
import { DAY_MS, EXPIRING_SETTINGS, GONE_FILE, GONE_TEXT, KEPT_FILE, advance, checkReadable, checkSwept, fillExpiring, inParts, postFile, uploadText } from '../support/expiring.mjs';
import { announce, complete, fetchContent, sendParts } from '../support/media.mjs';
import { startServerFor } from '../support/server.mjs';
import { STORAGES } from '../support/storages.mjs';
import { eventually } from '../support/wait.mjs';

const HOUR_MS = 3_600_000;
const FILE = { content_type: 'application/octet-stream' };

// What is uploaded and not used is due at once, and so is what no message has any more.
const AT_ONCE = { PARLEY_CLEANUP_INTERVAL: '0', PARLEY_MEDIA_GRACE: '0', PARLEY_MEDIA_UNUSED: '5s', PARLEY_MEDIA_UPLOAD_TTL: '5s', PARLEY_MEDIA_PART_ABOVE: '1000B' };

async function cleanUp(server, { status = 0, options = [], env = server.env } = {}) {
  const { code, stdout, stderr } = await server.parley(['cleanup', '--once', ...options], { env });
  assert.equal(code, status, `${stdout}${stderr}`);
  return { lines: stdout.trimEnd().split('\n'), stderr };
}

async function metric(server, name) {
  const { text } = await new Client(server).get('/metrics');
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)[1]);
}

// A message whose second is over, with a file that only it has.
async function postExpired(server, sender, chat, content = GONE_FILE) {
  const message = await postFile(sender, chat, await uploadText(sender, content), { ttl_s: 1, text: GONE_TEXT });
  await eventually(() => Date.parse(message.expires_at) < Date.now(), 'its second is over');
  return message;
}

for (const running of [true, false]) {
  const where = running ? 'through the running server' : 'on the database of a stopped server';

  test(`everything that is due goes, and nothing else, ${where}`, { skip: NO_CLOCK }, async (t) => {
    const server = await startServerFor(t, { clock: true, env: EXPIRING_SETTINGS });
    const filled = await fillExpiring(server);
    if (!running) await server.stop();
    const { lines } = await cleanUp(server);
    for (const sweep of ['log', 'expired', 'delivered', 'chats', 'media', 'objects', 'sessions', 'tickets', 'invites', 'keys']) {
      assert.ok(lines.some((line) => new RegExp(`^${sweep} +\\d+ rows`).test(line)), `${sweep}: ${lines.join('; ')}`);
    }
    assert.match(lines.at(-1), /^\d+ rows and \d+ objects \(\d+ bytes\) cleaned up$/);
    await checkSwept(server, filled);
    if (!running) await server.restart();
    await checkReadable(server, filled);
  });

  test(`a dry run counts and changes nothing, ${where}`, { skip: NO_CLOCK }, async (t) => {
    const server = await startServerFor(t, { clock: true, env: EXPIRING_SETTINGS });
    await fillExpiring(server);
    if (!running) await server.stop();
    const bucket = bucketOf(server);
    const before = { keys: await bucket.keys(), uploads: await bucket.uploads() };
    const first = await cleanUp(server, { options: ['--dry-run'] });
    assert.match(first.lines.at(-1), /^[1-9]\d* rows and \d+ objects \(\d+ bytes\) are due$/);
    assert.deepEqual((await cleanUp(server, { options: ['--dry-run'] })).lines, first.lines);
    assert.deepEqual({ keys: await bucket.keys(), uploads: await bucket.uploads() }, before);
    assert.ok(server.dataContains(GONE_TEXT));
    assert.ok(await bucket.contains(GONE_FILE));
  });
}

for (const storage of STORAGES) {
  test(`an expired text and an expired file are nowhere any more, in ${storage.name}`, async (t) => {
    const server = await startServerFor(t, { env: { ...AT_ONCE, ...(await storage.settings()) } });
    const alice = await register(server, 'alice');
    const chat = await createGroup(alice);
    const kept = await postFile(alice, chat, await uploadText(alice, KEPT_FILE));
    const expired = await postExpired(server, alice, chat);
    assert.ok(server.dataContains(GONE_TEXT) && (await bucketOf(server).contains(GONE_FILE)), 'the search finds what is there');

    await eventually(async () => {
      await cleanUp(server);
      return (await bucketOf(server).keys()).length === 1;
    }, 'its upload URL has ended, too');
    assert.equal(server.dataContains(GONE_TEXT), false);
    assert.equal(server.dataContains(GONE_FILE), false);
    assert.equal(await bucketOf(server).contains(GONE_FILE), false);
    assert.ok(await bucketOf(server).contains(KEPT_FILE));
    expectProblem(await alice.get(`/v1/media/${expired.attachments[0].id}`), 404, 'not_found');
    expectStatus(await alice.get(`/v1/media/${kept.attachments[0].id}`), 200);
  });
}

test('the server cleans up by itself, counts it, and says so', async (t) => {
  const server = await startServerFor(t, { env: { ...AT_ONCE, PARLEY_CLEANUP_INTERVAL: '200ms' } });
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  await postExpired(server, alice, chat, GONE_FILE.padEnd(500, '.'));
  await eventually(async () => (await bucketOf(server).keys()).length === 0, 'the object is gone');
  await eventually(() => !server.dataContains(GONE_TEXT), 'the text is gone from the disk');
  await eventually(async () => (await metric(server, 'parley_cleanup_bytes_total')) >= 500, 'its bytes are counted');
  assert.ok((await metric(server, 'parley_cleanup_objects_total')) >= 1);
  assert.ok((await metric(server, 'parley_cleanup_rows_total')) >= 1);
  await eventually(async () => (await metric(server, 'parley_cleanup_overdue_seconds')) === 0, 'nothing is overdue');
  await eventually(() => server.stderr.some((line) => /event=cleanup rows=\d+ objects=[1-9]/.test(line)), 'the run is logged');
});

test('a run of the server ends with its budget, and the next goes on', { skip: NO_CLOCK }, async (t) => {
  const env = { PARLEY_CLEANUP_INTERVAL: '50ms', PARLEY_CLEANUP_BUDGET: '100ms' };
  const server = await startServerFor(t, { clock: true, env });
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  await postMany(alice, chat, 50, GONE_TEXT);
  await advance(server, 31 * DAY_MS);
  await eventually(() => !server.dataContains(GONE_TEXT), 'the texts are gone from the disk');
});

// Nothing listens there; the requests fail at once.
const NO_STORAGE = { PARLEY_S3_ENDPOINT: 'http://127.0.0.1:9', PARLEY_S3_ACCESS_KEY: 'a', PARLEY_S3_SECRET_KEY: 'b', PARLEY_S3_TIMEOUT: '200ms' };

test('a storage that is down keeps nothing else from being cleaned up, and gets its turn later', async (t) => {
  const server = await startServerFor(t, { env: AT_ONCE });
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  await postExpired(server, alice, chat);
  await postMessage(alice, chat, 'stays');
  await server.stop();
  const down = { ...server.env, ...NO_STORAGE };
  const { lines, stderr } = await cleanUp(server, { status: 1, env: down });
  assert.match(stderr, /storage_unavailable/);
  assert.ok(lines.some((line) => /^expired +1 rows/.test(line)), lines.join('; '));
  assert.equal(server.dataContains(GONE_TEXT), false);
  assert.ok(await bucketOf(server).contains(GONE_FILE));
  await eventually(async () => {
    await cleanUp(server);
    return !(await bucketOf(server).contains(GONE_FILE));
  }, 'it is back');
});

test('a file that cannot be deleted keeps no other from going', async (t) => {
  const server = await startServerFor(t, { env: AT_ONCE });
  const alice = await register(server, 'alice');
  const [stuck, gone] = [await uploadText(alice, KEPT_FILE), await uploadText(alice, GONE_FILE)];
  await bucketOf(server).block((await bucketOf(server).keys()).find((key) => key.startsWith(stuck.id)));
  for (const media of [stuck, gone]) expectStatus(await alice.delete(`/v1/media/${media.id}`), 204);
  const { stderr } = await cleanUp(server, { status: 1 });
  assert.match(stderr, /deleting/);
  assert.equal(server.dataContains(GONE_FILE), false);
});

test('what is due for longer than the deadline is reported, once', { skip: NO_CLOCK }, async (t) => {
  const env = { ...AT_ONCE, ...NO_STORAGE, PARLEY_CLEANUP_DEADLINE: '1h', PARLEY_CLEANUP_INTERVAL: '100ms' };
  const server = await startServerFor(t, { clock: true, env: { ...AT_ONCE, PARLEY_CLEANUP_INTERVAL: '0' } });
  const alice = await register(server, 'alice');
  await postExpired(server, alice, await createGroup(alice));
  await server.stop();
  await server.restart({ env });
  await eventually(() => server.stderr.some((line) => line.includes('event=cleanup_failed')), 'the storage is down');
  assert.equal(server.stderr.some((line) => line.includes('event=cleanup_late')), false);
  await advance(server, 3 * 3600 * 1000);
  await eventually(async () => (await metric(server, 'parley_cleanup_overdue_seconds')) > 3600, 'the metric says how late it is');
  await eventually(() => server.stderr.some((line) => line.includes('event=cleanup_late')), 'the log says so');
  const failures = () => server.stderr.filter((line) => line.includes('event=cleanup_failed')).length;
  const before = failures();
  await eventually(() => failures() > before + 1, 'it tries again');
  assert.equal(server.stderr.filter((line) => line.includes('event=cleanup_late')).length, 1);
});

for (const storage of STORAGES) {
  test(`an upload in parts that was given up leaves nothing, in ${storage.name}`, async (t) => {
    const server = await startServerFor(t, { env: { ...AT_ONCE, ...(await storage.settings()) } });
    const alice = await register(server, 'alice');
    const half = inParts(`${GONE_FILE} half`);
    await sendParts(alice, await announce(alice, half, FILE), half);
    assert.equal((await bucketOf(server).uploads()).length, 1);
    await eventually(async () => {
      await cleanUp(server);
      return (await bucketOf(server).uploads()).length === 0;
    }, 'its time is over');
    assert.equal(server.dataContains(GONE_FILE), false);
  });
}

test('what a crash left of an upload in parts goes although its file is there', { skip: NO_CLOCK }, async (t) => {
  const server = await startServerFor(t, { clock: true, env: { PARLEY_CLEANUP_INTERVAL: '0', PARLEY_MEDIA_PART_ABOVE: '1000B' } });
  const alice = await register(server, 'alice');
  const bytes = inParts(KEPT_FILE);
  const media = await announce(alice, bytes, FILE);
  await sendParts(alice, media, bytes);
  const [id] = await bucketOf(server).uploads();
  const [left, kept] = [path.join(server.dataDir, 'media', 'multipart', id), path.join(server.folder, id)];
  cpSync(left, kept, { recursive: true });
  await complete(alice, media);
  cpSync(kept, left, { recursive: true });
  await advance(server, 2 * HOUR_MS);
  await cleanUp(server);
  assert.deepEqual(await bucketOf(server).uploads(), []);
  assert.ok((await fetchContent(alice, media.id)).bytes.equals(bytes));
});

test('cleanup explains what it cannot do', async (t) => {
  const server = await startServerFor(t);
  for (const args of [[], ['--dry-run'], ['--once', '--twice']]) assert.equal((await server.parley(['cleanup', ...args])).code, 2, args.join(' '));
});

test('media setup prints a line for each step, also twice', async (t) => {
  const server = await startServerFor(t);
  for (let i = 0; i < 2; i++) {
    const { code, stdout, stderr } = await server.parley(['media', 'setup']);
    assert.equal(code, 0, `${stdout}${stderr}`);
    assert.match(stdout, /^\S.*: done/m);
  }
  const down = await server.parley(['media', 'setup'], { env: { ...server.env, ...NO_STORAGE } });
  assert.equal(down.code, 1);
  assert.notEqual(down.stderr, '');
});
