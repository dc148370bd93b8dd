// What nodes share: a MariaDB server and a Redis of the run's own. Each is taken
// away and comes back, the database with its data, Redis with nothing unless it
// was only frozen.

import { runScript } from '../support/script.mjs';
import { sleep } from './timing.mjs';

/** How it goes, and comes back: commands of its script. */
const WAYS = { killed: ['kill', 'restart'], stopped: ['stop', 'restart'], frozen: ['freeze', 'thaw'] };

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

  /** Away from now on, for `absenceMs` and as long as it takes to start.
   *  Resolves when it is back. */
  takeAway(way, absenceMs) {
    const [leave, comeBack] = WAYS[way];
    this.isAway = true;
    this.returned = this.run(leave)
      .then(() => sleep(absenceMs))
      .then(() => this.run(comeBack))
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
