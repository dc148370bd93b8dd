// What all tabs share: one stream, one acknowledgement of what came, one list of whose presence is watched, and who may show notifications.
//
// Tabs say { kind: 'hello', user_id, position }, 'bye', 'visible' (on), 'watch' (user_ids), 'ack' (id) and 'wake'; they are told what the stream says, with
// `notify` true for one tab, when no tab is in view.
import { put, send } from './api.js';
import { laterId } from './ids.js';
import { StreamSource } from './stream-source.js';

const ACK_AFTER_MS = 400;
const PRESENCE_EVERY_MS = 10_000;
const VISIBLE_FOR_MS = 25_000;
const WATCHED_MAX = 200;

export class StreamHub {
  #tabs = new Map();
  #source = null;
  #user_id = null;
  #acked = null;
  #toAck = null;
  #ackTimer = null;
  #present_at = 0;
  #watched = '';

  // `deliver(message)` reaches the tab.
  receive(tab, message, deliver) {
    if (message.kind === 'hello') return this.#hello(tab, message, deliver);
    if (message.kind === 'bye') return this.#tabs.delete(tab);
    const known = this.#tabs.get(tab);
    if (!known) return undefined;
    if (message.kind === 'visible') return this.#see(known, message.on);
    if (message.kind === 'watch') return this.#watch(known, message.user_ids);
    if (message.kind === 'ack') return this.#acknowledge(message.id);
    return this.#source?.wake();
  }

  #hello(tab, message, deliver) {
    this.#tabs.set(tab, { deliver, visible_until: 0, watched: [] });
    if (!this.#source || message.user_id !== this.#user_id || this.#source.state.state === 'ended') this.#restart(message);
    else deliver(this.#source.state);
  }

  #restart({ user_id, position = null }) {
    this.#source?.stop();
    this.#user_id = user_id;
    this.#toAck = this.#acked = null;
    const source = new StreamSource({ position, tell: (said) => { if (this.#source === source) this.#heard(said); } });
    this.#source = source;
    source.start();
  }

  #heard(said) {
    const notifier = this.#anyVisible() ? null : [...this.#tabs.keys()].at(-1);
    for (const [tab, { deliver }] of this.#tabs) deliver(said.kind === 'event' ? { ...said, notify: tab === notifier } : said);
    if (said.event?.type === 'ready') this.#sendWatched();
    if (said.event?.type === 'reset') this.#toAck = this.#acked = null;
  }

  // ---- who is looking

  #anyVisible() {
    const now = Date.now();
    return [...this.#tabs.values()].some((tab) => tab.visible_until > now);
  }

  #see(tab, on) {
    tab.visible_until = on ? Date.now() + VISIBLE_FOR_MS : 0;
    const here = this.#anyVisible();
    if (here && Date.now() - this.#present_at < PRESENCE_EVERY_MS - 500) return;
    if (!here && this.#present_at === 0) return;
    this.#present_at = here ? Date.now() : 0;
    send('PUT', '/v1/presence', { body: { active: here }, anonymous: true }).catch(() => {});
  }

  #watch(tab, user_ids) {
    tab.watched = user_ids;
    this.#sendWatched(this.#watched);
  }

  // A subscription replaces the one before, so it is that of all tabs together.
  async #sendWatched(sent = null) {
    const user_ids = [...new Set([...this.#tabs.values()].flatMap((tab) => tab.watched))].slice(0, WATCHED_MAX).sort();
    this.#watched = user_ids.join();
    if (this.#watched === sent || (user_ids.length === 0 && !sent)) return;
    const states = await put('/v1/presence/subscriptions', { user_ids }, { anonymous: true }).catch(() => null);
    for (const { deliver } of this.#tabs.values()) if (states) deliver({ kind: 'presence', items: states.items });
  }

  // ---- what has arrived

  #acknowledge(id) {
    this.#toAck = laterId(this.#toAck, id);
    this.#ackTimer ??= setTimeout(() => this.#sendAck(), ACK_AFTER_MS);
  }

  async #sendAck() {
    this.#ackTimer = null;
    const id = this.#toAck;
    if (id === null || id === this.#acked) return;
    try {
      await send('POST', '/v1/events/ack', { body: { id }, anonymous: true });
      this.#acked = id;
    } catch (error) {
      if (error.status === 400) this.#toAck = this.#acked = null;
    }
  }
}
