// README.md is true: its first message and its transcript do what it says, exactly as it is printed, and what it names exists.
//
// The transcript uses the port and the paths that it prints, so it runs in a folder of its own that only has build/ in it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { checkTranscript, plainEnvironment } from './transcript.mjs';

const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));
const README = readFileSync(path.join(REPOSITORY, 'README.md'), 'utf8');
const PORT = 8080;

// The block after the mark <!-- name … -->.
function blockOf(name) {
  const found = new RegExp(`<!-- ${name}[^>]*-->\\n\`\`\`sh\\n(.*?)\\n\`\`\``, 's').exec(README);
  assert.ok(found, `README.md has no block after a <!-- ${name} --> mark`);
  return found[1];
}

async function refuseTakenPort() {
  const probe = net.createServer();
  await new Promise((resolve, reject) => {
    probe.once('error', (error) => reject(new Error(`port ${PORT}, which README.md uses, is not free: ${error.code}`)));
    probe.listen(PORT, '127.0.0.1', () => probe.close(resolve));
  });
}

function readLog(folder) {
  const file = path.join(folder, 'parley.log');
  return existsSync(file) ? readFileSync(file, 'utf8') : '(none)';
}

// Runs a block, between what goes before and after it, in a folder that only has build/ in it, and compares what it prints with its `# →` lines.
async function checkBlock(block, { before = '', after = '' } = {}) {
  const folder = mkdtempSync(path.join(tmpdir(), 'parley-readme-'));
  try {
    await refuseTakenPort();
    symlinkSync(path.join(REPOSITORY, 'build'), path.join(folder, 'build'));
    await checkTranscript([before, block, after].join('\n'), folder, { name: 'README.md', context: () => readLog(folder) });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('the first message prints what README.md says, beside a server', async () => {
  const before = `build/parley serve 2>>parley.log & server=$!
until curl -sf http://127.0.0.1:${PORT}/readyz >/dev/null; do sleep 0.1; done`;
  await checkBlock(blockOf('first message'), { before, after: 'kill $server; wait 2>/dev/null' });
});

test('the transcript prints what README.md says', () => checkBlock(blockOf('transcript')));

test('every setting that README.md names exists, with the default that it states', () => {
  const { stdout, status } = spawnSync(path.join(REPOSITORY, 'build/parley'), ['config'], { env: plainEnvironment(), encoding: 'utf8' });
  assert.equal(status, 0);
  for (const name of new Set(README.match(/PARLEY_[A-Z0-9_]+/g))) assert.match(stdout, new RegExp(`\\b${name}\\b`));
  for (const [, name, value] of README.matchAll(/^\| `(PARLEY_\w+)` \| `([^`]+)` \|/gm)) {
    const line = stdout.split('\n').find((text) => text.includes(name));
    assert.ok(line.includes(value), `${name}: the default is not ${value}: ${line}`);
  }
});

test('every document that README.md links to exists', () => {
  for (const [, target] of README.matchAll(/\]\(([^)#:]+)\)/g)) {
    assert.ok(existsSync(path.join(REPOSITORY, target)), `${target} does not exist`);
  }
});

test('every make goal and command that README.md shows exists', () => {
  const makefile = readFileSync(path.join(REPOSITORY, 'Makefile'), 'utf8');
  for (const [, goal] of README.matchAll(/\bmake ([a-z]+)\b/g)) assert.match(makefile, new RegExp(`^${goal}:`, 'm'));
  for (const [, words] of README.matchAll(/\bbuild\/parley ([a-z]+(?: (?:create|invite|import-members|import))?)/g)) {
    const { status } = spawnSync(path.join(REPOSITORY, 'build/parley'), [...words.split(' '), '--help'], { env: plainEnvironment() });
    assert.equal(status, 0, `parley ${words}`);
  }
});

// `POST` `GET /v1/x` is two operations on one path.
function* operationsOf(cell) {
  let methods = [];
  for (const [, text] of cell.matchAll(/`([^`]+)`/g)) {
    const [method, route] = text.split(' ');
    methods.push(method);
    if (!route) continue;
    const full = route.replaceAll('{c}', '{chat_id}').replaceAll('{m}', '{message_id}').replaceAll('{u}', '{user_id}');
    for (const each of methods) yield `${each} ${full}`;
    methods = [];
  }
  assert.deepEqual(methods, [], `methods without a path: ${cell}`);
}

test('the operations, events and tests in the table of what it does exist', () => {
  const routes = spawnSync(path.join(REPOSITORY, 'build/parley'), ['routes'], { env: plainEnvironment(), encoding: 'utf8' }).stdout.split('\n');
  const known = new Set(routes.map((line) => line.split(' ').slice(0, 2).join(' ')));
  const contract = readFileSync(path.join(REPOSITORY, 'openapi.yaml'), 'utf8');
  const rows = /## What it does\n(.*?)\n## /s.exec(README)[1].split('\n').filter((line) => /^\|.*`/.test(line));
  assert.ok(rows.length > 20);
  for (const row of rows) {
    const [, , operations, events, file] = row.split('|');
    for (const operation of operationsOf(operations)) assert.ok(known.has(operation), `there is no ${operation}`);
    for (const [, event] of events.matchAll(/`([^`]+)`/g)) assert.match(contract, new RegExp(`^ +${event}: '#/components/schemas/Event`, 'm'));
    assert.ok(existsSync(path.join(REPOSITORY, 'tests/api', `${file.match(/`([^`]+)`/)[1]}.test.mjs`)), `no test: ${row}`);
  }
});
