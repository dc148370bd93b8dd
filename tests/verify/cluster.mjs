// What is judged: one server by itself, or several nodes on one database behind
// a balancer, perhaps with Redis between them; all in one folder.

import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Balancer } from '../support/haproxy.mjs';
import { freePort, Server } from './server.mjs';
import { GaleraService, Service } from './services.mjs';

export class Cluster {
  constructor({ nodes, database, redis, databaseOptions, binary, env, nodeEnv }, { records, random }) {
    Object.assign(this, { count: nodes, binary, env, nodeEnv, records, random });
    this.wanted = { database, redis, databaseOptions };
    this.servers = [];
    this.started = []; // services
    this.database = null;
    this.redis = null;
    this.balancer = null;
    this.ended = false; // nothing is started any more
  }

  async prepare() {
    this.folder = await mkdtemp(join(tmpdir(), 'parley-verify-'));
    if (this.wanted.database !== 'sqlite') await this.addDatabase();
    if (this.wanted.redis) {
      this.redis = await this.addService(Service, 'redis.sh', { folder: 'redis', port: await freePort(this.random) });
    }
    await this.addServers();
    if (this.count > 1 && !this.ended) await this.addBalancer();
  }

  /** Its server belongs to another user. */
  async addDatabase() {
    await chmod(this.folder, 0o755);
    const { database, databaseOptions } = this.wanted;
    const Kind = database === 'galera' ? GaleraService : Service;
    this.database = await this.addService(Kind, `${database}.sh`, { folder: database, options: databaseOptions });
  }

  async addService(Kind, script, { folder, ...rest }) {
    if (this.ended) throw new Error('interrupted');
    const service = new Kind(script, { folder: join(this.folder, folder), ...rest });
    this.started.push(service);
    await service.start();
    return service;
  }

  async addServers() {
    for (let number = 1; number <= this.count; number++) {
      const name = `node${number}`;
      const server = new Server({
        name, binary: this.binary, records: this.records, port: await freePort(this.random),
        folder: this.count > 1 ? join(this.folder, name) : this.folder,
        env: this.settings(number),
      });
      await server.prepare();
      this.servers.push(server);
    }
  }

  settings(number) {
    return {
      ...(this.database && { PARLEY_DB: this.database.url }),
      ...(this.redis && { PARLEY_REDIS: this.redis.url }),
      ...(this.count > 1 && { PARLEY_NODE: String(number), PARLEY_TRUSTED_PROXY: 'on' }),
      ...this.env,
      ...this.nodeEnv.get(number),
    };
  }

  async addBalancer() {
    const folder = join(this.folder, 'haproxy');
    this.balancer = new Balancer({ folder, port: await freePort(this.random), nodes: this.servers });
    await this.balancer.start();
  }

  /** Where clients go. */
  get port() {
    return (this.balancer ?? this.servers[0]).port;
  }

  get isRunning() {
    return this.servers.length > 0 && this.servers.every((server) => server.isRunning);
  }

  /** One after the other: the first makes the schema. */
  async start(unexpected) {
    for (const server of this.servers) {
      if (!(await this.startServer(server, unexpected))) return false;
    }
    return true;
  }

  spawnServer(server, unexpected) {
    if (!this.ended) server.spawn((how, running) => {
      if (!this.couldNotStart(running)) unexpected(how);
    });
  }

  /** Resolves when the server listens; false: it does not, and `unexpected` was
   *  told. One that finds no database ends, and whatever supervises it starts
   *  it again. */
  async startServer(server, unexpected) {
    for (;;) {
      if (this.ended) return false;
      const started = await server.start((how, running) => {
        if (!this.couldNotStart(running)) unexpected(how);
      });
      if (started || !this.couldNotStart(server.process)) return started;
      await this.database.returned;
    }
  }

  couldNotStart({ listening, ended, signal, sinceMs }) {
    return ended !== null && !listening && signal === null && this.database !== null && this.database.wasAwaySince(sinceMs);
  }

  serverNamed(name) {
    return this.servers.find((server) => server.name === name);
  }

  async sanitizerReports() {
    return (await Promise.all(this.servers.map((server) => server.sanitizerReports()))).flat();
  }

  async logTail() {
    const tails = await Promise.all(this.servers.map(async (server) => `${server.name}:\n${await server.logTail()}`));
    return this.count > 1 ? tails.join('\n') : tails.join('\n').replace(/^.*\n/, '');
  }

  /** Ends everything that was started, whatever state it is in. */
  async end() {
    this.ended = true;
    await Promise.all(this.servers.map((server) => server.close()));
    await this.balancer?.stop();
    for (const service of this.started) await service.end();
  }

  async remove(keep) {
    await this.end();
    if (!keep && this.folder) await rm(this.folder, { recursive: true, force: true });
  }
}
