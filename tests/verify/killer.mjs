// Takes things away at random moments, and brings them back: a server by kill
// -9 (among these moments the worst ones: right after an answer, while a request
// is under way, and while it is starting), several servers at once, one that only
// freezes, Redis, and the database. What is away at the same time is left to
// chance.

import { sleep, until } from './timing.mjs';

const MOMENTS = ['any', 'after an answer', 'after an answer', 'under way', 'starting'];
const MOMENT_PATIENCE_MS = 500;
const FROZEN_MS = [300, 4000]; // clients wait longer for an answer: nothing is sent twice for that

function kindsFor({ nodes, database, redis }) {
  return [
    'server',
    ...(nodes > 1 ? ['server', 'servers', 'server frozen'] : []),
    ...(redis ? ['redis'] : []),
    ...(database === 'mariadb' ? ['database killed', 'database stopped'] : []),
    ...(database === 'galera' ? ['database killed'] : []),
  ];
}

/** What is taken away, in order: everything there is once, by chance, then
 *  again; or, of all that, `only` this. */
export function planKills({ kills, only, ...rest }, random) {
  const kinds = kindsFor(rest).filter((kind) => only.length === 0 || only.includes(kind));
  if (kinds.length === 0) throw new Error(`--only takes one of: ${[...new Set(kindsFor(rest))].join(', ')}`);
  const plan = [];
  while (plan.length < kills) plan.push(...random.sample(kinds, kinds.length));
  return plan.slice(0, kills);
}

export class Killer {
  constructor({ cluster, workload, records, random, collapse }) {
    Object.assign(this, { cluster, workload, records, random, collapse });
    this.turn = [];
    this.taken = new Set(); // servers that are away, or about to be
  }

  /** Spreads what is planned over `durationMs`; resolves when everything is
   *  there again, or has been found not to come back. */
  async run(plan, durationMs) {
    const begin = Date.now();
    const disturbances = [];
    for (const [n, kind] of plan.entries()) {
      const at = (durationMs * (n + 0.25 + 0.75 * this.random.next())) / plan.length;
      await sleep(Math.max(0, begin + at - Date.now()));
      if (this.stopped) break;
      disturbances.push(this.disturb(kind));
      // A server by itself is there again before the next kill; of several things some may be away together.
      if (this.cluster.count === 1) await disturbances.at(-1);
    }
    await Promise.all(disturbances);
    await sleep(this.stopped ? 0 : Math.max(0, begin + durationMs - Date.now()));
  }

  stop() {
    this.stopped = true;
  }

  async disturb(kind) {
    try {
      if (kind === 'server') await this.disturbServer();
      else if (kind === 'servers') await this.disturbServers();
      else if (kind === 'server frozen') await this.freezeServer();
      else if (kind === 'redis') await this.disturbService('redis', this.random.pick(['killed', 'stopped', 'frozen']));
      else await this.disturbService('database', kind === 'database killed' ? 'killed' : 'stopped');
    } catch (error) {
      this.unexpected(`${kind}: ${error.message}`);
    }
  }

  unexpected(how) {
    this.records.server.failures.push(how);
    this.collapse(how);
  }

  // ---- the database, Redis

  async disturbService(name, way) {
    const service = this.cluster[name];
    await service.returned;
    if (this.stopped) return;
    this.records.absences[name] += 1;
    await service.takeAway(way, this.random.chance(0.5) ? 0 : this.random.between(100, 2500));
  }

  // ---- servers

  /** Those of which nobody disposes now. */
  free() {
    return this.cluster.servers.filter((server) => !this.taken.has(server));
  }

  /** Takes one, or says that there is none: the first of `wanted`, else the
   *  next in its turn; the turns are shuffled. */
  take(...wanted) {
    const free = this.free();
    this.turn = this.turn.filter((server) => free.includes(server));
    if (this.turn.length === 0) this.turn = this.random.sample(free, free.length);
    const server = wanted.find((one) => free.includes(one)) ?? this.turn.pop();
    if (server) this.taken.add(server);
    return server;
  }

  /** After `work`. */
  async giveBack(server, work) {
    await work;
    this.taken.delete(server);
  }

  async takeWhenFree(count) {
    await until(() => this.free().length >= count, Infinity);
    return Array.from({ length: count }, () => this.take());
  }

  async disturbServer() {
    const moment = this.random.pick(MOMENTS);
    const server = await this.killAt(moment);
    if (moment === 'starting') await this.killWhileStarting(server);
    await this.giveBack(server, this.bringBack(server));
  }

  /** From two to all of them at the same moment. */
  async disturbServers() {
    const servers = await this.takeWhenFree(this.random.between(2, this.cluster.count));
    await Promise.all(servers.map((server) => this.kill(server)));
    await Promise.all(servers.map((server) => this.giveBack(server, this.bringBack(server))));
  }

  async freezeServer() {
    const [server] = await this.takeWhenFree(1);
    this.records.absences.frozen += 1;
    server.freeze();
    await sleep(this.random.between(...FROZEN_MS));
    server.thaw();
    await this.giveBack(server);
  }

  /** Returns the server that was killed. */
  async killAt(moment) {
    if (moment === 'after an answer') return this.when('onAcknowledged', 0);
    if (moment === 'under way') return this.when('onSent', this.random.between(1, 4));
    const [server] = await this.takeWhenFree(1);
    await this.kill(server);
    return server;
  }

  async killWhileStarting(server) {
    this.cluster.spawnServer(server, (how) => this.unexpected(how));
    await sleep(this.random.between(0, 60));
    await this.kill(server);
  }

  kill(server) {
    this.records.server.kills += 1;
    return server.kill();
  }

  /** Kills `delayMs` after the workload's next call of `hook`; 0: inside it,
   *  and the server that has answered, if it is free. */
  async when(hook, delayMs) {
    let server = null;
    let ended = null;
    const go = (answered) => {
      server ??= this.take(answered);
      if (server) ended ??= this.kill(server);
    };
    await Promise.race([sleep(MOMENT_PATIENCE_MS), new Promise((resolve) => {
      this.workload[hook] = (attempt) => {
        this.workload[hook] = () => {};
        if (delayMs === 0) go(this.cluster.serverNamed(attempt?.node));
        else setTimeout(go, delayMs);
        setTimeout(resolve, delayMs + 1);
      };
    })]);
    this.workload[hook] = () => {};
    if (!server) await until(() => this.free().length > 0, Infinity);
    go();
    await ended;
    return server;
  }

  absenceMs() {
    if (this.random.chance(0.5)) return 0;
    return this.cluster.count > 1 ? this.random.between(10, 3000) : this.random.between(10, 200);
  }

  async bringBack(server) {
    await sleep(this.absenceMs());
    if (await this.cluster.startServer(server, (how) => this.unexpected(how))) return;
    this.collapse(`${server.name} did not come back`);
  }
}
