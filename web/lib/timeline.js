// A window onto the history of one chat: at most WINDOW_MAX messages, in order, without holes. It grows at either end by pages and drops what is far away, so
// that memory and drawing do not depend on how long the history is.
import { get, withQuery } from './api.js';
import { compareIds } from './ids.js';

const PAGE = 60;
export const WINDOW_MAX = 240;

// Of two copies of a message the newer: the one with the higher `rev`. Reactions have a number of their own.
export function mergeMessages(known, fresh) {
  if (!known || fresh.hidden) return fresh;
  if (known.hidden) return known;
  if (fresh.rev === undefined) return fresh;
  const newer = fresh.rev >= (known.rev ?? 0) ? fresh : known;
  if (newer.text === undefined) return newer;
  const reacted = (fresh.reactions_rev ?? 0) >= (known.reactions_rev ?? 0) ? fresh : known;
  const { reactions = known.reactions ?? [], reactions_rev = known.reactions_rev ?? 0 } = reacted;
  return { ...newer, reactions, reactions_rev };
}

export class Timeline {
  #path;
  #changed;
  #generation = 0;
  #loading = { before: false, after: false };
  #opening = false;
  #heard = new Map();
  items = [];
  atStart = false;
  atEnd = false;
  loaded = false;
  failed = false;

  // `changed` is called after each change of what is shown.
  constructor(chat_id, changed) {
    this.#path = `/v1/chats/${chat_id}/messages`;
    this.#changed = changed;
  }

  get isLoading() {
    return this.#opening || this.#loading.before || this.#loading.after;
  }

  // Begins anew at the end of the history.
  openEnd() {
    return this.#open({}, (page) => {
      this.atStart = page.next === null;
      this.atEnd = true;
    });
  }

  // The server may have lost what is shown: nothing of it is kept.
  startAgain() {
    this.items = [];
    this.#heard.clear();
    return this.openEnd();
  }

  // Begins anew around a message.
  openAround(id) {
    return this.#open({ around: id }, () => {
      this.atStart = this.atEnd = false;
    });
  }

  async #open(query, place) {
    const generation = (this.#generation += 1);
    this.#opening = true;
    this.#loading = { before: false, after: false };
    try {
      const page = await get(withQuery(this.#path, { ...query, limit: PAGE }));
      if (generation !== this.#generation) return;
      this.items = this.#withHeard(page.items);
      this.loaded = true;
      this.failed = false;
      place(page);
      if (this.atEnd) for (const message of this.#heard.values()) this.#append(message);
    } catch (error) {
      if (generation !== this.#generation) return;
      this.failed = true;
      if (!error.mayPass) throw error;
    } finally {
      if (generation === this.#generation) this.#opening = false;
      this.#forgetHeard();
      this.#changed();
    }
  }

  // What the stream said while a page was on its way may be newer than the page.
  #withHeard(items) {
    return items.map((message) => mergeMessages(this.#heard.get(message.id), message));
  }

  #forgetHeard() {
    if (!this.isLoading) this.#heard.clear();
  }

  loadBefore() {
    if (this.atStart || this.items.length === 0) return null;
    return this.#extend('before', this.items[0].id, (page) => {
      this.items.unshift(...page.items);
      this.atStart = page.next === null;
      if (this.items.length > WINDOW_MAX) {
        this.items.length = WINDOW_MAX;
        this.atEnd = false;
      }
    });
  }

  loadAfter() {
    if (this.atEnd || this.items.length === 0) return null;
    return this.#extend('after', this.items.at(-1).id, (page) => {
      this.items.push(...page.items.filter((message) => compareIds(message.id, this.items.at(-1).id) > 0));
      this.atEnd = page.next === null;
      this.#dropFirst();
    });
  }

  #dropFirst() {
    if (this.items.length <= WINDOW_MAX) return;
    this.items.splice(0, this.items.length - WINDOW_MAX);
    this.atStart = false;
  }

  async #extend(direction, id, apply) {
    if (this.#loading[direction]) return;
    const generation = this.#generation;
    this.#loading[direction] = true;
    try {
      const page = await get(withQuery(this.#path, { [direction]: id, limit: PAGE }));
      if (generation === this.#generation) apply({ ...page, items: this.#withHeard(page.items) });
    } catch (error) {
      if (!error.mayPass) this[direction === 'before' ? 'atStart' : 'atEnd'] = true;
    } finally {
      if (generation === this.#generation) this.#loading[direction] = false;
      this.#forgetHeard();
      this.#changed();
    }
  }

  find(id) {
    return this.items[this.#indexOf(id)] ?? null;
  }

  #indexOf(id) {
    let low = 0;
    let high = this.items.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const order = compareIds(this.items[middle].id, id);
      if (order === 0) return middle;
      if (order < 0) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  // Whether a message that was posted has the place of another one: then the server's history is not what this window shows, for instance because an older
  // copy of its database was put back.
  contradicts({ id, seq }) {
    if (!this.loaded || this.items.length === 0 || seq === undefined || this.find(id)) return false;
    return seq >= this.items[0].seq && seq <= this.items.at(-1).seq;
  }

  // A message that was posted. `trim`: whether old ones may go, which is when the reader is at the end.
  add(message, trim) {
    if (this.change(message) || !this.loaded || !this.atEnd || this.#opening) return;
    this.#append(message);
    if (trim) this.#dropFirst();
    this.#changed();
  }

  // At the end, if it belongs there; when one is missing before it, both are read.
  #append(message) {
    const last = this.items.at(-1);
    if (!this.atEnd || (last && compareIds(message.id, last.id) <= 0)) return;
    if (last && message.seq !== undefined && message.seq > last.seq + 1) {
      this.atEnd = false;
      this.loadAfter();
    } else this.items.push(message);
  }

  // A message that is shown has changed; false when it is not.
  change(message) {
    if (this.isLoading) this.#heard.set(message.id, mergeMessages(this.#heard.get(message.id), message));
    const index = this.#indexOf(message.id);
    if (index < 0) return false;
    this.items[index] = mergeMessages(this.items[index], message);
    this.#changed();
    return true;
  }

  // Blanks what disappears by itself; answers when the next one does, or null.
  expire(now) {
    let next = null;
    this.items.forEach((message, index) => {
      if (!message.expires_at) return;
      const at = Date.parse(message.expires_at);
      if (at <= now) this.items[index] = gone(message);
      else next = next === null ? at : Math.min(next, at);
    });
    return next;
  }
}

function gone({ id, chat_id, sender_id, seq, rev, created_at }) {
  return { id, chat_id, sender_id, seq, rev, created_at, deleted: true };
}
