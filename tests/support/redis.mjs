// A Redis of its own for a test: a real redis-server on loopback, by redis.sh.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, openSync, closeSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const SCRIPT = path.join(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), 'redis.sh');

// A server that ends with the test. `options` are redis-server's, as ['--requirepass', 'secret'].
export function startRedisFor(t, options = []) {
  const redis = new Redis(mkdtempSync(path.join(tmpdir(), 'parley-redis-')));
  t.after(() => redis.remove());
  redis.start(options);
  return redis;
}

class Redis {
  constructor(folder) {
    this.folder = folder;
  }

  // Its output goes to a file: the server would keep a pipe open.
  run(...args) {
    const output = path.join(this.folder, 'script.out');
    const file = openSync(output, 'w');
    try {
      execFileSync(SCRIPT, args, { env: { ...process.env, DIR: this.folder }, stdio: ['ignore', file, 'inherit'] });
    } finally {
      closeSync(file);
    }
    return readFileSync(output, 'utf8').trim();
  }

  start(options) {
    this.url = this.run('start', ...options);
    this.port = Number(new URL(this.url).port);
    const password = options.indexOf('--requirepass');
    this.auth = password < 0 ? [] : ['--no-auth-warning', '-a', options[password + 1]];
  }

  stop() { this.run('stop'); }
  kill() { this.run('kill'); }
  freeze() { this.run('freeze'); }
  thaw() { this.run('thaw'); }
  restart() { this.run('restart'); }

  remove() {
    this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  // What redis-cli prints for one command, as lines; `input` becomes its last argument.
  command(args, input) {
    const stdin = input === undefined ? [] : ['-x'];
    const output = execFileSync('redis-cli', ['-h', '127.0.0.1', '-p', String(this.port), ...this.auth, ...stdin, ...args.map(String)], { input });
    const text = output.toString().trimEnd();
    assert.ok(!/^(ERR|NOAUTH|WRONGTYPE) /.test(text), text);
    return text === '' ? [] : text.split('\n');
  }

  // Everything anybody could read in it.
  dump() {
    return this.command(['--scan']).map((key) => ({ key, type: this.command(['type', key])[0], value: this.command(['get', key])[0] }));
  }
}
