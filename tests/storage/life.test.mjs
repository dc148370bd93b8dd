// The life of media, once against the embedded storage and once against a real Ceph gateway: the same clients, the same server, the same expectations.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, describe, test } from 'node:test';
import { bucketOf } from '../support/bucket.mjs';
import { startCeph } from '../support/ceph.mjs';
import { createGroup, expectProblem, expectStatus, historyPage, postMessage, register, registerMany } from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import {
  MIB, announce, announcementOf, complete, fetchContent, fetchUrl, getMedia, listParts, partsOf, send, sendOk, sendParts, signParts, someBytes, tryAnnounce,
  tryComplete, upload,
} from '../support/media.mjs';
import { startServerFor } from '../support/server.mjs';
import { eventually } from '../support/wait.mjs';

const ceph = await startCeph();
after(() => ceph.stop());

// A server on a storage of its own.
const storages = {
  'the embedded storage': async (t, env) => startServerFor(t, { env }),
  'Ceph': async (t, env) => setUp(await startServerFor(t, { env: { ...ceph.env, PARLEY_S3_BUCKET: bucketName(), ...env } })),
};

let buckets = 0;
const bucketName = () => `life-${process.pid}-${++buckets}`;

async function setUp(server) {
  const { code, stdout, stderr } = await server.parley(['media', 'setup']);
  assert.equal(code, 0, stdout + stderr);
  return server;
}

async function cleanUp(server) {
  const { code, stdout, stderr } = await server.parley(['cleanup', '--once']);
  assert.equal(code, 0, stdout + stderr);
}

async function expectFsckClean(server) {
  const { code, stdout, stderr } = await server.parley(['fsck']);
  assert.equal(code, 0, stdout + stderr);
}

for (const [name, start] of Object.entries(storages)) {
  describe(`on ${name}`, () => {
    test('a photo goes from one browser to the other and never through the API', async (t) => {
      const server = await start(t, {});
      const [alice, bob] = await registerMany(server, 'alice', 'bob');
      const chat = await createGroup(alice, [bob]);
      const stream = await openReadyFor(t, server, { token: bob.token });
      const [photo, small] = [someBytes(200_000), someBytes(3_000)];
      const thumbnail = await upload(alice, small, { width: 32, height: 24 });
      const media = await upload(alice, photo, { file_name: 'Grüße vom See.png', width: 3200, height: 2400, thumbnail_id: thumbnail.id });
      const message = await postMessage(alice, chat, 'look', { attachments: [media.id] });

      const event = await stream.next('message.created');
      const [attachment] = event.message.attachments;
      assert.deepEqual(attachment, message.attachments[0]);
      const got = await fetchContent(bob, attachment.id);
      assert.equal(got.status, 200);
      assert.deepEqual(got.bytes, photo);
      assert.equal(got.headers['content-type'], 'image/png');
      assert.match(got.headers['content-disposition'], /^inline; .*filename\*=UTF-8''Gr%C3%BC%C3%9Fe%20vom%20See\.png/);
      assert.deepEqual((await fetchContent(bob, attachment.thumbnail.id)).bytes, small);
      await expectFsckClean(server);
    });

    test('parts of a file can be asked for', async (t) => {
      const server = await start(t, {});
      const alice = await register(server, 'alice');
      const bytes = someBytes(100_000);
      const { id } = await upload(alice, bytes);
      const part = async (range) => {
        const got = await fetchContent(alice, id, { headers: { range } });
        return [got.status, got.headers['content-range'], got.bytes];
      };
      assert.deepEqual(await part('bytes=0-9'), [206, 'bytes 0-9/100000', bytes.subarray(0, 10)]);
      assert.deepEqual(await part('bytes=99990-'), [206, 'bytes 99990-99999/100000', bytes.subarray(99990)]);
      assert.deepEqual(await part('bytes=-5'), [206, 'bytes 99995-99999/100000', bytes.subarray(99995)]);
      assert.equal((await fetchContent(alice, id, { headers: { range: 'bytes=100000-' } })).status, 416);
    });

    test('other bytes than those that were announced are refused by the storage', async (t) => {
      const server = await start(t, {});
      const alice = await register(server, 'alice');
      const bytes = someBytes(5_000);
      const media = await announce(alice, bytes);
      const wrong = {
        'other bytes of the same length': send(media.upload, someBytes(5_000)),
        'fewer bytes': send(media.upload, bytes.subarray(0, 4_999)),
        'more bytes': send(media.upload, Buffer.concat([bytes, Buffer.from('x')])),
        'another type': send(media.upload, bytes, { headers: { 'content-type': 'text/html' } }),
        'another MD5': send(media.upload, bytes, { headers: { 'content-md5': '1B2M2Y8AsgTpgAmY7PhCfg==' } }),
        'another method': send(media.upload, bytes, { method: 'POST' }),
        'another key': send(media.upload, bytes, { url: media.upload.url.replace('?', 'x?') }),
        'a longer life': send(media.upload, bytes, { url: media.upload.url.replace('X-Amz-Expires=', 'X-Amz-Expires=1') }),
        'another signature': send(media.upload, bytes, { url: media.upload.url.replace(/X-Amz-Signature=./, 'X-Amz-Signature=g') }),
      };
      for (const [what, answer] of Object.entries(wrong)) assert.ok((await answer).status >= 400, `${what}: ${(await answer).status}`);
      expectProblem(await tryComplete(alice, media), 409, 'upload_missing');
      assert.deepEqual(await bucketOf(server).keys(), []);
      await sendOk(media.upload, bytes);
      assert.equal((await complete(alice, media)).state, 'ready');
    });

    test('a URL stops working, and sending again after completion changes nothing', async (t) => {
      const server = await start(t, { PARLEY_MEDIA_UPLOAD_TTL: '5s', PARLEY_MEDIA_DOWNLOAD_TTL: '5s' });
      const alice = await register(server, 'alice');
      const bytes = someBytes(500);
      const media = await announce(alice, bytes);
      await sendOk(media.upload, bytes);
      const { url } = await complete(alice, media);
      assert.ok((await send(media.upload, someBytes(500))).status >= 400);
      assert.deepEqual((await fetchUrl(url)).bytes, bytes);
      await eventually(async () => (await send(media.upload, bytes)).status === 403, 'the upload URL expires');
      await eventually(async () => (await fetchUrl(url)).status === 403, 'the download URL expires');
    });

    test('nobody can make an object public by a header of his own', async (t) => {
      const server = await start(t, {});
      const alice = await register(server, 'alice');
      const bytes = someBytes(500);
      const media = await announce(alice, bytes);
      const answer = await send(media.upload, bytes, { headers: { 'x-amz-acl': 'public-read' } });
      if (answer.status !== 200) await sendOk(media.upload, bytes);
      const { url } = await complete(alice, media);
      assert.equal((await fetchUrl(url)).status, 200);
      assert.equal((await fetchUrl(url.replace(/\?.*/, ''))).status, 403, 'without a signature');
    });

    test('a large file is sent in parts, is cut, and goes on where it was', async (t) => {
      const server = await start(t, { PARLEY_MEDIA_PART_ABOVE: '6MiB', PARLEY_MEDIA_PART_SIZE: '5MiB' });
      const [alice, bob] = await registerMany(server, 'alice', 'bob');
      const bytes = someBytes(12 * MIB + 345);
      const media = await announce(alice, bytes, { content_type: 'video/mp4' });
      assert.equal(media.upload.part_count, 3);
      await sendParts(alice, media, bytes, (number) => number !== 2);
      expectProblem(await tryComplete(alice, media), 409, ['upload_missing', 'upload_mismatch']);

      const again = await getMedia(alice, media.id);
      const arrived = (await listParts(alice, again)).items.map((part) => part.number);
      assert.deepEqual(arrived, [1, 3]);
      const [second] = partsOf(again, bytes).filter(({ number }) => !arrived.includes(number));
      const [signed] = await signParts(alice, again, [second]);
      assert.ok((await send(signed, someBytes(second.bytes.length))).status >= 400, 'the storage checks each part');
      await sendOk(signed, second.bytes);
      await complete(alice, media);
      const chat = await createGroup(alice, [bob]);
      await postMessage(alice, chat, 'a film', { attachments: [media.id] });
      assert.deepEqual((await fetchContent(bob, media.id)).bytes, bytes);
      await expectFsckClean(server);
    });

    test('what expires is gone from the storage, and what is abandoned, too', async (t) => {
      const server = await start(t, {
        PARLEY_RETENTION: '4s', PARLEY_MEDIA_GRACE: '0', PARLEY_MEDIA_UNUSED: '5s', PARLEY_MEDIA_UPLOAD_TTL: '5s', PARLEY_CLEANUP_INTERVAL: '0',
        PARLEY_MEDIA_PART_ABOVE: '6MiB', PARLEY_MEDIA_PART_SIZE: '5MiB',
      });
      const [alice, bob] = await registerMany(server, 'alice', 'bob');
      const chat = await createGroup(alice, [bob]);
      const used = await upload(alice, someBytes(1_000));
      const message = await postMessage(alice, chat, 'soon gone', { attachments: [used.id] });
      const sent = someBytes(900);
      await sendOk((await announce(alice, sent)).upload, sent);
      const large = someBytes(7 * MIB);
      await sendParts(alice, await announce(alice, large), large, (number) => number === 1);
      assert.equal((await bucketOf(server).keys()).length, 2);

      const path = `/v1/chats/${chat.id}/messages/${message.id}`;
      await eventually(async () => (await alice.get(path)).status === 404, 'the message expires');
      expectProblem(await bob.get(`/v1/media/${used.id}/content`), 404, 'not_found');
      await eventually(async () => {
        await cleanUp(server);
        return (await bucketOf(server).keys()).length === 0 && (await bucketOf(server).uploads()).length === 0;
      }, 'nothing is left in the storage');
      assert.deepEqual((await historyPage(alice, chat)).items, []);
      await expectFsckClean(server);
    });

    test('a forwarded file is one object, and goes with its last message', async (t) => {
      const server = await start(t, { PARLEY_MEDIA_GRACE: '0', PARLEY_MEDIA_UPLOAD_TTL: '5s', PARLEY_CLEANUP_INTERVAL: '0' });
      const [alice, bob, carol] = await registerMany(server, 'alice', 'bob', 'carol');
      const first = await createGroup(alice, [bob]);
      const second = await createGroup(bob, [carol]);
      const bytes = someBytes(2_000);
      const media = await upload(alice, bytes);
      const original = await postMessage(alice, first, 'mine', { attachments: [media.id] });
      const forwarded = await postMessage(bob, second, 'see', { attachments: [media.id] });
      assert.deepEqual((await fetchContent(carol, media.id)).bytes, bytes);
      expectStatus(await alice.delete(`/v1/chats/${first.id}/messages/${original.id}`), 204);
      await cleanUp(server);
      assert.deepEqual((await fetchContent(carol, media.id)).bytes, bytes);
      expectStatus(await bob.delete(`/v1/chats/${second.id}/messages/${forwarded.id}`), 204);
      await eventually(async () => {
        await cleanUp(server);
        return (await bucketOf(server).keys()).length === 0;
      }, 'the object is gone');
      expectProblem(await carol.get(`/v1/media/${media.id}`), 404, 'not_found');
    });
  });
}

test('keys with spaces, Unicode and reserved characters work on Ceph', async (t) => {
  const prefix = "a b/ü~(1)+&='!*$@:;,?#%/";
  const server = await storages.Ceph(t, { PARLEY_S3_PREFIX: prefix });
  const alice = await register(server, 'alice');
  const bytes = someBytes(700);
  const media = await upload(alice, bytes);
  assert.deepEqual((await fetchContent(alice, media.id)).bytes, bytes);
  const [key] = await bucketOf(server).keys();
  assert.ok(key.startsWith(prefix), key);
  expectStatus(await alice.delete(`/v1/media/${media.id}`), 204);
  await cleanUp(server);
  assert.deepEqual(await bucketOf(server).keys(), []);
});

// curl knows that names below localhost are this machine, as browsers do; Node asks the resolver.
function curl(...options) {
  const { status, stdout, stderr } = spawnSync('curl', ['--silent', '--show-error', '--fail', ...options]);
  assert.equal(status, 0, String(stderr));
  return stdout;
}

test('buckets in the host name work on Ceph', async (t) => {
  const { port } = new URL(ceph.env.PARLEY_S3_ENDPOINT);
  const server = await storages.Ceph(t, { PARLEY_S3_STYLE: 'virtual', PARLEY_S3_ENDPOINT: `http://s3.localhost:${port}` });
  const alice = await register(server, 'alice');
  const text = 'in the host name';
  const media = await announce(alice, Buffer.from(text), { content_type: 'text/plain' });
  const headers = Object.entries(media.upload.headers).flatMap(([name, value]) => ['--header', `${name}: ${value}`]);
  curl('--request', media.upload.method, ...headers, '--data-binary', text, media.upload.url);
  const { url } = await complete(alice, media);
  assert.match(url, /^http:\/\/life-[\d-]+\.s3\.localhost:/);
  assert.equal(String(curl(url)), text);
});

test('a storage that is down takes only media with it, and media come back by themselves', async (t) => {
  const mortal = await startCeph();
  t.after(() => mortal.stop());
  const server = await setUp(await startServerFor(t, { env: { ...mortal.env, PARLEY_S3_BUCKET: bucketName(), PARLEY_S3_TIMEOUT: '2s' } }));
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  const bytes = someBytes(700);
  const media = await announce(alice, bytes);
  await sendOk(media.upload, bytes);
  await mortal.pause();
  expectProblem(await tryComplete(alice, media), 503, 'storage_unavailable');
  await postMessage(alice, chat, 'the chat goes on');
  expectStatus(await tryAnnounce(alice, announcementOf(someBytes(10))), 201);
  expectStatus(await alice.get('/readyz'), 200);
  await mortal.resume();
  await eventually(async () => (await tryComplete(alice, media)).status === 200, 'it can be completed');
});
