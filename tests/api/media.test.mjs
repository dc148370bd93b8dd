// The life of a file: announced, uploaded, completed, sent, seen by who may see it and by nobody else, deleted.
import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { checkChain } from '../support/chain.mjs';
import {
  addMember, createDirect, createGroup, expectProblem, expectStatus, postMessage, register, registerMany, removeMember, wholeHistory,
} from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import {
  CookieClient, announce, announcementOf, complete, fetchContent, fetchUrl, getMedia, md5Of, send, sendOk, sha256Of, someBytes, tryAnnounce, tryComplete,
  trySign, upload,
} from '../support/media.mjs';
import { listFiles, startServer, startServerFor } from '../support/server.mjs';
import { checkDeletedMessage, checkEditedMessage, checkNewMessage, checkPendingMedia, checkReadyMedia, checkSharedMedia } from '../support/shapes.mjs';

const NOBODY = '9223372036854775807';

const server = await startServer();
after(() => server.dispose());

// A group of Alice and Bob with a photo by Alice.
async function scene(fields = {}) {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice, [bob], fields);
  const bytes = someBytes();
  const media = await upload(alice, bytes, { file_name: 'photo.png' });
  return { alice, bob, chat, bytes, media };
}

const attach = (sender, chat, media, fields = {}) =>
  sender.post(`/v1/chats/${chat.id}/messages`, { attachments: [media].flat().map(({ id }) => id), ...fields });
const attachOk = async (...args) => expectStatus(await attach(...args), 201);

// The attachment in a message, as the media's owner knows it.
function attachmentOf(media) {
  const { state, created_at, expires_at, url, url_expires_at, thumbnail_id, ...attachment } = media;
  return attachment;
}

async function expectHidden(account, media) {
  expectProblem(await account.get(`/v1/media/${media.id}`), 404, 'not_found');
  expectProblem(await account.get(`/v1/media/${media.id}/content`), 404, 'not_found');
}

async function expectVisible(account, media, bytes) {
  checkSharedMedia(await getMedia(account, media.id));
  assert.deepEqual((await fetchContent(account, media.id)).bytes, bytes);
}

// ---- The whole way

test('a file goes from the sender to the storage and from there to the receiver', async (t) => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const stream = await openReadyFor(t, server, { token: bob.token });
  const bytes = someBytes(100_000);
  const fields = { file_name: 'view.png', width: 640, height: 480, blurhash: 'LEHV6nWB2yk8', sha256: sha256Of(bytes) };

  const answer = await tryAnnounce(alice, announcementOf(bytes, fields));
  const pending = expectStatus(answer, 201);
  checkPendingMedia(pending);
  assert.equal(answer.headers.location, `/v1/media/${pending.id}`);
  assert.deepEqual(pending.upload.headers['content-type'], 'image/png');
  await sendOk(pending.upload, bytes);

  const ready = await complete(alice, pending);
  checkReadyMedia(ready);
  assert.deepEqual(attachmentOf(ready), { id: pending.id, content_type: 'image/png', size: bytes.length, md5: md5Of(bytes), ...fields });

  const message = await attachOk(alice, chat, ready, { text: 'the view' });
  checkNewMessage(message);
  assert.deepEqual(message.attachments, [attachmentOf(ready)]);
  assert.deepEqual((await stream.next('message.created')).message, message);
  await expectVisible(bob, ready, bytes);
});

test('a download names and types the file, and serves ranges', async () => {
  const { alice, bytes, media } = await scene();
  const { url, url_expires_at } = await getMedia(alice, media.id);
  assert.ok(Date.parse(url_expires_at) - Date.now() <= 601_000);
  const whole = await fetchUrl(url);
  assert.equal(whole.status, 200);
  assert.equal(whole.headers['content-type'], 'image/png');
  assert.equal(whole.headers['content-disposition'], "inline; filename=\"photo.png\"; filename*=UTF-8''photo.png");
  assert.deepEqual(whole.bytes, bytes);
  const range = await fetchContent(alice, media.id, { headers: { Range: 'bytes=10-19' } });
  assert.equal(range.status, 206);
  assert.deepEqual(range.bytes, bytes.subarray(10, 20));
  assert.equal(range.headers['content-range'], `bytes 10-19/${bytes.length}`);
});

test('a page shows an image by its path, with nothing but the cookie', async () => {
  const { alice, bob, chat, bytes, media } = await scene();
  await attachOk(alice, chat, media);
  const page = new CookieClient(server, bob.token);
  const redirect = await page.get(`/v1/media/${media.id}/content`, { headers: { 'Sec-Fetch-Site': 'same-origin', 'Sec-Fetch-Dest': 'image' } });
  expectStatus(redirect, 307);
  assert.equal(redirect.headers['cache-control'], 'no-store');
  assert.equal(redirect.text, '');
  assert.deepEqual((await fetchUrl(redirect.headers.location)).bytes, bytes);
  expectProblem(await new CookieClient(server, 'x'.repeat(43)).get(`/v1/media/${media.id}/content`), 401, 'unauthorized');
});

test('HEAD answers what GET does, without the body', async () => {
  const { alice, media } = await scene();
  const answer = await alice.request('HEAD', `/v1/media/${media.id}/content`);
  assert.equal(answer.status, 307);
  assert.ok(answer.headers.location);
  assert.equal((await alice.request('HEAD', `/v1/media/${media.id}`)).status, 200);
});

test('URLs lead to the public URL when there is one, and else to where the client reached the server', async (t) => {
  const { alice, media } = await scene();
  assert.equal(new URL((await getMedia(alice, media.id)).url).origin, server.origin);
  const named = await alice.get(`/v1/media/${media.id}`, { headers: { Host: `localhost:${server.port}`, 'X-Forwarded-Proto': 'https' } });
  assert.equal(new URL(named.body.url).origin, `http://localhost:${server.port}`);
  const odd = await alice.get(`/v1/media/${media.id}`, { headers: { Host: 'a"b/c?d' } });
  if (odd.status === 200) assert.equal(new URL(odd.body.url).origin, server.origin);

  const behind = await startServerFor(t, { env: { PARLEY_TRUSTED_PROXY: 'on' } });
  const bob = await register(behind, 'bob');
  const pending = await tryAnnounce(bob, announcementOf(someBytes()));
  assert.equal(new URL(pending.body.upload.url).protocol, 'http:');
  const proxied = await bob.get(`/v1/media/${pending.body.id}`, { headers: { Host: 'chat.example.org', 'X-Forwarded-Proto': 'https' } });
  assert.equal(new URL(proxied.body.upload.url).origin, 'https://chat.example.org');

  const known = await startServerFor(t, { env: { PARLEY_PUBLIC_URL: 'https://parley.example.org' } });
  const carol = await register(known, 'carol');
  const announced = await announce(carol, someBytes());
  assert.equal(new URL(announced.upload.url).origin, 'https://parley.example.org');
});

// ---- Completing

test('completing twice answers the same, and does not ask for the object again', async () => {
  const { alice, media } = await scene();
  const again = await complete(alice, media);
  assert.deepEqual({ ...again, url: '', url_expires_at: '' }, { ...media, url: '', url_expires_at: '' });
});

test('what was never uploaded cannot be completed, and later it can', async () => {
  const alice = await register(server, 'alice');
  const bytes = someBytes();
  const media = await announce(alice, bytes);
  expectProblem(await tryComplete(alice, media), 409, 'upload_missing');
  checkPendingMedia(await getMedia(alice, media.id));
  expectProblem(await alice.get(`/v1/media/${media.id}/content`), 409, 'media_not_ready');
  await sendOk(media.upload, bytes);
  checkReadyMedia(await complete(alice, media));
});

test('the storage takes nothing but what was announced', async () => {
  const alice = await register(server, 'alice');
  const bytes = someBytes(1000);
  const media = await announce(alice, bytes);
  const { upload: presigned } = media;
  const tampered = new URL(presigned.url);
  tampered.searchParams.set('X-Amz-Expires', '604800');
  const elsewhere = new URL(presigned.url);
  elsewhere.pathname += 'x';
  const refused = {
    'other bytes': await send(presigned, someBytes(1000)),
    'fewer bytes': await send(presigned, bytes.subarray(1)),
    'more bytes': await send(presigned, Buffer.concat([bytes, bytes])),
    'no bytes': await send(presigned, Buffer.alloc(0)),
    'another type': await send(presigned, bytes, { headers: { 'content-type': 'text/html' } }),
    'another MD5': await send(presigned, bytes, { headers: { 'content-md5': Buffer.from(md5Of(someBytes()), 'hex').toString('base64') } }),
    'no MD5': await send(presigned, bytes, { headers: { 'content-md5': null } }),
    'another method': await send(presigned, bytes, { method: 'POST' }),
    'another time': await send(presigned, bytes, { url: tampered.href }),
    'another key': await send(presigned, bytes, { url: elsewhere.href }),
  };
  for (const [what, { status, text }] of Object.entries(refused)) assert.ok(status >= 400 && status < 500, `${what}: ${status} ${text}`);
  expectProblem(await tryComplete(alice, media), 409, 'upload_missing');
  await sendOk(presigned, bytes);
  await complete(alice, media);
});

test('an upload URL that is used again after completion does not change the file', async () => {
  const { alice, bytes } = await scene();
  const announced = await announce(alice, bytes);
  await sendOk(announced.upload, bytes);
  await complete(alice, announced);
  assert.ok((await send(announced.upload, someBytes(bytes.length))).status >= 400);
  await send(announced.upload, bytes);
  assert.deepEqual((await fetchContent(alice, announced.id)).bytes, bytes);
});

test('a fresh URL is given out for what is not uploaded yet', async () => {
  const alice = await register(server, 'alice');
  const bytes = someBytes();
  const media = await announce(alice, bytes);
  const again = await getMedia(alice, media.id);
  checkPendingMedia(again);
  assert.ok(Date.parse(again.upload.expires_at) >= Date.parse(media.upload.expires_at));
  await sendOk(again.upload, bytes);
  await complete(alice, media);
});

// Files of the embedded storage, by the path of their URLs.
const objectFile = (target, url) => listFiles(target.dataDir).find((file) => path.basename(file) === path.basename(new URL(url).pathname));

test('what the storage holds is compared with what was announced', async () => {
  const alice = await register(server, 'alice');
  const [large, small, same] = [someBytes(600), someBytes(500), someBytes(500)];
  const wanted = await announce(alice, small);
  await sendOk(wanted.upload, small);
  const replaceBy = async (bytes, fields) => {
    const other = await upload(alice, bytes, fields);
    copyFileSync(objectFile(server, other.url), objectFile(server, wanted.upload.url));
    return expectProblem(await tryComplete(alice, wanted), 409, 'upload_mismatch').detail;
  };
  assert.match(await replaceBy(large), /600 bytes .*500/);
  assert.match(await replaceBy(same), /MD5/);
  assert.match(await replaceBy(small, { content_type: 'text/html' }), /text\/html.*image\/png/);
  await sendOk(wanted.upload, small);
  await complete(alice, wanted);
});

test('an Idempotency-Key announces once', async () => {
  const alice = await register(server, 'alice');
  const bytes = someBytes();
  const announcement = announcementOf(bytes);
  const first = expectStatus(await tryAnnounce(alice, announcement, { key: 'one' }), 201);
  const second = expectStatus(await tryAnnounce(alice, announcement, { key: 'one' }), 200);
  assert.equal(second.id, first.id);
  await sendOk(second.upload, bytes);
  await complete(alice, first);
  const third = expectStatus(await tryAnnounce(alice, announcement, { key: 'one' }), 200);
  checkReadyMedia(third);
  assert.equal(third.id, first.id);
  expectProblem(await tryAnnounce(alice, { ...announcement, width: 7 }, { key: 'one' }), 409, 'idempotency_mismatch');
  expectStatus(await alice.delete(`/v1/media/${first.id}`), 204);
  expectProblem(await tryAnnounce(alice, announcement, { key: 'one' }), 404, 'not_found');
});

// ---- Names and types of downloads

test('a name that deceives or breaks out is refused', async () => {
  const alice = await register(server, 'alice');
  const names = ['', '.', '..', 'a/b', '../../etc/passwd', 'a\\b', 'a"b', 'a\r\nX-Evil: 1', 'a\nb', 'a\tb', 'a\u007fb', 'photo\u202egnp.exe', '\u200fa', 'a\u2066b', 'a\u2028b',
    'x'.repeat(256), 'é'.repeat(128)];
  for (const file_name of names) {
    expectProblem(await tryAnnounce(alice, announcementOf(someBytes(), { file_name })), 400, 'bad_field', 'file_name');
  }
});

test('other names come back as they were', async () => {
  const alice = await register(server, 'alice');
  const names = {
    'naïve plan.png': 'na_ve plan.png',
    '写真.png': '__.png',
    "it's; 100% \u{1f600}.png": "it's; 100_ _.png",
    'a&b=c#d?e+f.png': 'a&b=c#d?e+f.png',
    '.htaccess': '.htaccess',
  };
  for (const [file_name, fallback] of Object.entries(names)) {
    const media = await upload(alice, someBytes(), { file_name });
    assert.equal(media.file_name, file_name);
    const { headers } = await fetchUrl(media.url);
    const found = /^inline; filename="([^"]*)"; filename\*=UTF-8''([A-Za-z0-9._~%-]*)$/.exec(headers['content-disposition']);
    assert.ok(found, headers['content-disposition']);
    assert.deepEqual([found[1], decodeURIComponent(found[2])], [fallback, file_name]);
  }
  const long = 'ü'.repeat(127);
  const media = await upload(alice, someBytes(), { file_name: long });
  const { headers } = await fetchUrl(media.url);
  assert.ok(headers['content-disposition'].endsWith(encodeURIComponent(long)));
});

test('without a name the id is the name', async () => {
  const alice = await register(server, 'alice');
  const media = await upload(alice, someBytes());
  assert.equal((await fetchUrl(media.url)).headers['content-disposition'], `inline; filename="${media.id}"`);
});

test('nothing is served as a page', async () => {
  const alice = await register(server, 'alice');
  const dangerous = ['text/html', 'image/svg+xml', 'application/xhtml+xml', 'text/xml', 'application/javascript', 'multipart/mixed', 'text/html; charset=utf-8'];
  for (const content_type of dangerous) {
    const media = await upload(alice, Buffer.from(`<script>${Math.random()}</script>`), { content_type, file_name: 'page.html' });
    assert.equal(media.content_type, content_type);
    const { headers } = await fetchUrl(media.url);
    assert.equal(headers['content-type'], 'application/octet-stream', content_type);
    assert.match(headers['content-disposition'], /^attachment; filename="page.html"/, content_type);
  }
  for (const content_type of ['image/webp', 'audio/ogg', 'video/mp4', 'application/pdf', 'text/plain; charset=utf-8']) {
    const media = await upload(alice, someBytes(), { content_type });
    const { headers } = await fetchUrl(media.url);
    assert.equal(headers['content-type'], content_type);
    assert.match(headers['content-disposition'], /^inline; /, content_type);
  }
});

test('a download URL is good for its file, its name and its time only', async () => {
  const { alice, media } = await scene();
  const other = await upload(alice, someBytes());
  const { url } = await getMedia(alice, media.id);
  const changes = {
    type: (u) => u.searchParams.set('response-content-type', 'text/html'),
    disposition: (u) => u.searchParams.set('response-content-disposition', 'inline'),
    'no disposition': (u) => u.searchParams.delete('response-content-disposition'),
    time: (u) => u.searchParams.set('X-Amz-Expires', '604800'),
    key: (u) => { u.pathname = new URL(other.url).pathname; },
    'no signature': (u) => u.searchParams.delete('X-Amz-Signature'),
  };
  for (const [what, change] of Object.entries(changes)) {
    const changed = new URL(url);
    change(changed);
    const { status } = await fetchUrl(changed.href);
    assert.ok(status === 403 || status === 400, `${what}: ${status}`);
  }
  assert.equal((await fetchUrl(url, { method: 'DELETE' })).status >= 400, true);
  assert.equal((await fetchUrl(url)).status, 200);
});

// ---- Who may see and use it

test('nobody else can tell that media exists', async () => {
  const { alice, media } = await scene();
  const [stranger, bytes] = [await register(server, 'stranger'), someBytes()];
  const pending = await announce(alice, bytes);
  const chat = await createGroup(stranger);
  const body = { parts: [{ number: 1, md5: md5Of(bytes) }] };
  for (const id of [media.id, pending.id]) {
    const asked = {
      get: [await stranger.get(`/v1/media/${id}`), await stranger.get(`/v1/media/${NOBODY}`)],
      content: [await stranger.get(`/v1/media/${id}/content`), await stranger.get(`/v1/media/${NOBODY}/content`)],
      complete: [await stranger.post(`/v1/media/${id}/complete`), await stranger.post(`/v1/media/${NOBODY}/complete`)],
      parts: [await stranger.get(`/v1/media/${id}/parts`), await stranger.get(`/v1/media/${NOBODY}/parts`)],
      sign: [await stranger.post(`/v1/media/${id}/parts`, body), await stranger.post(`/v1/media/${NOBODY}/parts`, body)],
      delete: [await stranger.delete(`/v1/media/${id}`), await stranger.delete(`/v1/media/${NOBODY}`)],
    };
    for (const [what, answers] of Object.entries(asked)) {
      const [theirs, nobodys] = answers.map((answer) => ({ ...expectProblem(answer, 404, 'not_found'), request_id: '' }));
      assert.deepEqual(theirs, nobodys, what);
    }
    const [theirs, nobodys] = await Promise.all([attach(stranger, chat, { id }), attach(stranger, chat, { id: NOBODY })]);
    assert.deepEqual({ ...expectProblem(theirs, 400, 'bad_field', 'attachments'), request_id: '' }, { ...nobodys.body, request_id: '' });
    const thumbnails = [id, NOBODY].map((thumbnail_id) => tryAnnounce(stranger, announcementOf(bytes, { thumbnail_id })));
    const [one, other] = await Promise.all(thumbnails);
    assert.deepEqual({ ...expectProblem(one, 400, 'bad_field', 'thumbnail_id'), request_id: '' }, { ...other.body, request_id: '' });
  }
  for (const id of ['0', '01', 'x', '-1', '18446744073709551616']) expectProblem(await stranger.get(`/v1/media/${id}`), 404, 'not_found');
  checkReadyMedia(await getMedia(alice, media.id));
  checkPendingMedia(await getMedia(alice, pending.id));
});

test('a member who sees it may neither complete nor delete it', async () => {
  const { alice, bob, chat, media } = await scene();
  await attachOk(alice, chat, media);
  await getMedia(bob, media.id);
  expectProblem(await bob.delete(`/v1/media/${media.id}`), 404, 'not_found');
  expectProblem(await tryComplete(bob, media), 404, 'not_found');
  expectProblem(await bob.get(`/v1/media/${media.id}/parts`), 404, 'not_found');
  expectProblem(await tryAnnounce(bob, announcementOf(someBytes(), { thumbnail_id: media.id })), 400, 'bad_field', 'thumbnail_id');
});

test('media of a chat one is not in, or has joined later, cannot be seen', async () => {
  const { alice, bob, chat, media, bytes } = await scene();
  const [outsider, late] = await registerMany(server, 'outsider', 'late');
  await expectHidden(bob, media);
  await attachOk(alice, chat, media);
  await expectVisible(bob, media, bytes);
  await expectHidden(outsider, media);
  await addMember(alice, chat, late);
  await expectHidden(late, media);
});

test('where the whole history is shown, so are its files', async () => {
  const { alice, chat, media, bytes } = await scene({ history: 'all' });
  await attachOk(alice, chat, media);
  const late = await register(server, 'late');
  await expectHidden(late, media);
  await addMember(alice, chat, late);
  await expectVisible(late, media, bytes);
});

test('who has left sees the files of the own time, and none that came later', async () => {
  const { alice, bob, chat, media, bytes } = await scene();
  const message = await attachOk(alice, chat, media);
  await removeMember(alice, chat, bob);
  await expectVisible(bob, media, bytes);
  const later = await upload(alice, someBytes());
  await attachOk(alice, chat, later);
  await expectHidden(bob, later);
  expectStatus(await alice.delete(`/v1/chats/${chat.id}/messages/${message.id}`), 204);
  await expectHidden(bob, media);
});

test('a message that was edited after one left takes its files along', async () => {
  const { alice, bob, chat, media } = await scene();
  const message = await attachOk(alice, chat, media, { text: 'look' });
  await removeMember(alice, chat, bob);
  expectStatus(await alice.patch(`/v1/chats/${chat.id}/messages/${message.id}`, { text: 'look at this' }), 200);
  const seen = expectStatus(await bob.get(`/v1/chats/${chat.id}/messages/${message.id}`), 200);
  assert.equal(seen.withheld, true);
  assert.equal(seen.attachments, undefined);
  await expectHidden(bob, media);
});

test('what was deleted is hidden from the others at once', async () => {
  const { alice, bob, chat, media } = await scene();
  const message = await attachOk(alice, chat, media);
  assert.equal((await getMedia(alice, media.id)).expires_at, undefined);
  expectStatus(await alice.delete(`/v1/chats/${chat.id}/messages/${message.id}`), 204);
  await expectHidden(bob, media);
  const own = await getMedia(alice, media.id);
  assert.ok(Date.parse(own.expires_at) > Date.now());
  const again = await attachOk(alice, chat, media);
  assert.equal((await getMedia(bob, media.id)).id, again.attachments[0].id);
});

test('what a deleted chat showed is hidden', async () => {
  const { alice, bob, chat, media } = await scene();
  await attachOk(alice, chat, media);
  expectStatus(await alice.delete(`/v1/chats/${chat.id}`), 204);
  await expectHidden(bob, media);
});

test('a member forwards what is seen, and it lives as long as any message with it', async () => {
  const { alice, bob, chat, media, bytes } = await scene();
  const carol = await register(server, 'carol');
  const message = await attachOk(alice, chat, media);
  const elsewhere = await createDirect(bob, carol);
  await expectHidden(carol, media);
  const forwarded = await attachOk(bob, elsewhere, media);
  assert.deepEqual(forwarded.attachments, message.attachments);
  await expectVisible(carol, media, bytes);
  expectStatus(await alice.delete(`/v1/chats/${chat.id}/messages/${message.id}`), 204);
  await expectVisible(carol, media, bytes);
  expectProblem(await alice.delete(`/v1/media/${media.id}`), 409, 'media_in_use');
  expectStatus(await bob.delete(`/v1/chats/${elsewhere.id}/messages/${forwarded.id}`), 204);
  await expectHidden(carol, media);
  await expectHidden(bob, media);
  expectProblem(await attach(bob, elsewhere, media), 400, 'bad_field', 'attachments');
});

test('a thumbnail is seen with its parent', async () => {
  const { alice, bob, chat } = await scene();
  const [small, large] = [someBytes(50), someBytes(5000)];
  const thumbnail = await upload(alice, small, { content_type: 'image/webp', width: 32, height: 24 });
  const media = await upload(alice, large, { thumbnail_id: thumbnail.id });
  assert.equal(media.thumbnail_id, thumbnail.id);
  await expectHidden(bob, thumbnail);
  const message = await attachOk(alice, chat, media);
  assert.deepEqual(message.attachments, [{ ...attachmentOf(media), thumbnail: attachmentOf(thumbnail) }]);
  checkNewMessage(message);
  assert.deepEqual((await getMedia(bob, media.id)).thumbnail, attachmentOf(thumbnail));
  await expectVisible(bob, thumbnail, small);
  expectProblem(await alice.delete(`/v1/media/${thumbnail.id}`), 409, 'media_in_use');
  expectStatus(await alice.delete(`/v1/chats/${chat.id}/messages/${message.id}`), 204);
  await expectHidden(bob, thumbnail);
});

test('a thumbnail is a completed image', async () => {
  const alice = await register(server, 'alice');
  const pending = await announce(alice, someBytes());
  const text = await upload(alice, someBytes(), { content_type: 'text/plain' });
  const gone = await upload(alice, someBytes());
  expectStatus(await alice.delete(`/v1/media/${gone.id}`), 204);
  for (const { id } of [pending, text, gone]) {
    expectProblem(await tryAnnounce(alice, announcementOf(someBytes(), { thumbnail_id: id })), 400, 'bad_field', 'thumbnail_id');
  }
});

// ---- Messages

test('attachments are in the history, in the stream and in the chain, in their order', async (t) => {
  const { alice, bob, chat, media } = await scene();
  const { as_of } = expectStatus(await bob.get('/v1/chats'), 200);
  const second = await upload(alice, someBytes(), { content_type: 'application/pdf', file_name: 'b.pdf' });
  const messages = [
    await postMessage(alice, chat, 'only text'),
    await attachOk(alice, chat, [second, media], { text: 'both' }),
    await attachOk(alice, chat, [media, second], { text: 'both' }),
    await attachOk(alice, chat, media),
    await attachOk(alice, chat, media, { text: '" , {"id":"1","md5":"' }),
  ];
  for (const message of messages) checkNewMessage(message);
  assert.equal(messages[3].text, '');
  assert.deepEqual(messages[1].attachments.map(({ id }) => id), [second.id, media.id]);
  assert.deepEqual(await wholeHistory(bob, chat), messages);
  checkChain(messages);
  const stream = await openReadyFor(t, server, { token: bob.token, lastEventId: as_of });
  assert.deepEqual((await stream.take(messages.length)).map((event) => event.message), messages);
});

test('an edit changes the text and leaves the files, a deletion takes all', async (t) => {
  const { alice, bob, chat, media } = await scene();
  const { as_of } = expectStatus(await bob.get('/v1/chats'), 200);
  const stream = await openReadyFor(t, server, { token: bob.token });
  const message = await attachOk(alice, chat, media, { text: 'before' });
  const where = `/v1/chats/${chat.id}/messages/${message.id}`;
  await stream.next('message.created');
  const edited = expectStatus(await alice.patch(where, { text: 'after' }), 200);
  checkEditedMessage(edited);
  assert.deepEqual(edited.attachments, message.attachments);
  assert.deepEqual((await stream.next('message.edited')).message, edited);
  checkChain(await wholeHistory(bob, chat));
  expectProblem(await alice.patch(where, { text: 'x', attachments: [media.id] }), 400, 'unknown_field', 'attachments');
  expectStatus(await alice.delete(where), 204);
  const deleted = (await stream.next('message.deleted')).message;
  checkDeletedMessage(deleted);
  assert.deepEqual(await wholeHistory(bob, chat), [deleted]);
  checkChain([deleted]);
  const replay = await openReadyFor(t, server, { token: bob.token, lastEventId: as_of });
  assert.deepEqual((await replay.take(3)).map((event) => event.message), [deleted, deleted, deleted]);
});

test('a message without text has attachments, and they are well-formed', async () => {
  const { alice, chat, media } = await scene();
  const where = `/v1/chats/${chat.id}/messages`;
  expectProblem(await alice.post(where, {}), 400, 'missing_field', 'text');
  expectProblem(await alice.post(where, { client_key: 'a' }), 400, 'missing_field', 'text');
  const bad = [[], null, media.id, {}, [Number(media.id)], [''], ['0'], [media.id, media.id], Array(11).fill(media.id), [media.id, NOBODY]];
  for (const attachments of bad) expectProblem(await alice.post(where, { text: 'x', attachments }), 400, 'bad_field', 'attachments');
  expectProblem(await alice.post(where, { text: '', attachments: [media.id] }), 400, 'bad_field', 'text');
  assert.deepEqual(await wholeHistory(alice, chat), []);
});

test('ten files are the most', async () => {
  const { alice, chat } = await scene();
  const files = await Promise.all(Array.from({ length: 11 }, () => upload(alice, someBytes(10))));
  expectProblem(await attach(alice, chat, files), 400, 'bad_field', 'attachments');
  assert.equal((await attachOk(alice, chat, files.slice(1))).attachments.length, 10);
});

test('what is not completed or is deleted cannot be attached', async () => {
  const { alice, chat } = await scene();
  const pending = await announce(alice, someBytes());
  expectProblem(await attach(alice, chat, pending), 409, 'media_not_ready', 'attachments');
  const gone = await upload(alice, someBytes());
  expectStatus(await alice.delete(`/v1/media/${gone.id}`), 204);
  expectProblem(await attach(alice, chat, gone), 400, 'bad_field', 'attachments');
  assert.deepEqual(await wholeHistory(alice, chat), []);
});

test('a repeated key posts its attachments once', async () => {
  const { alice, chat, media } = await scene();
  const post = (attachments, text) =>
    alice.post(`/v1/chats/${chat.id}/messages`, { text, attachments }, { headers: { 'Idempotency-Key': 'once' } });
  const first = expectStatus(await post([media.id], 'x'), 201);
  assert.deepEqual(expectStatus(await post([media.id], 'x'), 200), first);
  expectProblem(await post(undefined, 'x'), 409, 'idempotency_mismatch');
  expectStatus(await alice.delete(`/v1/chats/${chat.id}/messages/${first.id}`), 204);
  assert.equal(expectStatus(await post([media.id], 'x'), 200).deleted, true);
  assert.ok((await getMedia(alice, media.id)).expires_at, 'the repetition refers to nothing');
});

// ---- Deleting

test('media that no message refers to can be deleted, once', async () => {
  const { alice, chat, media } = await scene();
  const pending = await announce(alice, someBytes());
  expectStatus(await alice.delete(`/v1/media/${pending.id}`), 204);
  expectProblem(await tryComplete(alice, pending), 404, 'not_found');
  const message = await attachOk(alice, chat, media);
  expectProblem(await alice.delete(`/v1/media/${media.id}`), 409, 'media_in_use');
  expectStatus(await alice.delete(`/v1/chats/${chat.id}/messages/${message.id}`), 204);
  expectStatus(await alice.delete(`/v1/media/${media.id}`), 204);
  expectProblem(await alice.delete(`/v1/media/${media.id}`), 404, 'not_found');
  await expectHidden(alice, media);
  expectProblem(await trySign(alice, media, [{ number: 1, bytes: someBytes() }]), 404, 'not_found');
});

test('everything survives a kill', async (t) => {
  const own = await startServerFor(t);
  const [alice, bob] = await registerMany(own, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const [bytes, later] = [someBytes(), someBytes()];
  const media = await upload(alice, bytes, { file_name: 'kept.png' });
  const pending = await announce(alice, later);
  await sendOk(pending.upload, later);
  const message = await attachOk(alice, chat, media, { text: 'kept' });
  await own.kill();
  await own.restart();
  assert.deepEqual(await wholeHistory(bob, chat), [message]);
  await expectVisible(bob, media, bytes);
  const completed = await complete(alice, pending);
  assert.deepEqual((await fetchUrl(completed.url)).bytes, later);
});
