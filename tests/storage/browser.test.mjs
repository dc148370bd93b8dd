// A real browser and a real Ceph gateway: a page of one origin uploads to a second and asks a third.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage, skip, startSite } from '../support/browser.mjs';
import { startCeph } from '../support/ceph.mjs';
import { createGroup, register } from '../support/client.mjs';
import { md5Of } from '../support/media.mjs';
import { startServerFor } from '../support/server.mjs';

// A red square of 8 by 8 pixels.
const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mP4z8CAFTEMLQkAKP8/wc53yE8AAAAASUVORK5CYII=', 'base64');

// ---- What runs inside the page

async function sendPhoto({ server, token, chat, base64, md5 }) {
  const api = async (path, body) => {
    const answer = await fetch(server + path, {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify(body ?? {}),
    });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const media = await api('/v1/media', { content_type: 'image/png', size: bytes.length, md5, file_name: 'square.png' });
  const { method, url, headers } = media.upload;
  const sent = await fetch(url, { method, headers, body: bytes });
  if (!sent.ok) throw new Error(`${url}: ${sent.status} ${await sent.text()}`);
  await api(`/v1/media/${media.id}/complete`);
  const message = await api(`/v1/chats/${chat}/messages`, { attachments: [media.id] });
  return { attachment: message.attachments[0], etag: sent.headers.get('etag') };
}

async function showPhoto({ server, token, id }) {
  const answer = await fetch(`${server}/v1/media/${id}`, { headers: { Authorization: `Bearer ${token}` } });
  const { url } = await answer.json();
  const image = new Image();
  image.crossOrigin = 'anonymous';
  image.src = url;
  await image.decode();
  document.body.append(image);
  const canvas = document.createElement('canvas');
  canvas.getContext('2d').drawImage(image, 0, 0);
  const pixel = canvas.getContext('2d').getImageData(4, 4, 1, 1).data;
  return { width: image.naturalWidth, height: image.naturalHeight, pixel: [...pixel] };
}

// ---- The tests

async function exchangePhoto(t, server, site) {
  const alice = await register(server, 'alice');
  const bob = await register(server, 'bob');
  const chat = await createGroup(alice, [bob]);
  const sender = await openPage(t, site);
  const facts = { server: server.origin, token: alice.token, chat: chat.id, base64: PNG.toString('base64'), md5: md5Of(PNG) };
  const { attachment, etag } = await sender.evaluate(sendPhoto, facts);
  assert.equal(etag, `"${md5Of(PNG)}"`, 'the page can read the ETag');
  const receiver = await openPage(t, site);
  const shown = await receiver.evaluate(showPhoto, { server: server.origin, token: bob.token, id: attachment.id });
  assert.deepEqual([shown.width, shown.height], [8, 8]);
  assert.deepEqual(shown.pixel, [255, 0, 0, 255]);
}

test('a page uploads by fetch to Ceph and another shows the image', { skip }, async (t) => {
  const ceph = await startCeph();
  t.after(() => ceph.stop());
  const site = await startSite(t);
  const server = await startServerFor(t, { env: { ...ceph.env, PARLEY_CORS_ORIGINS: site, PARLEY_S3_BUCKET: 'pages' } });
  const { code, stdout, stderr } = await server.parley(['media', 'setup']);
  assert.equal(code, 0, stdout + stderr);
  await exchangePhoto(t, server, site);
});

test('the same with the embedded storage', { skip }, async (t) => {
  const site = await startSite(t);
  const server = await startServerFor(t, { env: { PARLEY_CORS_ORIGINS: site } });
  await exchangePhoto(t, server, site);
});
