// The one stream of this browser: keeps `GET /v1/events` open, goes on where it was after every cut, and says what comes.
//
// It tells: { kind: 'state', state, retry_at }, with `state` one of `connecting`, `live`, `waiting` (until `retry_at`, then it tries again) and `ended`
// (the session is over); { kind: 'event', id, event, resumed }.
import { readFrames } from './event-stream.js';

const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 15_000;
const HEARTBEAT_FIRST_MS = 15_000;
const FINAL_REASONS = new Set(['device_revoked', 'logged_out', 'password_changed', 'replaced', 'session_expired']);

export class StreamSource {
  #tell;
  #position;
  #stopped = true;
  #abort = null;
  #silence = null;
  #wake = null;
  #failures = 0;
  #retry_ms = null;
  #heartbeat_ms = HEARTBEAT_FIRST_MS;
  state = { kind: 'state', state: 'connecting', retry_at: null };

  // `position` is the token to go on from, or null for the present.
  constructor({ tell, position = null }) {
    this.#tell = tell;
    this.#position = position;
  }

  get position() {
    return this.#position;
  }

  start() {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.#run();
  }

  stop() {
    this.#stopped = true;
    this.#abort?.abort();
    this.#wake?.();
  }

  // Something suggests that the server is there again: does not wait any longer.
  wake() {
    this.#wake?.();
  }

  async #run() {
    while (!this.#stopped) {
      const outcome = await this.#connect().catch(() => 'lost');
      if (this.#stopped) return;
      if (outcome === 'ended') return this.#end();
      this.#failures += 1;
      await this.#wait();
    }
  }

  #end() {
    this.#stopped = true;
    this.#setState('ended');
  }

  async #connect() {
    this.#setState('connecting');
    this.#abort = new AbortController();
    this.#expectWithin(this.#heartbeat_ms);
    try {
      const response = await fetch('/v1/events', { headers: this.#headers(), signal: this.#abort.signal, cache: 'no-store' });
      if (response.status === 401) return 'ended';
      if (!response.ok) return this.#refused(response);
      return await this.#read(response.body);
    } finally {
      clearTimeout(this.#silence);
      this.#abort.abort();
    }
  }

  #headers() {
    return this.#position ? { 'Last-Event-ID': this.#position } : {};
  }

  #refused(response) {
    const retry_s = Number(response.headers.get('Retry-After'));
    if (retry_s > 0) this.#retry_ms = retry_s * 1000;
    return 'lost';
  }

  // Two heartbeats without a frame: the connection is broken, though nobody said so.
  #expectWithin(heartbeat_ms) {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#abort.abort(), 2 * heartbeat_ms + 1000);
  }

  async #read(body) {
    const resumed = this.#position !== null;
    for await (const frame of readFrames(body)) {
      this.#expectWithin(this.#heartbeat_ms);
      if (frame.retry !== null) this.#retry_ms = frame.retry;
      const event = frame.data === null ? null : JSON.parse(frame.data);
      if (event?.type === 'ready') this.#opened(event);
      if (event?.type === 'closing' && FINAL_REASONS.has(event.reason)) return 'ended';
      if (event && event.type !== 'closing') this.#tell({ kind: 'event', id: frame.id, event, resumed });
      if (frame.id !== null) this.#position = frame.id;
    }
    return 'lost';
  }

  #opened(ready) {
    this.#failures = 0;
    this.#heartbeat_ms = ready.heartbeat_ms;
    this.#setState('live');
  }

  // After a stream that lived, as `retry:` says; after failures in a row longer each time.
  async #wait() {
    const first_ms = this.#retry_ms ?? RETRY_FIRST_MS;
    const backoff_ms = Math.min(RETRY_MAX_MS, first_ms * 1.6 ** (this.#failures - 1)) * (0.8 + Math.random() * 0.4);
    this.#setState('waiting', Date.now() + backoff_ms);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, backoff_ms);
      this.#wake = () => { clearTimeout(timer); resolve(); };
    });
    this.#wake = null;
  }

  #setState(state, retry_at = null) {
    this.state = { kind: 'state', state, retry_at };
    this.#tell(this.state);
  }
}
