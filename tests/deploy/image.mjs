// Builds and starts the image of ../../Dockerfile without a container engine: each stage is a copy of a clean Debian, in which its steps run by chroot.
//
// usage: node tests/deploy/image.mjs BASE FOLDER
//   BASE    a clean Debian 12, which is copied
//   FOLDER  where the stages are put
//
// For root on Linux. What is started is in namespaces of its own, with a network of its own, and ends with this program.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { commandOf, healthcheckOf, pairsOf, parseDockerfile, stagesOf } from '../support/dockerfile.mjs';
import { REPOSITORY } from '../support/server.mjs';
import { eventually, withDeadline } from '../support/wait.mjs';

const [base, folder] = process.argv.slice(2);
const START_DEADLINE_MS = 30_000;
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

// ---- Running in a stage

// The script mounts what a container has, and becomes the command.
function unshareArguments(stage, command, { user, isolated = false } = {}) {
  const enter = ['chroot', ...(user ? [`--userspec=${user}`] : []), stage.root, 'env', '-i', ...Object.entries({ PATH, ...stage.env }).map(([name, value]) => `${name}=${value}`)];
  const script = 'root=$1 dir=$2; shift 2; mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"; [ -z "$LOOPBACK" ] || ip link set lo up; exec "$@"';
  return {
    args: ['--mount', '--pid', '--fork', '--kill-child', ...(isolated ? ['--net'] : []), 'sh', '-ec', script, 'sh', stage.root, stage.cwd, ...enter, 'sh', '-ec', 'cd "$0"; exec "$@"', stage.cwd, ...command],
    env: { PATH, LOOPBACK: isolated ? 'yes' : '' },
  };
}

function runIn(stage, command) {
  const { args, env } = unshareArguments(stage, command);
  const { status, stdout } = spawnSync('unshare', args, { env, stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8', maxBuffer: 1 << 26 });
  assert.equal(status, 0, `${command.at(-1)}: exit status ${status}\n${stdout}`);
}

// ---- The instructions

const substitute = (value, variables) => value.replace(/\$\{?(\w+)\}?/g, (whole, name) => variables[name] ?? whole);

function ignored() {
  return readFileSync(path.join(REPOSITORY, '.dockerignore'), 'utf8').split('\n').filter(Boolean).map((line) => line.replace('**/', ''));
}

function copy(stage, value, stages) {
  const [, from, source, target] = /^(?:--from=(\S+) )?(\S+) (\S+)$/.exec(value);
  const to = path.join(stage.root, path.resolve(stage.cwd, target));
  const root = from ? stages.find(({ name }) => name === from).root : REPOSITORY;
  const excluded = from ? [] : ignored();
  const isWanted = (file) => !path.relative(root, file).split(path.sep).some((part) => excluded.includes(part));
  cpSync(path.join(root, source), to, { recursive: true, preserveTimestamps: true, filter: isWanted });
}

// Their variables are for the shell that runs them.
const IS_SHELLS = new Set(['RUN', 'CMD', 'ENTRYPOINT', 'HEALTHCHECK']);

const INSTRUCTIONS = {
  ARG: (stage, value) => Object.assign(stage.env, pairsOf(value)),
  ENV: (stage, value) => Object.assign(stage.env, pairsOf(value)),
  RUN: (stage, value) => runIn(stage, commandOf(value)),
  COPY: copy,
  WORKDIR: (stage, value) => mkdirSync(path.join(stage.root, (stage.cwd = path.resolve(stage.cwd, value))), { recursive: true }),
  USER: (stage, value) => (stage.user = value),
  ENTRYPOINT: (stage, value) => (stage.entrypoint = commandOf(value)),
  CMD: (stage, value) => (stage.command = commandOf(value)),
  HEALTHCHECK: (stage, value) => (stage.healthcheck = healthcheckOf(value)),
  EXPOSE: (stage, value) => (stage.port = value),
  VOLUME: (stage, value) => assert.ok(existsSync(path.join(stage.root, value)), `${value} is not there`),
};

function build(stages) {
  for (const [index, stage] of stages.entries()) {
    Object.assign(stage, { root: path.join(folder, stage.name ?? `stage${index}`), env: {}, cwd: '/' });
    assert.equal(stage.base, 'debian:12-slim', 'only this base can be stood in for');
    assert.equal(spawnSync('cp', ['-a', '--reflink=auto', base, stage.root]).status, 0);
    for (const { name, value } of stage.instructions) {
      console.log(`${name} ${value.slice(0, 120)}`);
      assert.ok(INSTRUCTIONS[name], `${name} is not known here`);
      INSTRUCTIONS[name](stage, IS_SHELLS.has(name) ? value : substitute(value, stage.env), stages);
    }
  }
  return stages.at(-1);
}

// ---- The container

function start(image) {
  const { args, env } = unshareArguments(image, [...image.entrypoint, ...image.command], { user: image.user, isolated: true });
  const child = spawn('unshare', args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  running.add(child);
  child.log = '';
  child.stderr.on('data', (chunk) => (child.log += chunk));
  child.exit = new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal })));
  return child;
}

// The process in the container, whose namespaces the check enters, as an engine does.
function processOf(child, image) {
  const { stdout } = spawnSync('pgrep', ['-P', String(child.pid)], { encoding: 'utf8' });
  const pid = stdout.trim();
  assert.ok(pid && readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === image.entrypoint[0], child.log);
  return pid;
}

function checkHealth(pid, image) {
  const env = { PATH, ...image.env };
  const args = ['--target', pid, '--mount', '--pid', '--net', '--root', '--wd', '--setuid', '10001', '--setgid', '10001', ...image.healthcheck.command];
  return spawnSync('nsenter', args, { env, encoding: 'utf8', timeout: 5000 }).status;
}

function statusOf(pid, name) {
  return new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1].split(/\s+/);
}

const image = build(stagesOf(parseDockerfile(readFileSync(path.join(REPOSITORY, 'Dockerfile'), 'utf8'))));
assert.notEqual(image.user, undefined, 'it runs as root');
const tools = ['gcc', 'make', 'git', 'curl'].filter((tool) => existsSync(path.join(image.root, 'usr/bin', tool)));
assert.deepEqual(tools, [], 'tools are left in the image');
console.log(`${spawnSync('du', ['-sm', image.root], { encoding: 'utf8' }).stdout.split('\t')[0]} MB, of which ${spawnSync('du', ['-sm', base], { encoding: 'utf8' }).stdout.split('\t')[0]} MB are the base`);

const container = start(image);
const pid = await eventually(() => processOf(container, image), 'the program runs', START_DEADLINE_MS);
assert.deepEqual(statusOf(pid, 'Uid'), ['10001', '10001', '10001', '10001']);
await eventually(() => checkHealth(pid, image) === 0, 'it is healthy', START_DEADLINE_MS);
console.log('healthy');
// A health check that cannot fail says nothing.
process.kill(Number(pid), 'SIGSTOP');
await delay(100);
assert.notEqual(checkHealth(pid, image), 0, 'a process that stands still is called healthy');
process.kill(Number(pid), 'SIGCONT');
process.kill(Number(pid), 'SIGTERM');
const { code } = await withDeadline(container.exit, 'it stops', START_DEADLINE_MS);
assert.equal(code, 0, container.log);
assert.ok(existsSync(path.join(image.root, 'data/parley.db')), 'what it keeps is in /data');
console.log('stopped');
