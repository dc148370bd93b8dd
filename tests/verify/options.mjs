// The command line.

import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';

export const HELP = `usage: node tests/verify/verify.mjs [options]

  --binary PATH      the server to judge (build/parley)
  --seed N           repeats a run's choices (random)
  --nodes N          so many servers on one database, behind HAProxy (1)
  --database KIND    sqlite, mariadb, or galera for three servers of it; several
                     nodes need one of these (sqlite)
  --redis            nodes also talk through a Redis
  --kills N          take something away this often: a server by kill -9,
                     several, one that freezes, Redis, or the database (30)
  --only KIND        only this; may be repeated: server, servers, server frozen,
                     redis, database killed, database stopped
  --duration SEC     spread the kills over this time (1.5 seconds each, 3 with
                     mariadb or galera)
  --users N          posting users, two devices each (24)
  --rate N           requests of the posting users a second (150)
  --env NAME=VALUE   a setting for the server; may be repeated; N:NAME=VALUE is
                     for node N alone
  --database-option=OPTION  one more of mariadbd; may be repeated
  --report FILE      also write the verdict as JSON
  --keep             keep the server's folder, as after a failure
  --discard          remove it even then
  --help

PARLEY_FORGETFUL_SEED, when set by --env, is counted up at every start.
`;

function number(text, name, minimum) {
  const value = Number(text);
  if (!Number.isFinite(value) || value < minimum) {
    throw new Error(`--${name} must be a number of at least ${minimum}`);
  }
  return value;
}

/** {env: settings of all nodes, nodeEnv: Map number of a node -> its own}. */
function environments(pairs) {
  const env = {};
  const nodeEnv = new Map();
  for (const pair of pairs) {
    const { node, name, value } = /^(?:(?<node>[0-9]+):)?(?<name>[A-Z0-9_]+)=(?<value>.*)$/s.exec(pair)?.groups ?? {};
    if (!name) throw new Error('--env takes NAME=VALUE or N:NAME=VALUE');
    if (node === undefined) env[name] = value;
    else nodeEnv.set(Number(node), { ...nodeEnv.get(Number(node)), [name]: value });
  }
  return { env, nodeEnv };
}

function checkDatabase({ nodes, database, redis }) {
  if (!['sqlite', 'mariadb', 'galera'].includes(database)) throw new Error('--database is sqlite, mariadb or galera');
  if (database === 'sqlite' && (nodes > 1 || redis)) throw new Error('several nodes, and Redis, need --database mariadb or galera');
}

export function readOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      binary: { type: 'string', default: 'build/parley' },
      seed: { type: 'string', default: String(randomInt(1, 1e9)) },
      nodes: { type: 'string', default: '1' },
      database: { type: 'string', default: 'sqlite' },
      redis: { type: 'boolean', default: false },
      'database-option': { type: 'string', multiple: true, default: [] },
      kills: { type: 'string', default: '30' },
      only: { type: 'string', multiple: true, default: [] },
      duration: { type: 'string' },
      users: { type: 'string', default: '24' },
      rate: { type: 'string', default: '150' },
      env: { type: 'string', multiple: true, default: [] },
      report: { type: 'string' },
      keep: { type: 'boolean', default: false },
      discard: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const kills = number(values.kills, 'kills', 0);
  const nodes = number(values.nodes, 'nodes', 1);
  const secondsEach = values.database === 'sqlite' ? 1.5 : 3;
  checkDatabase({ ...values, nodes });
  return {
    ...values,
    seed: number(values.seed, 'seed', 0),
    nodes,
    databaseOptions: values['database-option'],
    kills,
    durationMs: 1000 * number(values.duration ?? Math.max(5, kills * secondsEach), 'duration', 1),
    users: number(values.users, 'users', 8),
    rate: number(values.rate, 'rate', 1),
    ...environments(values.env),
  };
}
