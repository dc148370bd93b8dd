// Shows that the verifier notices: it runs against a product that is broken on
// purpose and must fail by the check that such a fault calls for; and against
// the same build with nothing broken, on storage that forgets, it must pass.

import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const HELP = `usage: node tests/verify/broken.mjs [options] [CASE...]

  --binary PATH   the build with faults (build/parley-fault)
  --seed N        for all runs (random)
  --quick         without the cases that are marked as long
  --verbose       show all that the verifier says
  --help
`;

const FORGETFUL = ['--env', 'PARLEY_FORGETFUL_VFS=1'];

const everywhere = (fault) => ['--env', `PARLEY_FAULT=${fault}`];

/** Three nodes, of which the second is broken: most of what happens is right. */
const onOneOfThree = (fault) => ['--nodes', '3', '--database', 'mariadb', '--redis', '--env', `2:PARLEY_FAULT=${fault}`];

/** `long`: not for every run. `fails`: checks of which at least one must fail; `holds`: checks that must
 *  not, so that the run did not fail for a reason of its own. */
const CASES = [
  {
    name: 'nothing broken, storage that forgets', kills: 8, duration: 10,
    args: [...FORGETFUL, '--env', 'PARLEY_FORGETFUL_SEED=1'], fails: [],
  },
  {
    name: 'lost_event_at_resume', kills: 3, duration: 5, args: everywhere('lost_event_at_resume'),
    fails: ['everything'], holds: ['server_returned', 'answers', 'ids_increase', 'dense_chats', 'final_history'],
  },
  {
    name: 'reordered_pair', kills: 3, duration: 5, args: everywhere('reordered_pair'),
    fails: ['ids_increase'], holds: ['server_returned', 'answers', 'final_history'],
  },
  {
    name: 'ack_before_commit', kills: 8, duration: 10, args: everywhere('ack_before_commit'),
    fails: ['acknowledged'], holds: ['server_returned', 'streams_accepted'],
  },
  {
    name: 'synchronous_off', kills: 6, duration: 10, args: [...FORGETFUL, ...everywhere('synchronous_off')],
    fails: ['final_history'], holds: ['server_returned'],
  },
  {
    name: 'lost_event_at_resume on one node of three', kills: 4, duration: 10, args: onOneOfThree('lost_event_at_resume'),
    fails: ['everything'], holds: ['server_returned', 'answers', 'ids_increase', 'dense_chats', 'final_history'],
  },
  {
    name: 'reordered_pair on one node of three', long: true, kills: 4, duration: 10, args: onOneOfThree('reordered_pair'),
    fails: ['ids_increase'], holds: ['server_returned', 'answers', 'final_history'],
  },
  {
    // Another node that reads before the commit is the first to tell.
    name: 'ack_before_commit on one node of three', long: true, kills: 6, duration: 10,
    args: [...onOneOfThree('ack_before_commit'), '--only', 'server'],
    fails: ['acknowledged', 'pages_during'], holds: ['server_returned', 'streams_accepted'],
  },
  {
    name: 'three nodes on a database that forgets commits', long: true, kills: 4, duration: 10,
    args: [
      '--nodes', '3', '--database', 'mariadb', '--redis', '--only', 'database killed',
      '--database-option=--innodb-flush-log-at-trx-commit=0',
    ],
    fails: ['acknowledged', 'posts_once'], holds: ['server_returned'],
  },
];

function runVerifier(args, verbose) {
  const script = fileURLToPath(new URL('verify.mjs', import.meta.url));
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
      if (verbose) process.stdout.write(chunk);
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}

async function runCase({ kills, duration, args }, { binary, seed, verbose, folder }) {
  const report = join(folder, 'report.json');
  await rm(report, { force: true });
  const { code, output } = await runVerifier([
    '--binary', binary, '--seed', String(seed), '--kills', String(kills), '--duration', String(duration), '--discard',
    '--report', report, ...args,
  ], verbose);
  const text = await readFile(report, 'utf8').catch(() => null);
  return { code, output, report: text && JSON.parse(text) };
}

/** Why the run does not show what the case is about, or null. */
function complaint({ fails, holds = [] }, { code, report }) {
  if (!report) return `the verifier did not come to a verdict (exit ${code})`;
  const failed = new Set(report.checks.filter((check) => !check.passed).map((check) => check.name));
  if (fails.length === 0) return failed.size === 0 && code === 0 ? null : `failed: ${[...failed].join(', ')}`;
  if (code !== 1) return `exit ${code} instead of 1`;
  if (!fails.some((name) => failed.has(name))) {
    return `none of ${fails.join(', ')} failed (failed: ${[...failed].join(', ') || 'nothing'})`;
  }
  const besides = holds.filter((name) => failed.has(name));
  return besides.length > 0 ? `failed besides: ${besides.join(', ')}` : null;
}

function firstWitness({ fails }, { report }) {
  const check = report.checks.find(({ name, passed }) => fails.includes(name) && !passed);
  return `noticed by "${check.title}": ${check.witnesses[0]}`;
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      binary: { type: 'string', default: 'build/parley-fault' },
      seed: { type: 'string', default: String(randomInt(1, 1e9)) },
      quick: { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(HELP);
  const isWanted = ({ name, long }) => (positionals.length === 0 ? !(values.quick && long) : positionals.includes(name));
  const wanted = CASES.filter(isWanted);
  const folder = await mkdtemp(join(tmpdir(), 'parley-broken-'));
  let failed = 0;
  for (const example of wanted) {
    const result = await runCase(example, { ...values, folder });
    const problem = complaint(example, result);
    if (problem) failed += 1;
    console.log(`${problem ? 'FAILED' : 'ok    '} ${example.name}`);
    if (problem) console.log(`       ${problem}\n${result.output.replace(/^/gm, '       | ')}`);
    else if (example.fails.length > 0) console.log(`       ${firstWitness(example, result)}`);
  }
  await rm(folder, { recursive: true, force: true });
  console.log(`seed ${values.seed}`);
  console.log(`${wanted.length - failed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}

await main();
