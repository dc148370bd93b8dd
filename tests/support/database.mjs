// Databases of test servers on the MariaDB server that PARLEY_TEST_DB names: mariadb://user:password@host:port/database, or with
// ?socket=PATH instead of host and port. The user may make databases whose names begin with the named one's.
//
// Works through the programs mariadb and mariadb-dump, and waits for them.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';

const DUMP_BYTES_MAX = 256 * 1024 * 1024;

const URL_FORM = /^mariadb:\/\/(?<user>[^:@/]+)(:(?<password>[^@/]*))?@(?<host>[^:/?]*)(:(?<port>\d+))?\/(?<name>[^?/]+)(\?socket=(?<socket>[^&]+))?$/;

const place = process.env.PARLEY_TEST_DB ? parseUrl(process.env.PARLEY_TEST_DB) : null;

function parseUrl(url) {
  const found = URL_FORM.exec(url);
  assert.ok(found, 'PARLEY_TEST_DB is mariadb://user:password@host:port/database, or has ?socket=PATH instead of host and port');
  const decoded = Object.entries(found.groups).map(([key, value]) => [key, value && decodeURIComponent(value)]);
  return { url, ...Object.fromEntries(decoded) };
}

function run(program, args, options = {}) {
  const target = place.socket ? [`--socket=${place.socket}`] : [`--host=${place.host}`, `--port=${place.port ?? 3306}`, '--protocol=tcp'];
  return execFileSync(program, ['--no-defaults', `--user=${place.user}`, ...target, '--default-character-set=utf8mb4', ...args], {
    env: { ...process.env, MYSQL_PWD: place.password ?? '' },
    maxBuffer: DUMP_BYTES_MAX,
    stdio: ['pipe', 'pipe', 'inherit'],
    ...options,
  });
}

let count = 0;

// A fresh database for one test server, or null where tests run on SQLite.
export function createDatabase() {
  if (!place) return null;
  const database = new Database(`${place.name}_api_${process.pid}_${++count}`);
  database.create();
  return database;
}

class Database {
  constructor(name) {
    this.name = name;
    this.url = place.url.replace(/\/[^/?]+(?=(\?|$))/, `/${name}`);
  }

  create() {
    run('mariadb', ['--execute', `CREATE OR REPLACE DATABASE ${this.name}`]);
  }

  // What a statement prints: a line for each row, its columns separated by tabs.
  query(sql) {
    return run('mariadb', ['--skip-column-names', '--batch', '--execute', sql, this.name]).toString();
  }

  // Statements of any length.
  execute(sql) {
    run('mariadb', [this.name], { input: sql });
  }

  drop() {
    run('mariadb', ['--execute', `DROP DATABASE IF EXISTS ${this.name}`]);
  }

  // Everything in it, as statements; bytes are hexadecimal.
  dump() {
    return run('mariadb-dump', ['--single-transaction', '--skip-comments', '--hex-blob', this.name]);
  }

  restore(dump) {
    this.create();
    run('mariadb', [this.name], { input: dump });
  }

  // Does any row contain these bytes? What the server's files keep of rows that are gone, until it is overwritten, is not looked at.
  contains(bytes) {
    const dump = this.dump();
    return dump.includes(bytes) || dump.includes(bytes.toString('hex').toUpperCase());
  }
}
