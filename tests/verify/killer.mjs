// Kills the server at random moments, among them the worst ones: right after
// an answer, while a request is under way, and while it is starting.

import { sleep } from './timing.mjs';

const MOMENTS = ['any', 'after an answer', 'after an answer', 'under way', 'starting'];
const MOMENT_PATIENCE_MS = 500;

export class Killer {
  constructor({ server, workload, records, random, collapse }) {
    Object.assign(this, { server, workload, records, random, collapse });
  }

  /** Spreads `kills` over `durationMs`; resolves with the server running, or
   *  false when it did not come back. */
  async run(kills, durationMs) {
    const begin = Date.now();
    for (let n = 0; n < kills && !this.stopped; n++) {
      const at = (durationMs * (n + 0.25 + 0.75 * this.random.next())) / kills;
      await sleep(Math.max(0, begin + at - Date.now()));
      if (this.stopped) break;
      await this.killAt(this.random.pick(MOMENTS));
      if (!(await this.bringBack())) return false;
    }
    await sleep(this.stopped ? 0 : Math.max(0, begin + durationMs - Date.now()));
    return true;
  }

  stop() {
    this.stopped = true;
  }

  async killAt(moment) {
    if (moment === 'after an answer') await this.when('onAcknowledged', 0);
    else if (moment === 'under way') await this.when('onSent', this.random.between(1, 4));
    else await this.kill();
    if (moment !== 'starting') return;
    this.server.spawn((how) => this.unexpected(how));
    await sleep(this.random.between(0, 60));
    await this.kill();
  }

  kill() {
    this.records.server.kills += 1;
    return this.server.kill();
  }

  /** Kills `delayMs` after the workload's next call of `hook`; 0: inside it. */
  async when(hook, delayMs) {
    let ended = null;
    const go = () => {
      ended ??= this.kill();
    };
    await Promise.race([sleep(MOMENT_PATIENCE_MS), new Promise((resolve) => {
      this.workload[hook] = () => {
        this.workload[hook] = () => {};
        if (delayMs === 0) go();
        else setTimeout(go, delayMs);
        setTimeout(resolve, delayMs + 1);
      };
    })]);
    this.workload[hook] = () => {};
    go();
    await ended;
  }

  async bringBack() {
    await sleep(this.random.chance(0.5) ? 0 : this.random.between(10, 200));
    if (await this.server.start((how) => this.unexpected(how))) return true;
    this.collapse('the server did not come back');
    return false;
  }

  unexpected(how) {
    this.records.server.failures.push(how);
    this.collapse(how);
  }
}
