// What nodes share: a MariaDB server or a Galera cluster, and a Redis of the run's
// own. Each is taken away and comes back, the database with its data, Redis with
// nothing unless it was only frozen.

import { runScript } from '../support/script.mjs';
import { sleep } from './timing.mjs';

/** How it goes, and comes back: commands of its script. */
const WAYS = { killed: ['kill', 'restart'], stopped: ['stop', 'restart'], frozen: ['freeze', 'thaw'] };
const GALERA_SERVERS = 3;

/** What `script` starts in `folder`, with more `options` of its own; `port` is
 *  nothing for what needs none. */
export class Service {
  returned = Promise.resolve(); // when it is there (again)
  isAway = false;
  returnedMs = 0;

  constructor(script, { folder, port = '', options = [] }) {
    Object.assign(this, { script, folder, port, options });
  }

  async start() {
    this.returned = this.run('start', ...this.options);
    this.url = await this.returned;
  }

  /** With their arguments. */
  commands(way) {
    return WAYS[way].map((command) => [command]);
  }

  /** Away from now on, for `absenceMs` and as long as it takes to start.
   *  Resolves when it is back. */
  takeAway(way, absenceMs) {
    const [leave, comeBack] = this.commands(way);
    this.isAway = true;
    this.returned = this.run(...leave)
      .then(() => sleep(absenceMs))
      .then(() => this.run(...comeBack))
      .then(() => {
        this.isAway = false;
        this.returnedMs = Date.now();
      });
    return this.returned;
  }

  wasAwaySince(ms) {
    return this.isAway || this.returnedMs > ms;
  }

  async end() {
    await this.returned.catch(() => {});
    await this.run('stop');
  }

  run(...args) {
    return runScript(this.script, args, { folder: this.folder, env: { PORT: String(this.port) } });
  }
}

/** A database of several servers, of which one is away at a time, each in its
 *  turn. The first is the one that nodes prefer. */
export class GaleraService extends Service {
  #turns = 0;

  commands(way) {
    const server = String((this.#turns++ % GALERA_SERVERS) + 1);
    return WAYS[way].map((command) => [command, server]);
  }
}
