// One file on its way to the storage: announced with its size and MD5, sent to the URL that the server gives out, and checked. Large ones go in parts, a few at
// a time, of which only those that failed are sent again. Images and videos are announced with their measures, images with a small copy.
import { call, get, pause, pauseAfter, post } from './api.js';
import { freshKey } from './ids.js';
import { md5Of } from './md5.js';

const TRIES_MAX = 5;
const PARTS_AT_ONCE = 3;
const PARTS_SIGNED_AT_ONCE = 20;
const THUMBNAIL_PIXELS = 480;
const THUMBNAIL_ABOVE_BYTES = 60_000;
const THUMBNAIL_TYPE = 'image/webp';

export class Cancelled extends Error {
  constructor() {
    super('The upload was cancelled.');
    this.code = 'cancelled';
    this.mayPass = false;
  }
}

export class Upload {
  #changed;
  #abort = new AbortController();
  #sent = new Map();
  #key = freshKey();
  media_id = null;
  failed = null;
  attachment = null;

  // `changed` is called when there is something new to show. `about`: duration_ms of a recording.
  constructor(file, changed = () => {}, about = {}) {
    this.file = file;
    this.about = about;
    this.#changed = changed;
    this.preview_url = /^(image|video|audio)\//.test(file.type) ? URL.createObjectURL(file) : null;
    this.#start();
  }

  get name() {
    return this.file.name || 'file';
  }

  get type() {
    return this.file.type || 'application/octet-stream';
  }

  get isReady() {
    return this.media_id !== null;
  }

  // From 0 to 1.
  get progress() {
    if (this.isReady) return 1;
    let bytes = 0;
    for (const sent of this.#sent.values()) bytes += sent;
    return Math.min(0.99, bytes / Math.max(1, this.file.size));
  }

  set onChange(changed) {
    this.#changed = changed;
  }

  cancel() {
    this.#abort.abort(new Cancelled());
    this.release();
  }

  // The preview is no longer shown.
  release() {
    if (this.preview_url) URL.revokeObjectURL(this.preview_url);
  }

  retry() {
    if (!this.failed || this.#abort.signal.aborted) return;
    this.failed = null;
    this.#key = freshKey();
    this.#sent.clear();
    this.#start();
  }

  #start() {
    this.done = this.#run();
    this.done.catch((error) => {
      this.failed = error;
      this.#changed();
    });
  }

  async #run() {
    const { signal } = this.#abort;
    const about = await describe(this.file, signal);
    const body = { content_type: this.type, size: this.file.size, md5: await md5Of(this.file), ...fileName(this.file), ...about, ...this.about };
    const media = await post('/v1/media', body, { key: this.#key, signal });
    const sent = media.state === 'ready' ? media : await this.#transfer(media);
    this.attachment = sent;
    this.media_id = media.id;
    this.#changed();
    return media.id;
  }

  // Sends what is missing, and again should the storage have got something else.
  async #transfer(announced) {
    const { signal } = this.#abort;
    for (let media = announced, attempt = 1; ; attempt += 1) {
      try {
        await (media.upload.kind === 'single' ? this.#sendFile(media.upload, 0, this.file) : this.#sendParts(media));
        return await call('POST', `/v1/media/${media.id}/complete`, { signal, key: freshKey() });
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        const again = error.mayPass || error.code === 'upload_missing' || error.code === 'upload_mismatch' || error.code === 'url_expired';
        if (!again || attempt >= TRIES_MAX) throw error;
        await pause(pauseAfter(error, attempt), signal);
        media = await get(`/v1/media/${media.id}`, { signal });
        if (media.state === 'ready') return media;
      }
    }
  }

  async #sendFile({ method, url, headers }, number, bytes) {
    await transfer({ method, url, headers, bytes, signal: this.#abort.signal }, (sent_bytes) => {
      this.#sent.set(number, sent_bytes);
      this.#changed();
    });
    this.#sent.set(number, bytes.size);
  }

  async #sendParts({ id, upload: { part_size, part_count } }) {
    const arrived = await this.#partsArrived(id);
    const missing = Array.from({ length: part_count }, (_, index) => index + 1).filter((number) => !arrived.has(number));
    for (const number of arrived) this.#sent.set(number, this.#part(number, part_size).size);
    while (missing.length > 0) await this.#sendSome(id, part_size, missing.splice(0, PARTS_SIGNED_AT_ONCE));
  }

  async #partsArrived(id) {
    const { items } = await get(`/v1/media/${id}/parts?limit=100`, { signal: this.#abort.signal });
    return new Set(items.map((part) => part.number));
  }

  #part(number, part_size) {
    return this.file.slice((number - 1) * part_size, number * part_size);
  }

  async #sendSome(id, part_size, numbers) {
    const parts = [];
    for (const number of numbers) parts.push({ number, md5: await md5Of(this.#part(number, part_size)) });
    const signed = await call('POST', `/v1/media/${id}/parts`, { body: { parts }, signal: this.#abort.signal, key: freshKey() });
    const waiting = [...signed.parts];
    const work = async () => {
      for (let part = waiting.shift(); part; part = waiting.shift()) await this.#sendFile(part, part.number, this.#part(part.number, part_size));
    };
    await Promise.all(Array.from({ length: PARTS_AT_ONCE }, work));
  }
}

// Sends bytes to a presigned URL. Only XMLHttpRequest says how far it is.
function transfer({ method, url, headers, bytes, signal }, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) if (!/^(host|content-length)$/i.test(name)) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded }) => progress(loaded);
    request.onload = () => (request.status < 300 ? resolve() : reject(refusal(request)));
    request.onerror = request.ontimeout = () => reject(Object.assign(new Error('The storage cannot be reached.'), { mayPass: true, code: 'unreachable' }));
    request.onabort = () => reject(signal.reason);
    signal.addEventListener('abort', () => request.abort(), { once: true });
    request.send(bytes);
  });
}

function refusal(request) {
  const code = /"code":"(\w+)"/.exec(request.responseText)?.[1] ?? 'storage';
  const mayPass = request.status >= 500 || request.status === 429;
  return Object.assign(new Error(`The storage refused the file (${request.status}).`), { mayPass, code, status: request.status });
}

function fileName(file) {
  const name = (file.name ?? '').replace(/[/\\"\u0000-\u001f\u007f\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, '_').slice(-60);
  return name ? { file_name: name } : {};
}

// What is said of the file beside its bytes; nothing where the browser cannot read it.
async function describe(file, signal) {
  if (file.type === 'image/svg+xml') return {};
  if (file.type.startsWith('image/')) return describeImage(file, signal).catch(() => ({}));
  return {};
}

async function describeImage(file, signal) {
  const image = await createImageBitmap(file);
  const about = { width: image.width, height: image.height };
  if (file.size > THUMBNAIL_ABOVE_BYTES) about.thumbnail_id = await sendThumbnail(image, signal).catch(() => undefined);
  image.close();
  return about;
}

async function sendThumbnail(image, signal) {
  const scale = Math.min(1, THUMBNAIL_PIXELS / Math.max(image.width, image.height));
  const canvas = document.createElement('canvas');
  canvas.width = Math.max(1, Math.round(image.width * scale));
  canvas.height = Math.max(1, Math.round(image.height * scale));
  canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, THUMBNAIL_TYPE, 0.8));
  const body = { content_type: blob.type, size: blob.size, md5: await md5Of(blob), width: canvas.width, height: canvas.height };
  const media = await post('/v1/media', body, { key: freshKey(), signal });
  await transfer({ ...media.upload, bytes: blob, signal }, () => {});
  await call('POST', `/v1/media/${media.id}/complete`, { signal, key: freshKey() });
  return media.id;
}
