// Backing up and restoring: what clients find afterwards, on SQLite and, where PARLEY_TEST_DB names a server, on MariaDB and from one to the other.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { checkChain } from '../support/chain.mjs';
import { Client, createDirect, createGroup, expectStatus, getChat, logIn, postMany, postMessage, register, registerMany, removeMember, wholeHistory } from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { fetchContent, upload } from '../support/media.mjs';
import { BINARY, Server, runParley, startServerFor } from '../support/server.mjs';
import { eventually } from '../support/wait.mjs';

const FIRST_JUMP = 1n << 31n; // positions, at least
const ON_MARIADB = Boolean(process.env.PARLEY_TEST_DB);
const SQLITE = 'SQLite', MARIADB = 'MariaDB';
const KINDS = ON_MARIADB ? [MARIADB, SQLITE] : [SQLITE];
const WAYS = KINDS.flatMap((from) => KINDS.map((to) => [from, to]));

// ---- Servers and files

// A server's place with nothing in it yet.
function placeFor(t, kind = KINDS[0]) {
  const server = new Server();
  if (kind === SQLITE) delete server.env.PARLEY_DB;
  t.after(() => server.dispose());
  return server;
}

async function startFor(t, kind) {
  const server = placeFor(t, kind);
  await server.start();
  return server;
}

async function succeed(run) {
  const result = await run;
  assert.equal(result.code, 0, `${result.stdout}${result.stderr}`);
  return result;
}

async function backUp(server, name = 'backup') {
  const file = path.join(server.folder, name);
  await succeed(server.parley(['backup', file]));
  return file;
}

const restoreInto = (server, file) => succeed(server.parley(['restore', file]));

async function expectRefusal(server, file, words) {
  const { code, stderr } = await server.parley(['restore', file]);
  assert.equal(code, 1, stderr);
  assert.match(stderr, words);
  return stderr;
}

// The environment of a program that is run without the help of server.mjs.
function environmentOf(server) {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('PARLEY_'));
  return { ...Object.fromEntries(inherited), ...server.env };
}

// The same account on another server.
const on = (server, account) => Object.assign(new Client(server, account.token), { id: account.id, username: account.username, password: account.password });

const positionOf = (id) => BigInt(id) >> 16n;

// ---- The same afterwards

async function fill(server) {
  const [alice, bob, carol] = await registerMany(server, 'alice', 'bob', 'carol');
  const group = await createGroup(alice, [bob, carol], { title: 'Über 🐘 "quoted" \\ and \'single\'' });
  const direct = await createDirect(bob, alice);
  const messages = await postMany(alice, group, 8, 'first');
  await postMessage(bob, group, '𝕬𝖇𝖈 🐘 \\0 \u0001 \'; --', { key: 'same' });
  expectStatus(await alice.patch(`/v1/chats/${group.id}/messages/${messages[1].id}`, { text: 'edited' }), 200);
  expectStatus(await alice.delete(`/v1/chats/${group.id}/messages/${messages[2].id}`), 204, 200);
  await removeMember(alice, group, carol);
  await postMany(bob, direct, 3, 'direct');
  const bytes = Buffer.from('the bytes of a file');
  const media = await upload(alice, bytes, { content_type: 'text/plain' });
  await postMessage(alice, direct, 'with a file', { attachments: [media.id] });
  return { alice, bob, carol, group, direct, media, bytes, phone: await logIn(alice) };
}

// What people see.
async function look(server, { alice, bob, group, direct, phone }) {
  const seen = [];
  for (const account of [alice, bob, phone]) {
    const reader = on(server, account);
    seen.push(expectStatus(await reader.get('/v1/users/me'), 200));
    for (const chat of [group, direct]) seen.push(await getChat(reader, chat), await wholeHistory(reader, chat));
  }
  return seen;
}

async function expectReset(t, server, account, lastEventId) {
  const stream = await openReadyFor(t, server, { token: account.token, lastEventId });
  const reset = await stream.next('reset');
  assert.equal(reset.reason, 'expired');
  return { stream, reset };
}

for (const [from, to] of WAYS) {
  test(`from ${from} to ${to}: what was there is there again, and everybody is told to reload`, async (t) => {
    const source = await startFor(t, from);
    const people = await fill(source);
    const { alice, bob, group } = people;
    const before = await look(source, people);
    const kept = (await wholeHistory(alice, group)).at(-1);
    const file = await backUp(source);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const lost = await postMany(alice, group, 5, 'lost');
    const stream = await openReadyFor(t, source, { token: bob.token, lastEventId: lost[0].id });
    assert.equal((await stream.next('message.created')).message.id, lost[1].id, 'a backup changes nothing for streams');

    const target = placeFor(t, to);
    await restoreInto(target, file);
    await target.start();
    assert.deepEqual(await look(target, people), before);
    for (const id of [kept.id, lost[0].id, lost.at(-1).id]) await expectReset(t, target, bob, id);
    const { stream: live, reset } = await expectReset(t, target, bob, lost[2].id);
    assert.ok(positionOf(reset.id) >= positionOf(lost.at(-1).id) + FIRST_JUMP - 10n);

    const next = await postMessage(on(target, alice), group, 'goes on');
    assert.equal(next.seq, kept.seq + 1);
    assert.ok(BigInt(next.id) > BigInt(reset.id));
    assert.equal((await live.next('message.created')).message.id, next.id);
    checkChain(await wholeHistory(on(target, alice), group));
    const fine = await openReadyFor(t, target, { token: bob.token, lastEventId: reset.id });
    assert.equal((await fine.next('message.created')).message.id, next.id, 'the reset\'s own token is good');
  });
}

test('sessions, passwords, keys and left chats are what they were', async (t) => {
  const source = await startFor(t);
  const people = await fill(source);
  const { alice, bob, carol, group } = people;
  const target = placeFor(t);
  await restoreInto(target, await backUp(source));
  await target.start();
  const key = { headers: { 'Idempotency-Key': 'same' } };
  const answer = await on(target, bob).post(`/v1/chats/${group.id}/messages`, { text: '𝕬𝖇𝖈 🐘 \\0 \u0001 \'; --' }, key);
  const history = await wholeHistory(on(target, alice), group);
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.body.id, history.at(-1).id);
  await logIn(on(target, alice));
  const other = await on(target, bob).post(`/v1/chats/${group.id}/messages`, { text: 'other' }, key);
  assert.equal(other.status, 409);
  expectStatus(await on(target, carol).post(`/v1/chats/${group.id}/messages`, { text: 'still there?' }), 404, 403);
});

test('files are found again when their folder is brought along, and missed when it is not', async (t) => {
  const source = await startFor(t);
  const { alice, media, bytes } = await fill(source);
  const target = placeFor(t);
  await restoreInto(target, await backUp(source));
  const missing = await target.parley(['fsck']);
  assert.equal(missing.code, 1);
  assert.match(missing.stdout, /^missing /m);
  cpSync(path.join(source.dataDir, 'media'), path.join(target.dataDir, 'media'), { recursive: true });
  await succeed(target.parley(['fsck']));
  await target.start();
  assert.deepEqual((await fetchContent(on(target, alice), media.id)).bytes, bytes);
});

// ---- While the server works

test('a backup of a busy server is of one moment', async (t) => {
  const source = await startFor(t);
  const [alice, bob] = await registerMany(source, 'alice', 'bob');
  const chats = await Promise.all([1, 2, 3].map(() => createGroup(alice, [bob])));
  for (const chat of chats) await postMany(alice, chat, 50);
  const stream = await openReadyFor(t, source, { token: bob.token });
  let stopping = false;
  const posters = chats.map(async (chat) => {
    let count = 0;
    while (!stopping) await postMessage(alice, chat, `busy ${++count}`);
    return count;
  });
  await eventually(() => stream.events.length > 30, 'posting is under way');
  const acknowledged = stream.events.filter((event) => event.type === 'message.created').map((event) => event.message);
  const files = [await backUp(source, 'one'), await backUp(source, 'two')];
  stopping = true;
  await Promise.all(posters);
  const whole = await Promise.all(chats.map((chat) => wholeHistory(alice, chat)));

  for (const file of files) {
    const target = placeFor(t);
    await restoreInto(target, file);
    await target.start();
    for (const [index, chat] of chats.entries()) {
      const history = await wholeHistory(on(target, bob), chat);
      assert.deepEqual(history, whole[index].slice(0, history.length));
      assert.equal((await getChat(on(target, bob), chat)).last_seq, history.length);
      const ids = new Set(history.map((message) => message.id));
      for (const message of acknowledged.filter(({ chat_id }) => chat_id === chat.id)) assert.ok(ids.has(message.id), 'what was answered before is in it');
    }
    await target.stop();
  }
});

// ---- Pipes

test('through a pipe, without a file', async (t) => {
  const source = await startFor(t);
  const people = await fill(source);
  const before = await look(source, people);
  const target = placeFor(t);
  const made = spawnSync(BINARY, ['backup', '-'], { env: environmentOf(source) });
  assert.equal(made.status, 0, made.stderr.toString());
  assert.match(made.stderr.toString(), /\d+ rows/, 'what was done is said beside it');
  const restored = spawnSync(BINARY, ['restore', '-'], { env: environmentOf(target), input: made.stdout });
  assert.equal(restored.status, 0, restored.stderr.toString());
  await target.start();
  assert.deepEqual(await look(target, people), before);
});

// A restore that has read half of the backup and waits for the rest.
async function startHalf(server, bytes) {
  const child = spawn(BINARY, ['restore', '-'], { env: environmentOf(server), stdio: ['pipe', 'pipe', 'pipe'] });
  const errors = [];
  child.stderr.on('data', (chunk) => errors.push(chunk));
  child.stdin.on('error', () => {});
  const written = new Promise((resolve) => child.stdin.write(bytes.subarray(0, bytes.length - 100), resolve));
  const ended = once(child, 'close');
  await written;
  return { child, ended, errors };
}

test('a pipe that breaks leaves nothing', async (t) => {
  const source = await startFor(t);
  const people = await fill(source);
  const before = await look(source, people);
  const file = await backUp(source);
  const target = placeFor(t);
  const { child, ended, errors } = await startHalf(target, readFileSync(file));
  child.stdin.end();
  assert.deepEqual(await ended, [1, null]);
  assert.match(Buffer.concat(errors).toString(), /incomplete; nothing was restored/);
  assert.deepEqual(readdirSync(target.dataDir).filter((name) => name !== 'parley.lock'), []);
  await restoreInto(target, file);
  await target.start();
  assert.deepEqual(await look(target, people), before);
});

test('a restore that is killed leaves nothing that a server would start on, and can be repeated', async (t) => {
  const source = await startFor(t);
  const people = await fill(source);
  const before = await look(source, people);
  const file = await backUp(source);
  const target = placeFor(t);
  const { child, ended } = await startHalf(target, readFileSync(file));
  const half = () => target.parley(['backup', path.join(target.folder, 'half')]);
  if (ON_MARIADB) await eventually(async () => /restored/.test((await half()).stderr), 'it has begun');
  else await eventually(() => existsSync(path.join(target.dataDir, 'parley.db.restoring')), 'it has begun');
  child.kill('SIGKILL');
  await ended;
  const { code, stderr } = await half();
  assert.equal(code, 1, stderr);
  if (ON_MARIADB) await assert.rejects(target.start(), /being restored into it/);
  target.child = null;
  await restoreInto(target, file);
  assert.ok(!existsSync(path.join(target.dataDir, 'parley.db.restoring')));
  await target.start();
  assert.deepEqual(await look(target, people), before);
});

// ---- Refusals

test('nothing is restored over a database that is in use', async (t) => {
  const source = await startFor(t);
  const people = await fill(source);
  const before = await look(source, people);
  const file = await backUp(source);
  await expectRefusal(source, file, ON_MARIADB ? /connected/ : /in use/);
  assert.deepEqual(await look(source, people), before);
  await source.stop();
  await expectRefusal(source, file, /empty/);
  await source.restart();
  assert.deepEqual(await look(source, people), before);
});

test('a server that has started, and nothing else, may be replaced', async (t) => {
  const source = await startFor(t);
  const people = await fill(source);
  const before = await look(source, people);
  const file = await backUp(source);
  const target = await startFor(t);
  await target.stop();
  await restoreInto(target, file);
  await target.restart();
  assert.deepEqual(await look(target, people), before);
});

test('a damaged or shortened backup is refused, and nothing is changed', async (t) => {
  const source = await startFor(t);
  await fill(source);
  const file = await backUp(source);
  const bytes = readFileSync(file);
  const target = placeFor(t);
  const bad = path.join(target.folder, 'bad');
  for (const place of [0, 20, Math.floor(bytes.length / 2), bytes.length - 1]) {
    const damaged = Buffer.from(bytes);
    damaged[place] ^= 4;
    for (const content of [damaged, bytes.subarray(0, place)]) {
      writeFileSync(bad, content);
      await expectRefusal(target, bad, /damaged or incomplete|no backup/);
    }
  }
  writeFileSync(bad, Buffer.concat([bytes, bytes]));
  await expectRefusal(target, bad, /damaged/);
  assert.deepEqual(readdirSync(target.dataDir).filter((name) => name !== 'parley.lock'), []);
  await target.start(); // on an empty database, as if nothing had been
  await register(target, 'alice');
});

test('what cannot be read or written is said, with the exit status of a failure', async (t) => {
  const server = await startServerFor(t);
  await register(server, 'alice');
  const missing = path.join(server.folder, 'missing', 'backup');
  for (const command of ['backup', 'restore']) {
    const { code, stderr } = await server.parley([command, missing]);
    assert.equal(code, 1);
    assert.match(stderr, /missing\/backup/);
  }
  const nowhere = { PARLEY_DATA_DIR: path.join(server.folder, 'nowhere') };
  const { code } = await runParley(['backup', path.join(server.folder, 'none')], { env: nowhere });
  assert.equal(code, 1);
  assert.deepEqual(readdirSync(server.folder).filter((name) => name.startsWith('none')), [], 'nothing is left of it');
});

test('arguments that are wrong are refused before anything is tried', async (t) => {
  const server = placeFor(t);
  for (const args of [[], ['one', 'two'], ['--once']]) {
    for (const command of ['backup', 'restore']) {
      const { code, stderr } = await server.parley([command, ...args]);
      assert.equal(code, 2, stderr);
      assert.match(stderr, new RegExp(`parley ${command} --help`));
    }
  }
});

test('a new backup takes the place of the old one only when it is whole', async (t) => {
  const server = await startServerFor(t);
  await register(server, 'alice');
  const file = path.join(server.folder, 'nightly');
  writeFileSync(file, 'yesterday');
  chmodSync(file, 0o644);
  const broken = { ...server.env, PARLEY_DB: ON_MARIADB ? server.env.PARLEY_DB.replace(/:\/\/[^@]*@/, '://nobody:wrong@') : 'sqlite:/nowhere/parley.db' };
  assert.equal((await runParley(['backup', file], { env: broken })).code, 1);
  assert.equal(readFileSync(file, 'utf8'), 'yesterday');
  await backUp(server, 'nightly');
  assert.ok(readFileSync(file, 'latin1').startsWith('parley backup 1\n'));
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.ok(!existsSync(`${file}.partial`));
});
