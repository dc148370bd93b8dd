// `make install` and the package it becomes: every file in its place, and none names another.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { REPOSITORY, listFiles } from '../support/server.mjs';

function temporaryFolder(t) {
  const folder = mkdtempSync(path.join(tmpdir(), 'parley-install-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

// What the tests are told is no setting.
const ENVIRONMENT = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PARLEY_')));

function run(command, args, env = {}) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: REPOSITORY, encoding: 'utf8', env: { ...ENVIRONMENT, ...env } });
  assert.equal(status, 0, `${command} ${args.join(' ')}: ${stderr}`);
  return stdout;
}

const install = (folder, ...variables) => run('make', ['install', `DESTDIR=${folder}`, ...variables]);

test('everything is installed below the prefix, and names it', (t) => {
  const folder = temporaryFolder(t);
  install(folder, 'prefix=/opt/chat', 'sysconfdir=/opt/etc');
  const files = listFiles(folder).map((file) => path.relative(folder, file)).sort();
  assert.deepEqual(files, [
    'opt/chat/bin/parley', 'opt/chat/lib/systemd/system/parley-cleanup.service', 'opt/chat/lib/systemd/system/parley-cleanup.timer',
    'opt/chat/lib/systemd/system/parley.service', 'opt/chat/sbin/parleyctl', 'opt/chat/share/man/man1/parley.1', 'opt/chat/share/man/man8/parleyctl.8',
    'opt/etc/parley/parley.conf',
  ]);
  for (const file of files.filter((name) => /system\/|parleyctl$/.test(name))) {
    const text = readFileSync(path.join(folder, file), 'utf8');
    assert.doesNotMatch(text, /\/usr\/local/, file);
    for (const [, place] of text.matchAll(/(?:^ExecStart=|^EnvironmentFile=|^settings=|init-groups )(\/\S+)/gm)) {
      assert.ok(existsSync(path.join(folder, place)), `${file}: there is no ${place}`);
    }
  }
  assert.match(run(path.join(folder, 'opt/chat/bin/parley'), ['version']), /\S/);
});

test('settings are for their owner only, right, and kept', (t) => {
  const folder = temporaryFolder(t);
  install(folder);
  const file = path.join(folder, 'etc/parley/parley.conf');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  // All of them, also those that are commented out.
  const settings = Object.fromEntries([...readFileSync(file, 'utf8').matchAll(/^#?(PARLEY_\w+)='(.*)'$/gm)].map(([, name, value]) => [name, value]));
  assert.ok(Object.keys(settings).length > 8);
  const known = run('build/parley', ['config']);
  for (const name of Object.keys(settings)) assert.match(known, new RegExp(`^${name} `, 'm'));
  writeFileSync(file, 'changed\n');
  install(folder);
  assert.equal(readFileSync(file, 'utf8'), 'changed\n');
});

const hasDebianTools = spawnSync('dpkg-shlibdeps', ['--version']).status === 0;

test('the package has the program, its service and its documents, and depends on what the program is linked with', { skip: hasDebianTools ? false : 'there is no dpkg-shlibdeps' }, (t) => {
  const version = `0.${process.pid}`;
  const file = run('scripts/deb.sh', [], { DEB_VERSION: version }).trim();
  t.after(() => rmSync(path.join(REPOSITORY, file)));
  assert.equal(run('dpkg-deb', ['--field', file, 'Version']).trim(), version);
  const depends = run('dpkg-deb', ['--field', file, 'Depends']);
  for (const library of ['libmicrohttpd', 'libsqlite3', 'libmariadb', 'libhiredis', 'libjansson', 'libssl', 'libcurl', 'libexpat']) assert.match(depends, new RegExp(`\\b${library}`));
  const contents = run('dpkg-deb', ['--contents', file]);
  for (const place of ['./usr/bin/parley', './usr/sbin/parleyctl', './lib/systemd/system/parley.service', './usr/share/man/man1/parley.1.gz', './usr/share/doc/parley/copyright']) {
    assert.ok(contents.includes(` ${place}\n`), `there is no ${place}`);
  }
  assert.match(contents, /^-rw------- root\/root .* \.\/etc\/parley\/parley\.conf$/m);
  assert.doesNotMatch(contents, /usr\/local/);
});
