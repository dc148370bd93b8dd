// The commands beside `serve`, on a running server and on its file.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { Client, PASSWORD, createGroup, expectProblem, expectStatus, postMessage, register, uniqueName, wholeHistory } from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { runParley, startServerFor } from '../support/server.mjs';
import { ID } from '../support/shapes.mjs';

const COMMANDS = ['serve', 'migrate', 'cleanup', 'fsck', 'backup', 'restore', 'media', 'user', 'chat', 'report', 'config', 'version', 'routes'];

const SETTINGS = [
  'LISTEN', 'DB', 'DATA_DIR', 'NODE', 'REGISTRATION', 'PUBLIC_URL', 'CORS_ORIGINS', 'TRUSTED_PROXY', 'PASSWORD_COST', 'SESSION_IDLE',
  'SESSION_MAX', 'DEVICES_PER_USER', 'GROUP_MAX', 'EDIT_WINDOW', 'DELETE_WINDOW', 'RETENTION', 'CLEANUP_INTERVAL', 'RATE_LIMIT',
  'RATE_USER', 'RATE_ADDRESS', 'RATE_LOGIN', 'STREAMS_PER_DEVICE', 'STREAMS_PER_USER', 'STREAMS_PER_ADDRESS', 'STREAMS_MAX', 'HEARTBEAT',
  'STREAM_RETRY', 'DRAIN_SPREAD', 'REQUEST_TIMEOUT', 'IDLE_TIMEOUT', 'CONNECTIONS', 'QUEUE_MAX', 'LOG',
].map((name) => `PARLEY_${name}`);

const WRONG_SETTINGS = [
  ['PARLEY_LISTEN', 'nonsense'], ['PARLEY_LISTEN', '127.0.0.1:70000'],
  ['PARLEY_DB', 'oracle:x'], ['PARLEY_NODE', 'a b'], ['PARLEY_NODE', 'x'.repeat(65)],
  ['PARLEY_REGISTRATION', 'maybe'], ['PARLEY_TRUSTED_PROXY', 'perhaps'], ['PARLEY_RATE_LIMIT', '2'],
  ['PARLEY_PASSWORD_COST', '9'], ['PARLEY_PASSWORD_COST', '21'], ['PARLEY_PASSWORD_COST', 'x'],
  ['PARLEY_SESSION_IDLE', '-1d'], ['PARLEY_SESSION_MAX', '1y2'], ['PARLEY_RETENTION', 'soon'], ['PARLEY_RETENTION', '99999999999999999999d'],
  ['PARLEY_GROUP_MAX', '0'], ['PARLEY_GROUP_MAX', '1.5'], ['PARLEY_DEVICES_PER_USER', '0'],
  ['PARLEY_HEARTBEAT', '0'], ['PARLEY_QUEUE_MAX', '0'], ['PARLEY_LOG', 'loud'], ['PARLEY_PUBLIC_URL', 'not a url'], ['PARLEY_CORS_ORIGINS', 'example'],
];

// An empty folder that goes with the test.
function roomFor(t) {
  const folder = mkdtempSync(path.join(tmpdir(), 'parley-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function succeed(run) {
  const result = await run;
  assert.equal(result.code, 0, `${result.stderr}${result.stdout}`);
  return result;
}

const newToken = () => randomBytes(32).toString('base64url');
const toLines = (records) => records.map((record) => `${JSON.stringify(record)}\n`).join('');
const fromLines = (text) => text.trim().split('\n').map((line) => JSON.parse(line));

test('every command explains itself', async () => {
  for (const args of [['--help'], ...COMMANDS.map((command) => [command, '--help'])]) {
    const { stdout } = await succeed(runParley(args));
    assert.match(stdout, /parley/, args.join(' '));
  }
  const { stdout } = await succeed(runParley(['--help']));
  for (const command of COMMANDS) assert.ok(stdout.includes(command), command);
});

test('what is no command is refused', async () => {
  for (const args of [[], ['dance'], ['serve', '--fast'], ['user'], ['user', 'dance'], ['config', '--chek'], ['routes', 'extra'], ['fsck', '--fix'], ['media'], ['media', 'setup', 'x']]) {
    const { code, stderr, stdout } = await runParley(args);
    assert.notEqual(code, 0, `${args.join(' ')}: ${stdout}`);
    assert.notEqual(code, null);
    assert.notEqual(stderr, '', args.join(' '));
  }
});

test('version is one line', async () => {
  const { stdout } = await succeed(runParley(['version']));
  assert.match(stdout, /^\S.*\n$/);
});

test('routes has one line for each route', async () => {
  const { stdout } = await succeed(runParley(['routes']));
  const lines = stdout.trimEnd().split('\n');
  for (const line of lines) assert.match(line, /^(GET|POST|PUT|PATCH|DELETE)\s+\/\S*\s+(none|user|stream)\s+[23]\d\d$/);
  assert.ok(lines.length > 25);
});

test('config prints every setting', async () => {
  const { stdout } = await succeed(runParley(['config']));
  for (const name of SETTINGS) assert.ok(stdout.includes(name), name);
});

test('config --check accepts the defaults', async () => {
  await succeed(runParley(['config', '--check']));
});

for (const [name, value] of WRONG_SETTINGS) {
  test(`${name}=${value} is refused by name, and nothing starts`, async (t) => {
    const cwd = roomFor(t);
    const env = { PARLEY_DATA_DIR: path.join(cwd, 'data'), PARLEY_LISTEN: '127.0.0.1:0', [name]: value };
    for (const args of [['config', '--check'], ['serve']]) {
      const { code, stdout, stderr } = await runParley(args, { cwd, env });
      assert.ok(code > 0, `${args.join(' ')}: ${code}`);
      assert.ok(`${stdout}${stderr}`.includes(name), `${args.join(' ')}: ${stderr}`);
    }
    assert.equal(existsSync(env.PARLEY_DATA_DIR), false, 'a refused start leaves nothing behind');
  });
}

test('a port that is taken is refused with the address', async (t) => {
  const first = await startServerFor(t);
  const cwd = roomFor(t);
  const env = { PARLEY_DATA_DIR: path.join(cwd, 'data'), PARLEY_LISTEN: `127.0.0.1:${first.port}` };
  const { code, stderr } = await runParley(['serve'], { cwd, env });
  assert.ok(code > 0);
  assert.ok(stderr.includes(String(first.port)), stderr);
});

test('a second server on the same data is refused and does not harm the first', async (t) => {
  const first = await startServerFor(t);
  const alice = await register(first, 'alice');
  const { code, stderr } = await first.parley(['serve'], { env: { ...first.env, PARLEY_LISTEN: '127.0.0.1:0' } });
  assert.ok(code > 0);
  assert.notEqual(stderr, '');
  await postMessage(alice, await createGroup(alice), 'still writing');
  const created = await first.parley(['user', 'create', uniqueName(), '--password-stdin'], { input: `${PASSWORD}\n` });
  assert.equal(created.code, 0, `the admin socket is gone: ${created.stderr}`);
});

test('migrate prepares the data, also twice, and serve then uses it', async (t) => {
  const cwd = roomFor(t);
  const env = { PARLEY_DATA_DIR: path.join(cwd, 'data') };
  await succeed(runParley(['migrate'], { cwd, env }));
  await succeed(runParley(['migrate'], { cwd, env }));
  assert.ok(existsSync(path.join(cwd, 'data', 'parley.db')));
});

test('nobody else on the machine can read the data', async (t) => {
  const server = await startServerFor(t);
  await register(server, 'alice');
  const othersMay = (file) => (statSync(path.join(server.dataDir, file)).mode & 0o077) !== 0;
  const files = server.database ? ['admin.sock'] : ['parley.db', 'admin.sock'];
  const readable = othersMay('') ? files.filter(othersMay) : [];
  assert.deepEqual(readable, []);
});

for (const running of [true, false]) {
  const where = running ? 'a running server' : 'the file of a stopped server';

  // Runs the command, then has the server run again whatever `running` says.
  async function whileStopped(server, command) {
    if (!running) await server.stop();
    const result = await command();
    if (!running) await server.restart();
    return result;
  }

  test(`user create on ${where} makes somebody who can log in`, async (t) => {
    const server = await startServerFor(t);
    const name = uniqueName();
    await whileStopped(server, () => succeed(server.parley(['user', 'create', name, '--password-stdin'], { input: `${PASSWORD}\n` })));
    const answer = await new Client(server).post('/v1/sessions', { username: name, password: PASSWORD });
    assert.equal(expectStatus(answer, 201).user.username, name);
  });

  test(`user import on ${where} makes users, chats and tokens that work`, async (t) => {
    const server = await startServerFor(t);
    const [ann, ben, cat] = ['ann', 'ben', 'cat'].map((prefix) => uniqueName(prefix));
    const [annToken, benPhone, benLaptop] = [newToken(), newToken(), newToken()];
    const records = [
      { user: ann, display_name: 'Ann', tokens: [annToken] },
      { user: ben, tokens: [benPhone, benLaptop] },
      { user: cat },
      { chat: 'group', title: 'Imported', owner: ann, members: [ben, cat] },
      { chat: 'direct', members: [ann, ben] },
    ];
    const { stdout } = await whileStopped(server, () => succeed(server.parley(['user', 'import', '-'], { input: toLines(records) })));
    const answers = fromLines(stdout);
    assert.equal(answers.length, 5);
    assert.deepEqual(answers.map((answer) => answer.devices?.length), [1, 2, 0, undefined, undefined]);
    for (const answer of answers) assert.match(answer.id ?? answer.chat, ID);
    await checkImported(server, { answers, ann, annToken, benPhone, benLaptop });
  });
}

async function checkImported(server, { answers, ann, annToken, benPhone, benLaptop }) {
  const [annClient, phone, laptop] = [annToken, benPhone, benLaptop].map((token) => new Client(server, token));
  const me = expectStatus(await annClient.get('/v1/users/me'), 200);
  assert.deepEqual([me.id, me.username, me.display_name], [answers[0].id, ann, 'Ann']);
  const devices = expectStatus(await laptop.get('/v1/devices'), 200).items;
  assert.deepEqual(devices.map((device) => device.id).sort(), [...answers[1].devices].sort());
  assert.equal(devices.find((device) => device.current).id, answers[1].devices[1]);

  const chats = expectStatus(await phone.get('/v1/chats'), 200).items;
  assert.deepEqual(chats.map((chat) => chat.id).sort(), [answers[3].chat, answers[4].chat].sort());
  const group = chats.find((chat) => chat.type === 'group');
  assert.deepEqual([group.title, group.member_count, group.my_role], ['Imported', 3, 'member']);
  const message = await postMessage(annClient, group, 'to the imported');
  assert.deepEqual(await wholeHistory(phone, group), [message]);

  const logIn = await new Client(server).post('/v1/sessions', { username: ann, password: '' });
  assert.ok([400, 401].includes(logIn.status));
  expectProblem(await new Client(server).post('/v1/sessions', { username: ann, password: PASSWORD }), 401, 'login_failed');
}

test('user import reads a file, and streams learn of it at once', async (t) => {
  const server = await startServerFor(t);
  const alice = await register(server, 'alice');
  const stream = await openReadyFor(t, server, { token: alice.token });
  const file = path.join(server.folder, 'import.jsonl');
  const name = uniqueName();
  writeFileSync(file, toLines([{ user: name }, { chat: 'group', title: 'From a file', owner: alice.username, members: [name] }]));
  const { stdout } = await succeed(server.parley(['user', 'import', file]));
  const event = await stream.next('chat.created');
  assert.equal(event.chat_id, fromLines(stdout)[1].chat);
});

test('user import refuses lines that make no sense and says which', async (t) => {
  const server = await startServerFor(t);
  const good = uniqueName();
  const bad = ['not json', '{"user":"x y"}', '{"user":1}', '{"chat":"group","title":"x","owner":"nobody-at-all","members":[]}', '{"user":"fine-name","tokens":["short"]}', '{"surprise":1}'];
  for (const line of bad) {
    const { code, stderr, stdout } = await server.parley(['user', 'import', '-'], { input: `{"user":"${good}-${bad.indexOf(line)}"}\n${line}\n` });
    assert.ok(code > 0, `${line}: ${stdout}`);
    assert.match(`${stderr}${stdout}`, /\b2\b/, 'the number of the line');
  }
  const { code } = await server.parley(['user', 'import', path.join(server.folder, 'missing.jsonl')]);
  assert.ok(code > 0);
});

test('user import takes thousands at once', async (t) => {
  const server = await startServerFor(t, { env: { PARLEY_GROUP_MAX: '3000' } });
  const prefix = uniqueName('bulk');
  const names = Array.from({ length: 2000 }, (_, i) => `${prefix}.${i}`.slice(-32));
  const tokens = names.map(newToken);
  const records = names.map((user, i) => ({ user, tokens: [tokens[i]] }));
  records.push({ chat: 'group', title: 'Everybody', owner: names[0], members: names.slice(1) });
  const { stdout } = await succeed(server.parley(['user', 'import', '-'], { input: toLines(records) }));
  const answers = fromLines(stdout);
  assert.equal(answers.length, 2001);
  const chats = expectStatus(await new Client(server, tokens[1999]).get('/v1/chats'), 200).items;
  assert.deepEqual([chats[0].id, chats[0].member_count], [answers[2000].chat, 2000]);
});

test('user create without a password makes one and prints it', async (t) => {
  const server = await startServerFor(t);
  const name = uniqueName();
  const { stdout } = await succeed(server.parley(['user', 'create', name]));
  const words = stdout.trim().split(/\s+/).map((word) => word.replace(/^\w+=/, ''));
  const answers = await Promise.all(words.filter((word) => word.length >= 8 && word !== name)
    .map((password) => new Client(server).post('/v1/sessions', { username: name, password })));
  assert.ok(answers.some((answer) => answer.status === 201), stdout);
});

test('user create refuses a name that is taken or impossible', async (t) => {
  const server = await startServerFor(t);
  const alice = await register(server, 'alice');
  for (const name of [alice.username, alice.username.toUpperCase(), 'a b', 'x']) {
    const { code, stderr } = await server.parley(['user', 'create', name, '--password-stdin'], { input: `${PASSWORD}\n` });
    assert.ok(code > 0, name);
    assert.notEqual(stderr, '');
  }
});

test('an invite made while the server was stopped works later', async (t) => {
  const server = await startServerFor(t, { env: { PARLEY_REGISTRATION: 'invite' } });
  await server.stop();
  const { stdout } = await succeed(server.parley(['user', 'invite', '--uses', '1', '--days', '2']));
  await server.restart();
  const body = { username: uniqueName(), password: PASSWORD, invite: stdout.trim().split(/\s+/).at(-1) };
  expectStatus(await new Client(server).post('/v1/users', body), 201);
});

test('cleanup finds nothing to do on fresh data, running or not', async (t) => {
  const server = await startServerFor(t);
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  const message = await postMessage(alice, chat, 'kept');
  await succeed(server.parley(['cleanup', '--once', '--dry-run']));
  await succeed(server.parley(['cleanup', '--once']));
  await server.stop();
  await succeed(server.parley(['cleanup', '--once']));
  await server.restart();
  assert.deepEqual(await wholeHistory(alice, chat), [message]);
});
