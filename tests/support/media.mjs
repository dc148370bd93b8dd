// Files on their way through the API: announced, sent to the storage, completed and fetched.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { Client, expectStatus, parseJson } from './client.mjs';
import { holdExchange } from './contract.mjs';

export const MIB = 1024 * 1024;

const hashOf = (algorithm, bytes) => createHash(algorithm).update(bytes).digest('hex');
export const md5Of = (bytes) => hashOf('md5', bytes);
export const sha256Of = (bytes) => hashOf('sha256', bytes);

// Bytes that nothing else has.
export const someBytes = (size = 1000) => randomBytes(size);

// What POST /v1/media wants to know of these bytes. A field that is undefined is left out.
export function announcementOf(bytes, fields = {}) {
  return { content_type: 'image/png', size: bytes.length, md5: md5Of(bytes), ...fields };
}

export async function tryAnnounce(account, announcement, { key } = {}) {
  const headers = key === undefined ? {} : { 'Idempotency-Key': key };
  return account.post('/v1/media', announcement, { headers });
}

// The media object with its `upload`.
export async function announce(account, bytes, fields) {
  return expectStatus(await tryAnnounce(account, announcementOf(bytes, fields)), 201);
}

// Sends bytes as a presigned request says. Options replace its parts; a header that is null is left out.
export async function send(presigned, bytes, { method = presigned.method, url = presigned.url, headers = {} } = {}) {
  const all = Object.entries({ ...presigned.headers, ...headers }).filter(([, value]) => value !== null);
  const response = await fetch(url, { method, headers: Object.fromEntries(all), body: bytes });
  const answer = { method, path: new URL(url).pathname, status: response.status, headers: Object.fromEntries(response.headers), text: await response.text() };
  holdBlob(url, { method, headers: Object.fromEntries(all), payload: bytes }, { ...answer, bytes: Buffer.from(answer.text) });
  return answer;
}

// What the embedded storage answers is in the API's document; a storage of its own has its own. Of a file only counts that there is one.
export function holdBlob(url, request, { status, headers, bytes }) {
  const { pathname, search } = new URL(url);
  if (!pathname.startsWith('/blobs/')) return;
  const isJson = /json/.test(headers['content-type'] ?? '') && bytes.length > 0;
  const text = isJson ? bytes.toString() : bytes.subarray(0, 1).toString('latin1');
  holdExchange({ ...request, path: pathname + search }, { status, headers, text, body: isJson ? parseJson(text) : undefined });
}

export async function sendOk(presigned, bytes) {
  const answer = await send(presigned, bytes);
  assert.equal(answer.status, 200, `PUT ${answer.path}: ${answer.text}`);
  return answer;
}

export async function tryComplete(account, media) {
  return account.post(`/v1/media/${media.id}/complete`);
}

export async function complete(account, media) {
  return expectStatus(await tryComplete(account, media), 200);
}

// The whole way of a file in one piece, or in parts when the server wants it so: the completed media object.
export async function upload(account, bytes, fields) {
  const media = await announce(account, bytes, fields);
  if (media.upload.kind === 'multipart') await sendParts(account, media, bytes);
  else await sendOk(media.upload, bytes);
  return complete(account, media);
}

// ---- In parts

export function partsOf(media, bytes) {
  const { part_size, part_count } = media.upload;
  return Array.from({ length: part_count }, (_, i) => ({ number: i + 1, bytes: bytes.subarray(i * part_size, (i + 1) * part_size) }));
}

export async function trySign(account, media, parts) {
  return account.post(`/v1/media/${media.id}/parts`, { parts: parts.map(({ number, bytes }) => ({ number, md5: md5Of(bytes) })) });
}

export async function signParts(account, media, parts) {
  return expectStatus(await trySign(account, media, parts), 200).parts;
}

// Signs and sends some or all parts of the bytes.
export async function sendParts(account, media, bytes, wanted = () => true) {
  const parts = partsOf(media, bytes).filter(({ number }) => wanted(number));
  const signed = await signParts(account, media, parts);
  for (const [index, part] of parts.entries()) await sendOk(signed[index], part.bytes);
}

export async function listParts(account, media, query = {}) {
  const search = new URLSearchParams(query).toString();
  return expectStatus(await account.get(`/v1/media/${media.id}/parts${search && `?${search}`}`), 200);
}

// ---- Fetching

export async function getMedia(account, id) {
  return expectStatus(await account.get(`/v1/media/${id}`), 200);
}

// What a browser gets for the URL: status, headers and bytes.
export async function fetchUrl(url, { method = 'GET', headers = {} } = {}) {
  const response = await fetch(url, { method, headers, redirect: 'manual' });
  const answer = { status: response.status, headers: Object.fromEntries(response.headers), bytes: Buffer.from(await response.arrayBuffer()) };
  holdBlob(url, { method, headers }, answer);
  return answer;
}

// What the account gets by following /content, and the answer of the storage.
export async function fetchContent(account, id, options) {
  const redirect = await account.get(`/v1/media/${id}/content`);
  expectStatus(redirect, 307);
  return fetchUrl(redirect.headers.location, options);
}

// A client that has only the session's cookie, like a page.
export class CookieClient extends Client {
  constructor(server, token) {
    super(server);
    this.cookie = `parley_session=${token}`;
  }

  request(method, path, options = {}) {
    return super.request(method, path, { ...options, headers: { Cookie: this.cookie, ...options.headers } });
  }
}
