// fsck finds what does not fit between database and storage, repairs what can be repaired, and leaves alone what may still be on its way.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bucketOf } from '../support/bucket.mjs';
import { NO_CLOCK } from '../support/cleanup.mjs';
import { createGroup, expectStatus, register } from '../support/client.mjs';
import { inParts, postFile, uploadText } from '../support/expiring.mjs';
import { announce, getMedia, sendOk, sendParts } from '../support/media.mjs';
import { startServerFor } from '../support/server.mjs';
import { STORAGES } from '../support/storages.mjs';

const FILE = { content_type: 'application/octet-stream' };
const SETTINGS = { PARLEY_CLEANUP_INTERVAL: '0', PARLEY_MEDIA_PART_ABOVE: '1000B', PARLEY_MEDIA_UPLOAD_TTL: '10s' };
const SETTLED_MS = 12 * 60 * 1000; // then nothing can be on its way any more; storages refuse clocks that are 15 minutes off

async function fsck(server, status, ...options) {
  const { code, stdout, stderr } = await server.parley(['fsck', ...options]);
  assert.equal(code, status, `${stdout}${stderr}`);
  return stdout.trimEnd().split('\n').slice(0, -1);
}

// A key like the given one, of media that does not exist.
const keyOfNobody = (key) => key.replace(/(\d)-/, (_, digit) => `${(Number(digit) + 1) % 10}-`);
// The same media's key with another token.
const withOtherToken = (key) => key.replace(/.$/, (last) => (last === '0' ? '1' : '0'));

async function startWithFiles(t, storage, count) {
  const server = await startServerFor(t, { clock: true, env: { ...SETTINGS, ...(await storage.settings()) } });
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  const files = [];
  for (let i = 0; i < count; i++) {
    files.push(await uploadText(alice, `file ${i}`.padEnd(10 + i, '.')));
    await postFile(alice, chat, files[i]);
  }
  const bucket = bucketOf(server);
  const keyOf = async (media) => (await bucket.keys()).find((key) => key.includes(`${media.id}-`));
  return { server, alice, files, bucket, keyOf };
}

for (const storage of STORAGES) {
  test(`what fits is clean, before, during and after the server runs, in ${storage.name}`, { skip: NO_CLOCK }, async (t) => {
    const { server, alice } = await startWithFiles(t, storage, 2);
    const half = inParts('unfinished');
    await sendParts(alice, await announce(alice, half, FILE), half);
    const sent = Buffer.from('not completed');
    await sendOk((await announce(alice, sent, FILE)).upload, sent);
    assert.deepEqual(await fsck(server, 0), []);
    server.advanceClock(SETTLED_MS);
    assert.deepEqual(await fsck(server, 0, '--repair'), []);
    await server.stop();
    assert.deepEqual(await fsck(server, 0, '--repair'), []);
  });

  test(`each damage is found, and repaired where that is possible, in ${storage.name}`, { skip: NO_CLOCK }, async (t) => {
    const { server, alice, files, bucket, keyOf } = await startWithFiles(t, storage, 4);
    const half = inParts('unfinished');
    await sendParts(alice, await announce(alice, half, FILE), half);
    const [known] = await bucket.uploads();
    const [missing, mismatch, whole] = await Promise.all(files.map(keyOf));
    await bucket.remove(missing);
    await bucket.copy(whole, mismatch);
    const orphans = [keyOfNobody(whole), withOtherToken(whole)];
    for (const key of orphans) await bucket.copy(whole, key);
    await bucket.repeatUpload(known);

    const lasting = [`missing ${missing}`, `mismatch ${mismatch}`];
    const young = await fsck(server, 1, '--repair');
    assert.deepEqual(young.map((line) => line.split(' (')[0]).sort(), [...lasting].sort(), 'what is young is not judged');

    server.advanceClock(SETTLED_MS);
    const all = [...lasting, ...orphans.map((key) => `orphan ${key}`)];
    const found = (await fsck(server, 1)).map((line) => line.split(' (')[0]);
    assert.deepEqual(found.filter((line) => !line.startsWith('upload ')).sort(), all.sort());
    assert.equal(found.filter((line) => line.startsWith('upload ')).length, 1);

    const repaired = await fsck(server, 1, '--repair');
    assert.equal(repaired.filter((line) => line.endsWith(' repaired')).length, 3);
    const left = (await fsck(server, 1)).map((line) => line.split(' (')[0]);
    assert.deepEqual(left.sort(), [...lasting].sort());
    assert.deepEqual(await bucket.uploads(), [known]);
    expectStatus(await alice.get('/v1/users/me'), 200);
    assert.equal((await getMedia(alice, files[2].id)).state, 'ready');
  });

  test(`an object of another size or other bytes is a mismatch, in ${storage.name}`, { skip: NO_CLOCK }, async (t) => {
    const { server, alice, bucket, keyOf } = await startWithFiles(t, storage, 0);
    const [one, same, longer] = [await uploadText(alice, 'aaaa'), await uploadText(alice, 'bbbb'), await uploadText(alice, 'ccccc')];
    const keys = await Promise.all([one, same, longer].map(keyOf));
    await bucket.copy(keys[1], keys[0]);
    await bucket.copy(keys[0], keys[2]);
    const found = await fsck(server, 1);
    assert.deepEqual(found.map((line) => line.split(' (')[0]).sort(), [`mismatch ${keys[0]}`, `mismatch ${keys[2]}`].sort());
    assert.match(found.find((line) => line.includes(keys[0])), /MD5/);
    assert.match(found.find((line) => line.includes(keys[2])), /4 bytes instead of 5/);
  });

  test(`keys that are not ours are never touched, in ${storage.name}`, { skip: NO_CLOCK }, async (t) => {
    const { server, files, bucket, keyOf } = await startWithFiles(t, storage, 1);
    const key = await keyOf(files[0]);
    await bucket.copy(key, 'holiday-pictures-1');
    server.advanceClock(SETTLED_MS);
    const { code, stdout } = await server.parley(['fsck', '--repair']);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /^1 objects have keys that are not parley's/m);
    assert.deepEqual(await bucket.keys(), [key, 'holiday-pictures-1'].sort());
  });

  test(`more than a page of each is looked at, in ${storage.name}`, { skip: NO_CLOCK }, async (t) => {
    const { server, files, bucket, keyOf } = await startWithFiles(t, storage, 2);
    const key = await keyOf(files[0]);
    const [, id, token] = /(\d+)-(\w+)$/.exec(key);
    const others = Array.from({ length: 1100 }, (_, i) => `${BigInt(id) + BigInt(i + 1) * 4096n}-${token}`);
    while (others.length > 0) await Promise.all(others.splice(0, 50).map((other) => bucket.copy(key, other)));
    server.advanceClock(SETTLED_MS);
    assert.equal((await fsck(server, 0, '--repair')).length, 1100);
    assert.equal((await bucket.keys()).length, 2);
  });
}

test('fsck says what it cannot look at', async (t) => {
  const server = await startServerFor(t);
  assert.equal((await server.parley(['fsck', '--fix'])).code, 2);
  const nowhere = await server.parley(['fsck'], { env: { PARLEY_DATA_DIR: `${server.folder}/nowhere` } });
  assert.equal(nowhere.code, 1);
  assert.match(nowhere.stderr, /nowhere/);
  const down = { ...server.env, PARLEY_S3_ENDPOINT: 'http://127.0.0.1:9', PARLEY_S3_ACCESS_KEY: 'a', PARLEY_S3_SECRET_KEY: 'b', PARLEY_S3_TIMEOUT: '200ms' };
  const unreachable = await server.parley(['fsck'], { env: down });
  assert.equal(unreachable.code, 1);
  assert.match(unreachable.stderr, /storage_unavailable/);
});
