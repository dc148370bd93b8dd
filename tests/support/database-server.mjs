// A MariaDB server of one test, which may be stopped, killed, and given an older copy of its files.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('mariadb.sh', import.meta.url));

// Options are mariadbd's.
export function startDatabaseServerFor(t, options = []) {
  const server = new DatabaseServer();
  t.after(() => server.dispose());
  server.start(options);
  return server;
}

class DatabaseServer {
  constructor() {
    this.folder = mkdtempSync(path.join(tmpdir(), 'parley-db-'));
    chmodSync(this.folder, 0o755); // the server's user goes through it
    this.url = '';
  }

  // What the script leaves behind keeps no pipe of ours: its output goes to the server's own log.
  #run(...args) {
    return execFileSync(SCRIPT, args, { env: { ...process.env, DIR: this.folder, PORT: '' }, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  }

  start(options) {
    this.url = this.#run('start', ...options).trim();
  }

  // Cleanly: all that was committed is in its files.
  stop() {
    this.#run('stop');
  }

  // As a power cut would.
  kill() {
    this.#run('kill');
  }

  restart() {
    this.#run('restart');
  }

  // A copy of the files of a server that does not run, and the way back to it.
  save(name) {
    this.#run('save', name);
  }

  restore(name) {
    this.#run('restore', name);
  }

  dispose() {
    this.#run('stop');
    rmSync(this.folder, { recursive: true, force: true });
  }
}
