// One server process at a time, in a folder of its own, killed without warning
// and started again on the same data and port.

import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const START_DEADLINE_MS = 20_000;

const DEFAULTS = {
  PARLEY_RATE_LIMIT: 'off',
  PARLEY_PASSWORD_COST: '10',
  PARLEY_HEARTBEAT: '1s',
  PARLEY_CONNECTIONS: '1500',
};

function isFree(port) {
  return new Promise((done) => {
    const probe = createServer();
    probe.once('error', () => done(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)));
  });
}

/** Below the range that outgoing connections take their ports from: a client
 *  that connects while the server is down must not meet itself there. */
export async function freePort(random) {
  for (;;) {
    const port = random.between(15_000, 32_000);
    if (await isFree(port)) return port;
  }
}

export class Server {
  /** `name` is the balancer's for this node; `env` comes after the defaults. */
  constructor({ name, binary, env, folder, port, records }) {
    this.name = name;
    this.binary = resolve(binary);
    this.env = env;
    this.folder = folder;
    this.port = port;
    this.records = records;
    this.starts = 0;
    this.process = null;
  }

  async prepare() {
    await mkdir(this.folder, { recursive: true });
    this.log = createWriteStream(join(this.folder, 'server.log'), { flags: 'a' });
  }

  environment() {
    const env = {
      ...process.env,
      ...DEFAULTS,
      ...this.env,
      PARLEY_LISTEN: `127.0.0.1:${this.port}`,
      PARLEY_DATA_DIR: join(this.folder, 'data'),
    };
    if (env.PARLEY_FORGETFUL_SEED) {
      env.PARLEY_FORGETFUL_SEED = String(Number(env.PARLEY_FORGETFUL_SEED) + this.starts);
    }
    return env;
  }

  /** Spawns without waiting. `unexpected(description, running)` is called when
   *  the process ends although nobody killed it; `running` tells whether it
   *  had `listening`, its `signal`, and when it was spawned, `sinceMs`. */
  spawn(unexpected) {
    this.starts += 1;
    this.records.server.starts += 1;
    const start = `start ${this.starts} of ${this.name}`;
    this.log.write(`--- ${start}\n`);
    const child = spawn(this.binary, ['serve'], {
      env: this.environment(),
      cwd: this.folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const running = { child, killed: false, listening: false, ended: null, signal: null, sinceMs: Date.now() };
    running.exit = new Promise((done) => {
      child.once('error', (error) => done(`cannot start: ${error.message}`));
      child.once('exit', (code, signal) => {
        running.signal = signal;
        done(signal ? `signal ${signal}` : `exit ${code}`);
      });
    }).then((how) => {
      running.ended = how;
      if (!running.killed) unexpected(`${start} ended by itself: ${how}`, running);
    });
    let line = '';
    child.stderr.on('data', (chunk) => {
      this.log.write(chunk);
      if (running.listening) return;
      line = (line + chunk.toString('latin1')).slice(-4096);
      running.listening = line.includes('event=listening');
    });
    this.process = running;
    return running;
  }

  /** Resolves when the server listens or has ended; true: it listens. */
  async start(unexpected) {
    const running = this.spawn(unexpected);
    const deadline = Date.now() + START_DEADLINE_MS;
    while (!running.listening && running.ended === null && Date.now() < deadline) await sleep(5);
    if (!running.listening && running.ended === null) {
      unexpected(`start ${this.starts} of ${this.name} did not listen within ${START_DEADLINE_MS} ms`, running);
    }
    return running.listening;
  }

  get isRunning() {
    return this.process !== null && this.process.ended === null;
  }

  /** kill -9, at once: nothing is awaited before the signal is out. */
  kill() {
    const running = this.process;
    if (!running || running.ended !== null) return Promise.resolve();
    running.killed = true;
    running.child.kill('SIGKILL');
    return running.exit;
  }

  /** It does nothing from now on until thaw(), and does not know it. */
  freeze() {
    this.process.child.kill('SIGSTOP');
  }

  thaw() {
    this.process.child.kill('SIGCONT');
  }

  /** What a sanitizer had to say, whether or not the process died of it. */
  async sanitizerReports() {
    const text = await readFile(join(this.folder, 'server.log'), 'utf8').catch(() => '');
    return text.split('\n').filter((line) => /Sanitizer: |runtime error: /.test(line));
  }

  async logTail(lines = 15) {
    const text = await readFile(join(this.folder, 'server.log'), 'utf8').catch(() => '');
    return text.trimEnd().split('\n').slice(-lines).join('\n');
  }

  async close() {
    await this.kill();
    await new Promise((done) => this.log.end(done));
  }
}
