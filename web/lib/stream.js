// This tab's end of the shared stream. Ten tabs have one connection: in a SharedWorker; where browsers have none, in the tab that holds a lock, which tells
// the others by a BroadcastChannel; without locks each tab has its own.
import { freshKey, laterId } from './ids.js';
import { StreamHub } from './stream-hub.js';

const VISIBLE_EVERY_MS = 10_000;
const IDLE_AFTER_MS = 120_000;
const NAME = 'parley-stream';

export class Stream {
  #post;
  #hello = null;
  #position = null;
  #acted_at = Date.now();

  // `heard` gets what the hub says.
  constructor(heard) {
    const hear = (message) => {
      if (message.kind === 'event') this.#position = message.event.type === 'reset' ? message.id : laterId(this.#position, message.id);
      heard(message);
    };
    this.#post = connect(hear, () => this.#hello && { ...this.#hello, position: this.#position });
    for (const kind of ['pointerdown', 'keydown', 'focus']) addEventListener(kind, () => this.#acted(), true);
    document.addEventListener('visibilitychange', () => this.#say());
    setInterval(() => this.#say(), VISIBLE_EVERY_MS);
    addEventListener('online', () => this.#post({ kind: 'wake' }));
    addEventListener('pagehide', () => this.#post({ kind: 'bye' }));
  }

  // Joins the stream of this user.
  join(user_id) {
    this.#hello = { kind: 'hello', user_id };
    this.#post(this.#hello);
    this.#say();
  }

  leave() {
    this.#hello = null;
    this.#position = null;
    this.#post({ kind: 'bye' });
  }

  wake() {
    this.#post({ kind: 'wake' });
  }

  acknowledge(id) {
    this.#post({ kind: 'ack', id });
  }

  watch(user_ids) {
    this.#post({ kind: 'watch', user_ids });
  }

  #acted() {
    const wasIdle = Date.now() - this.#acted_at > IDLE_AFTER_MS;
    this.#acted_at = Date.now();
    if (wasIdle) this.#say();
  }

  #say() {
    if (!this.#hello) return;
    const inView = document.visibilityState === 'visible';
    this.#post({ kind: 'visible', on: inView && Date.now() - this.#acted_at < IDLE_AFTER_MS });
    if (inView) this.#post({ kind: 'wake' });
  }
}

// Answers the function that says something to the hub. `introduce` answers the hello to say to a new one.
function connect(hear, introduce) {
  if ('SharedWorker' in globalThis) return connectToWorker(hear);
  if (navigator.locks && 'BroadcastChannel' in globalThis) return connectByLock(hear, introduce);
  return connectAlone(hear);
}

function connectToWorker(hear) {
  const worker = new SharedWorker('/stream-worker.js', { type: 'module', name: NAME });
  worker.port.onmessage = ({ data }) => hear(data);
  return (message) => worker.port.postMessage(message);
}

function connectAlone(hear) {
  const hub = new StreamHub();
  return (message) => hub.receive('here', message, hear);
}

// The tab that gets the lock has the hub; the lock of a closed tab goes to the next.
function connectByLock(hear, introduce) {
  const channel = new BroadcastChannel(NAME);
  const here = freshKey();
  let hub = null;
  const receive = (tab, message) => hub.receive(tab, message, (said) => (tab === here ? hear(said) : channel.postMessage({ to: tab, said })));
  channel.onmessage = ({ data }) => {
    if (data.to === here) hear(data.said);
    else if (data.from && hub) receive(data.from, data.message);
    else if (data.from === 'hub' && introduce()) channel.postMessage({ from: here, message: introduce() });
  };
  navigator.locks.request(NAME, () => new Promise(() => {
    hub = new StreamHub();
    if (introduce()) receive(here, introduce());
    channel.postMessage({ from: 'hub' });
  }));
  return (message) => (hub ? receive(here, message) : channel.postMessage({ from: here, message }));
}
