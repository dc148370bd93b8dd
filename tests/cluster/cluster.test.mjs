// scripts/cluster.sh: its first steps work as they are printed, a node that is killed comes back, and it leaves nothing behind.
//
// Needs bash, curl and the servers that it starts.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { BINARY, REPOSITORY } from '../support/server.mjs';
import { eventually, withDeadline } from '../support/wait.mjs';

const START_DEADLINE_MS = 120_000;
const END_DEADLINE_MS = 60_000;

const isFree = (port) => new Promise((resolve) => {
  const server = net.createServer().once('error', () => resolve(false)).once('listening', () => server.close(() => resolve(true)));
  server.listen(port, '127.0.0.1');
});

// The first of three free ones, below those that the kernel gives to outgoing connections.
async function choosePort() {
  for (;;) {
    const first = 12000 + Math.floor(Math.random() * 20000);
    const free = await Promise.all([first, first + 1, first + 2].map(isFree));
    if (free.every(Boolean)) return first;
  }
}

// A command in a process group of its own, as a terminal has it; `text` is what it has printed.
class Program {
  text = '';

  constructor(command, args, env = {}) {
    this.child = spawn(command, args, { cwd: REPOSITORY, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on('data', (chunk) => (this.text += chunk));
    this.exit = new Promise((resolve) => this.child.once('close', (code, signal) => resolve({ code, signal })));
  }

  // To the whole group, as Ctrl-C is.
  signalGroup(name) {
    process.kill(-this.child.pid, name);
  }

  ended(what, ms) {
    return withDeadline(this.exit, `${what} ends; it said: ${this.text.slice(-2000)}`, ms);
  }
}

// Whatever runs with a name of the folder in its command line.
function processesOf(folder) {
  const commandOf = (pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
    } catch {
      return ''; // it has ended
    }
  };
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(commandOf).filter((command) => command.includes(folder));
}

const clusterFolders = () => readdirSync('/tmp').filter((name) => name.startsWith('parley-cluster.')).map((name) => path.join('/tmp', name));

async function startCluster() {
  const port = await choosePort();
  const program = new Program('scripts/cluster.sh', [], { CLUSTER_PORT: String(port), PARLEY_BINARY: BINARY });
  const isUp = () => {
    assert.equal(program.child.exitCode, null, program.text);
    return program.text.includes('/content -H');
  };
  await eventually(isUp, 'the cluster runs', START_DEADLINE_MS);
  const folder = /\/tmp\/parley-cluster\.\w+/.exec(program.text)[0];
  return { program, folder, port };
}

async function expectNothingLeft(cluster) {
  assert.equal(existsSync(cluster.folder), false, `${cluster.folder} is still there`);
  await eventually(() => processesOf(cluster.folder).length === 0, 'its last process has ended');
  for (const port of [cluster.port, cluster.port + 1, cluster.port + 2]) assert.ok(await isFree(port), `port ${port}`);
}

// The lines that are printed to be pasted, as they are.
async function pasteFirstSteps({ program }) {
  const steps = program.text.split('\n').filter((line) => line.startsWith('    ')).join('\n');
  const shell = new Program('bash', ['-c', steps]);
  assert.deepEqual(await shell.ended('the first steps', START_DEADLINE_MS), { code: 0, signal: null }, shell.text);
  return shell.text;
}

test('the first steps work as they are printed, and Ctrl-C leaves nothing', async (t) => {
  const cluster = await startCluster();
  t.after(() => cluster.program.child.kill('SIGTERM'));
  const said = await pasteFirstSteps(cluster);
  assert.match(said, /event: message\.created\nid: \d+\ndata: .*"text":"Tea at four\?"/);
  assert.match(said, /^ready$/m);
  assert.match(said, /"attachments":\[\{"id":"\d+","content_type":"image\/png","size":16/);
  assert.match(said, /^hardly a picture$/m);
  cluster.program.signalGroup('SIGINT');
  assert.equal((await cluster.program.ended('the cluster', END_DEADLINE_MS)).code, 130, cluster.program.text);
  await expectNothingLeft(cluster);
});

test('a node that is killed comes back, and SIGTERM leaves nothing', async (t) => {
  const cluster = await startCluster();
  t.after(() => cluster.program.child.kill('SIGTERM'));
  const pidOf = () => Number(readFileSync(path.join(cluster.folder, 'node1.pid'), 'utf8'));
  const first = pidOf();
  process.kill(first, 'SIGKILL');
  const isBack = async () => pidOf() !== first && (await fetch(`http://127.0.0.1:${cluster.port + 1}/readyz`)).ok;
  await eventually(isBack, 'node1 is back');
  cluster.program.child.kill('SIGTERM');
  assert.equal((await cluster.program.ended('the cluster', END_DEADLINE_MS)).code, 143, cluster.program.text);
  await expectNothingLeft(cluster);
});

test('Ctrl-C while it still starts leaves nothing', async () => {
  const port = await choosePort();
  const before = clusterFolders();
  const program = new Program('scripts/cluster.sh', [], { CLUSTER_PORT: String(port), PARLEY_BINARY: BINARY });
  await eventually(() => program.text.includes('starting redis'), 'it has begun', START_DEADLINE_MS);
  const [folder] = clusterFolders().filter((name) => !before.includes(name));
  program.signalGroup('SIGINT');
  assert.equal((await program.ended('the cluster', END_DEADLINE_MS)).code, 130, program.text);
  await expectNothingLeft({ folder, port });
});

test('a port that is taken is named, and nothing is started', async () => {
  const listener = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => listener.once('listening', resolve));
  const { port } = listener.address();
  const program = new Program('scripts/cluster.sh', [], { CLUSTER_PORT: String(port), PARLEY_BINARY: BINARY });
  assert.equal((await program.ended('the cluster', END_DEADLINE_MS)).code, 1);
  listener.close();
  assert.match(program.text, new RegExp(`port ${port} is in use`));
});
