// Runs the real binary: one server in a folder of its own, on a port the kernel chose. Its database is SQLite's, in the folder, or, where
// PARLEY_TEST_DB names a MariaDB server, a fresh one there.
//
// A test starts one with startServer() and ends it with dispose(), which fails when the server ended
// in any way the test did not ask for or wrote a sanitizer report.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createDatabase } from './database.mjs';
import { withDeadline } from './wait.mjs';

const START_DEADLINE_MS = 30_000;
const STOP_DEADLINE_MS = 30_000;
const STDERR_LINES_SHOWN = 60;

const SANITIZER_REPORT = /ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|: runtime error: |SUMMARY: \w+Sanitizer/;

export const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));
export const BINARY = path.resolve(REPOSITORY, process.env.PARLEY_BINARY ?? 'build/parley');

// A build whose clock the tests can move, or null when there is none.
export const FAULT_BINARY = findFaultBinary();

// What every test server runs with unless a test says otherwise.
const TEST_SETTINGS = {
  PARLEY_PASSWORD_COST: '10',
  PARLEY_RATE_LIMIT: 'off',
};

const EXECUTE_ON_SQLITE = 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.stdin.read())';

const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

function findFaultBinary() {
  const named = process.env.PARLEY_FAULT_BINARY;
  if (!named) return null;
  const found = path.resolve(REPOSITORY, named);
  return existsSync(found) ? found : null;
}

// The environment of a child: ours without any PARLEY_ setting, then the given ones.
function childEnvironment(settings) {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('PARLEY_'));
  return { ...Object.fromEntries(inherited), ...settings };
}

// Options: env (settings), binary, clock (true: a binary whose clock advanceClock() moves).
export async function startServer(options = {}) {
  const server = new Server(options);
  try {
    await server.start();
  } catch (error) {
    await server.abandon();
    throw error;
  }
  return server;
}

// The same for a server of one test: it is disposed of when the test ends.
export async function startServerFor(t, options = {}) {
  const server = await startServer(options);
  t.after(() => server.dispose());
  return server;
}

export class Server {
  constructor({ env = {}, binary = BINARY, clock = false } = {}) {
    this.folder = mkdtempSync(path.join(tmpdir(), 'parley-test-'));
    this.dataDir = path.join(this.folder, 'data');
    this.binary = clock ? FAULT_BINARY : binary;
    this.database = createDatabase();
    this.env = { ...TEST_SETTINGS, PARLEY_DATA_DIR: this.dataDir, ...(this.database && { PARLEY_DB: this.database.url }), ...env };
    this.port = 0;
    this.stderr = [];
    this.agent = null;
    this.child = null;
    this.exit = null;
    if (clock) {
      this.clockFile = path.join(this.folder, 'clock');
      this.clockOffset = 0;
      this.env.PARLEY_TEST_CLOCK = this.clockFile;
      this.#writeClock();
    }
  }

  get origin() {
    return `http://127.0.0.1:${this.port}`;
  }

  // Starts `parley serve` and waits until it listens. Port 0 lets the kernel choose.
  async start({ port = 0 } = {}) {
    assert.equal(this.child, null, 'this server runs already');
    const child = spawn(this.binary, ['serve'], {
      cwd: this.folder,
      env: childEnvironment({ ...this.env, PARLEY_LISTEN: `127.0.0.1:${port}` }),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.child = child;
    running.add(child);
    const listening = this.#watchStderr(child);
    this.exit = new Promise((resolve) => {
      child.once('error', (error) => resolve({ code: null, signal: null, error }));
      child.once('close', (code, signal) => resolve({ code, signal }));
    });
    this.exit.then(() => running.delete(child));
    const early = this.exit.then((end) => {
      throw new Error(`the server ended before it listened: ${describeEnd(end)}\n${this.stderrTail()}`);
    });
    early.catch(() => {});
    this.port = await withDeadline(Promise.race([listening, early]), 'event=listening', START_DEADLINE_MS);
    this.agent = new http.Agent({ keepAlive: true });
  }

  // Collects stderr; resolves with the port once the server says where it listens.
  #watchStderr(child) {
    return new Promise((resolve) => {
      createInterface({ input: child.stderr }).on('line', (line) => {
        this.stderr.push(line);
        const found = /\bevent=listening\b.*\baddress=\S*:(\d+)/.exec(line);
        if (found) resolve(Number(found[1]));
      });
    });
  }

  signal(name) {
    this.child.kill(name);
  }

  // Resolves with how the process ended.
  async ended() {
    const end = await withDeadline(this.exit, 'the server ends', STOP_DEADLINE_MS);
    this.child = null;
    this.agent.destroy();
    return end;
  }

  // SIGTERM, and the exit code must be 0.
  async stop() {
    this.signal('SIGTERM');
    const end = await this.ended();
    assert.deepEqual(end, { code: 0, signal: null }, `after SIGTERM: ${describeEnd(end)}\n${this.stderrTail()}`);
    this.checkReports();
  }

  // What a power cut or the kernel's out-of-memory killer does to the process.
  async kill() {
    this.signal('SIGKILL');
    const end = await this.ended();
    assert.equal(end.signal, 'SIGKILL', `ended before it was killed: ${describeEnd(end)}\n${this.stderrTail()}`);
  }

  // Starts again on the same data, after stop() or kill(). Browsers and tickets need the same port.
  async restart({ samePort = true, env = {} } = {}) {
    Object.assign(this.env, env);
    await this.start({ port: samePort ? this.port : 0 });
  }

  // Runs another command of the binary with this server's settings.
  parley(args, options = {}) {
    return runParley(args, { cwd: this.folder, binary: this.binary, env: this.env, ...options });
  }

  // Moves the server's clock; the server reads the file at least once a second.
  advanceClock(ms) {
    this.clockOffset += ms;
    this.#writeClock();
  }

  #writeClock() {
    writeFileSync(`${this.clockFile}.new`, `${this.clockOffset}\n`);
    renameSync(`${this.clockFile}.new`, this.clockFile);
  }

  // Does any file of the data folder, or any row of its database on MariaDB, contain these bytes?
  dataContains(bytes) {
    const needle = Buffer.from(bytes);
    return listFiles(this.dataDir).some((file) => readFileSync(file).includes(needle)) || Boolean(this.database?.contains(needle));
  }

  // Statements on the database of a stopped server.
  execute(sql) {
    if (this.database) this.database.execute(sql);
    else execFileSync('python3', ['-c', EXECUTE_ON_SQLITE, path.join(this.dataDir, 'parley.db')], { input: sql });
  }

  // What a stopped server has, kept in its folder under a name; restoreData() brings it back.
  saveData(name) {
    const copy = path.join(this.folder, name);
    cpSync(this.dataDir, copy, { recursive: true, preserveTimestamps: true });
    if (this.database) writeFileSync(`${copy}.sql`, this.database.dump());
  }

  restoreData(name) {
    const copy = path.join(this.folder, name);
    rmSync(this.dataDir, { recursive: true });
    cpSync(copy, this.dataDir, { recursive: true, preserveTimestamps: true });
    this.database?.restore(readFileSync(`${copy}.sql`));
  }

  stderrTail() {
    return this.stderr.slice(-STDERR_LINES_SHOWN).join('\n');
  }

  checkReports() {
    const report = this.stderr.find((line) => SANITIZER_REPORT.test(line));
    assert.equal(report, undefined, `sanitizer report:\n${this.stderr.join('\n')}`);
  }

  // Stops what runs, checks how it ended, and removes folder and database.
  async dispose() {
    this.#showStderrOnFailure();
    try {
      if (this.child) await this.stop();
      this.checkReports();
    } finally {
      await this.abandon();
    }
  }

  // Ends the process whatever it does, and removes folder and database.
  async abandon() {
    if (this.child && running.has(this.child)) this.child.kill('SIGKILL');
    this.agent?.destroy();
    await this.exit;
    this.child = null;
    this.database?.drop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #showStderrOnFailure() {
    if (disposed.push(this) === 1) process.on('exit', showStderrOnFailure);
  }
}

// Registered late, with the first server disposed of, so that the test runner has set the exit code before it is read.
const disposed = [];
function showStderrOnFailure() {
  if (!process.exitCode) return;
  for (const server of disposed) console.error(`--- server stderr (${server.folder})\n${server.stderrTail()}`);
}

// The files below a folder, which may be missing.
export function listFiles(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const full = path.join(folder, entry.name);
    if (entry.isDirectory()) return listFiles(full);
    return entry.isFile() ? [full] : [];
  });
}

function describeEnd({ code, signal, error }) {
  if (error) return String(error);
  return signal ? `signal ${signal}` : `exit code ${code}`;
}

// Runs one command to its end: {code, signal, stdout, stderr}.
export async function runParley(args, { env = {}, input = '', cwd, binary = BINARY } = {}) {
  const child = spawn(binary, args, { cwd, env: childEnvironment(env), stdio: 'pipe' });
  running.add(child);
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  child.stdin.on('error', () => {}); // it may end without reading
  child.stdin.end(input);
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  try {
    const end = await withDeadline(ended, `parley ${args.join(' ')} ends`, STOP_DEADLINE_MS);
    const result = { ...end, stdout: stdout.text(), stderr: stderr.text() };
    assert.ok(!SANITIZER_REPORT.test(result.stderr), `sanitizer report:\n${result.stderr}`);
    return result;
  } finally {
    child.kill('SIGKILL');
    running.delete(child);
  }
}

function collect(stream) {
  const chunks = [];
  stream.on('data', (chunk) => chunks.push(chunk));
  return { text: () => Buffer.concat(chunks).toString('utf8') };
}

// The route table as `parley routes` prints it: [{method, path, auth, status}].
export async function readRoutes() {
  const { code, stdout, stderr } = await runParley(['routes']);
  assert.equal(code, 0, stderr);
  return stdout.trim().split('\n').map((line) => {
    const [method, route, auth, status] = line.trim().split(/\s+/);
    return { method, path: route, auth, status: Number(status) };
  });
}
