// The command line.

import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';

export const HELP = `usage: node tests/verify/verify.mjs [options]

  --binary PATH      the server to judge (build/parley)
  --seed N           repeats a run's choices (random)
  --kills N          kill -9 this often (30)
  --duration SEC     spread the kills over this time (1.5 seconds each)
  --users N          posting users, two devices each (24)
  --rate N           requests of the posting users a second (150)
  --env NAME=VALUE   a setting for the server; may be repeated
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

function environment(pairs) {
  return Object.fromEntries(pairs.map((pair) => {
    const at = pair.indexOf('=');
    if (at < 1) throw new Error('--env takes NAME=VALUE');
    return [pair.slice(0, at), pair.slice(at + 1)];
  }));
}

export function readOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      binary: { type: 'string', default: 'build/parley' },
      seed: { type: 'string', default: String(randomInt(1, 1e9)) },
      kills: { type: 'string', default: '30' },
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
  return {
    ...values,
    seed: number(values.seed, 'seed', 0),
    kills,
    durationMs: 1000 * number(values.duration ?? Math.max(5, kills * 1.5), 'duration', 1),
    users: number(values.users, 'users', 8),
    rate: number(values.rate, 'rate', 1),
    env: environment(values.env),
  };
}
