// Names of users: each is asked for once, when something shows it, a few at a time.
import { get } from './api.js';

const AT_ONCE = 4;

export class People {
  #emitter;
  #known = new Map();
  #waiting = [];
  #running = 0;

  constructor(emitter) {
    this.#emitter = emitter;
  }

  // The user, or null while it is not known yet; topic `people` says when it is.
  get(id) {
    const known = this.#known.get(id);
    if (known === undefined) this.#ask(id);
    return known ?? null;
  }

  put(user) {
    this.#known.set(user.id, user);
    this.#emitter.changed('people');
  }

  async find(username) {
    const { items } = await get(`/v1/users?username=${encodeURIComponent(username)}`);
    items.forEach((user) => this.put(user));
    return items[0] ?? null;
  }

  #ask(id) {
    this.#known.set(id, null);
    this.#waiting.push(id);
    this.#next();
  }

  async #next() {
    if (this.#running >= AT_ONCE || this.#waiting.length === 0) return;
    const id = this.#waiting.shift();
    this.#running += 1;
    try {
      this.put(await get(`/v1/users/${id}`));
    } catch (error) {
      if (error.mayPass) this.#known.delete(id);
    }
    this.#running -= 1;
    this.#next();
  }
}
