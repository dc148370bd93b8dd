// Messages on their way: each is kept in localStorage until the server has it, and sent again under the same idempotency key, so that neither a lost answer
// nor a reload nor a restart of the server loses or doubles it. Those of one chat go one after the other, in the order in which they were written.
//
// The tab in which a message was written sends it. When that tab is gone, another one takes over; should two send it, the key makes it one.
import { Problem, pauseAfter, send } from './api.js';
import { freshKey } from './ids.js';

const PREFIX = 'parley:outbox:';
const TAB = freshKey();
const TAB_LOCK = 'parley-tab-';

export class Outbox {
  #emitter;
  #prefix;
  #entries = new Map();
  #pumping = new Set();
  #wakers = new Set();
  #whenPosted;
  #closed = false;
  #written_ms = 0;

  // `whenPosted(message)` gets what the server answers.
  constructor(emitter, user_id, whenPosted) {
    this.#emitter = emitter;
    this.#prefix = `${PREFIX}${user_id}:`;
    this.#whenPosted = whenPosted;
    navigator.locks?.request(TAB_LOCK + TAB, () => new Promise(() => {}));
    for (const [name, text] of stored(this.#prefix)) this.#entries.set(keyOf(name), JSON.parse(text));
    addEventListener('storage', (event) => this.#heardStorage(event));
    this.adopt();
  }

  // The messages of a chat that are on their way, the oldest first.
  of(chat_id) {
    return [...this.#entries.values()].filter((entry) => entry.chat_id === chat_id).sort((one, other) => one.written_ms - other.written_ms);
  }

  get(key) {
    return this.#entries.get(key) ?? null;
  }

  // Files are on their way, which a reload would lose.
  get isUploading() {
    return [...this.#entries.values()].some((entry) => !entry.failed && entry.uploads?.some((upload) => !upload.isReady));
  }

  // `body` is that of the request. `uploads` are awaited first; they cannot be kept, so the message is kept from then on.
  add(chat_id, body, uploads = []) {
    const key = freshKey();
    this.#written_ms = Math.max(Date.now(), this.#written_ms + 1);
    const entry = { key, chat_id, body: { ...body, client_key: key }, written_ms: this.#written_ms, tab: TAB, failed: null, uploads };
    this.#entries.set(key, entry);
    if (uploads.length === 0) this.#store(entry);
    this.#changed(entry);
    this.#pump(chat_id);
    return entry;
  }

  // Sends again what was refused.
  retry(key) {
    const entry = this.#entries.get(key);
    if (!entry) return;
    Object.assign(entry, { failed: null, tab: TAB });
    entry.uploads?.forEach((upload) => upload.retry());
    this.#store(entry);
    this.#changed(entry);
    this.#pump(entry.chat_id);
  }

  discard(key) {
    const entry = this.#entries.get(key);
    entry?.uploads?.forEach((upload) => upload.cancel());
    this.settle(key);
  }

  // The server has it.
  settle(key) {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    forget(this.#prefix + key);
    this.#changed(entry);
  }

  // The server is there again: nobody waits any longer.
  wake() {
    for (const wake of [...this.#wakers]) wake();
    this.adopt();
  }

  // Takes over what tabs that are gone have left.
  async adopt() {
    const alive = await tabsAlive();
    for (const entry of this.#entries.values()) if (!alive?.has(entry.tab)) entry.tab = TAB;
    for (const { tab, chat_id } of [...this.#entries.values()]) if (tab === TAB) this.#pump(chat_id);
  }

  // Nothing is sent from here any more; what waits stays for when the user is signed in again.
  close() {
    this.#closed = true;
    for (const wake of [...this.#wakers]) wake();
  }

  // The user signs out: nothing of theirs stays in this browser.
  clear() {
    for (const key of [...this.#entries.keys()]) this.settle(key);
    this.close();
  }

  #heardStorage({ key: name, newValue }) {
    if (!name?.startsWith(this.#prefix) || this.#closed) return;
    const entry = newValue === null ? this.#entries.get(keyOf(name)) : JSON.parse(newValue);
    if (!entry) return;
    if (newValue === null) this.#entries.delete(entry.key);
    else this.#entries.set(entry.key, entry);
    this.#changed(entry);
  }

  async #pump(chat_id) {
    if (this.#pumping.has(chat_id)) return;
    this.#pumping.add(chat_id);
    for (let entry = this.#next(chat_id); entry; entry = this.#next(chat_id)) await this.#deliver(entry);
    this.#pumping.delete(chat_id);
  }

  #next(chat_id) {
    return this.#closed ? null : this.of(chat_id).find((entry) => entry.tab === TAB && !entry.failed);
  }

  // Until it is posted, refused or thrown away.
  async #deliver(entry) {
    if (!(await this.#uploaded(entry))) return;
    for (let attempt = 1; this.#entries.has(entry.key) && !this.#closed; attempt += 1) {
      try {
        const message = await send('POST', `/v1/chats/${entry.chat_id}/messages`, { body: entry.body, key: entry.key });
        this.#whenPosted(message);
        return this.settle(entry.key);
      } catch (error) {
        if (!error.mayPass) return this.#refuse(entry, error);
        await this.#pause(pauseAfter(error, attempt));
      }
    }
  }

  async #uploaded(entry) {
    if (!entry.uploads?.length) return true;
    try {
      entry.body.attachments = await Promise.all(entry.uploads.map((upload) => upload.done));
    } catch (error) {
      this.#refuse(entry, error);
      return false;
    }
    entry.files = entry.uploads.map((upload) => upload.attachment);
    if (this.#entries.has(entry.key)) this.#store(entry);
    return this.#entries.has(entry.key);
  }

  #refuse(entry, error) {
    if (!this.#entries.has(entry.key)) return;
    if (error instanceof Problem && error.status === 401) return;
    entry.failed = { code: error.code ?? 'failed', detail: error.message };
    if (!entry.uploads?.some((upload) => !upload.media_id)) this.#store(entry);
    this.#changed(entry);
  }

  #pause(duration_ms) {
    return new Promise((resolve) => {
      const done = () => { clearTimeout(timer); this.#wakers.delete(done); resolve(); };
      const timer = setTimeout(done, duration_ms);
      this.#wakers.add(done);
    });
  }

  #store({ uploads, ...entry }) {
    if (uploads?.some((upload) => !upload.media_id)) return;
    try {
      localStorage.setItem(this.#prefix + entry.key, JSON.stringify(entry));
    } catch {
      // Without room it is only in memory.
    }
  }

  #changed(entry) {
    this.#emitter.changed(`outbox:${entry.chat_id}`);
  }
}

function keyOf(name) {
  return name.slice(name.lastIndexOf(':') + 1);
}

function stored(prefix) {
  try {
    return Object.entries(localStorage).filter(([name]) => name.startsWith(prefix));
  } catch {
    return [];
  }
}

function forget(name) {
  try {
    localStorage.removeItem(name);
  } catch {
    // It was not kept, then.
  }
}

// The tabs that hold their lock, or null where browsers cannot say.
async function tabsAlive() {
  if (!navigator.locks?.query) return null;
  const { held } = await navigator.locks.query();
  return new Set([TAB, ...held.filter(({ name }) => name.startsWith(TAB_LOCK)).map(({ name }) => name.slice(TAB_LOCK.length))]);
}
