// The Galera cluster (galera.sh) whose folder PARLEY_TEST_GALERA names, for tests that end servers of it and bring them back; null without.
import { runScript } from './script.mjs';
import { eventually } from './wait.mjs';

export const SERVERS = [1, 2, 3];

const STEP_DEADLINE_MS = 60_000;
const IDLE_S = 3;

class Galera {
  #count = 0;

  constructor(folder) {
    this.folder = folder;
  }

  #run(...args) {
    return runScript('galera.sh', args, { folder: this.folder });
  }

  // As a power cut would.
  kill(server) {
    return this.#run('kill', String(server));
  }

  // Starts it again on its data, and resolves when it has what it missed.
  restart(server) {
    return this.#run('restart', String(server));
  }

  // The answer of a statement, run as root.
  sql(server, statement) {
    return this.#run('sql', String(server), statement);
  }

  // A fresh database, which goes with the test: {name, url(servers)}, where the servers stand in the URL in the given order.
  async createDatabaseFor(t) {
    const name = `parley_galera_${process.pid}_${++this.#count}`;
    const places = (await this.#run('url')).match(/\d+\.\d+\.\d+\.\d+:\d+/g);
    await this.sql(1, `CREATE DATABASE ${name}`);
    t.after(() => this.sql(1, `DROP DATABASE ${name}`));
    return { name, url: (servers = SERVERS) => `mariadb://parley@${servers.map((server) => places[server - 1]).join(',')}/${name}` };
  }

  // How many connections to a database a server has heard of in the last seconds. Others are left when they are needed next.
  async connectionsInUse(server, { name }) {
    return Number(await this.sql(server, `SELECT count(*) FROM information_schema.processlist WHERE db = '${name}' AND time < ${IDLE_S}`));
  }

  // Resolves when all connections to the database that are used are at that server.
  async untilUsed(server, database) {
    const others = SERVERS.filter((other) => other !== server);
    const isUsed = async () => {
      if ((await this.connectionsInUse(server, database)) === 0) return false;
      const counts = await Promise.all(others.map((other) => this.#connectionsIfAlive(other, database)));
      return counts.every((count) => count === 0);
    };
    await eventually(isUsed, `all use server ${server}`, STEP_DEADLINE_MS);
  }

  #connectionsIfAlive(server, database) {
    return this.connectionsInUse(server, database).catch(() => 0);
  }

  // Cuts a server off from the others, while it goes on to run; join() ends that, and resolves when it has what it missed.
  isolate(server) {
    return this.sql(server, "SET GLOBAL wsrep_provider_options = 'gmcast.isolate=1'");
  }

  async join(server) {
    await this.sql(server, "SET GLOBAL wsrep_provider_options = 'gmcast.isolate=0'");
    const isInStep = async () => (await this.sql(server, "SHOW STATUS LIKE 'wsrep_local_state_comment'")).includes('Synced');
    await eventually(isInStep, `server ${server} is in step again`, STEP_DEADLINE_MS);
  }
}

export const galera = process.env.PARLEY_TEST_GALERA ? new Galera(process.env.PARLEY_TEST_GALERA) : null;
