// Registering, the profile, and looking users up.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Client, PASSWORD, createGroup, expectProblem, expectStatus, logIn, register, uniqueName } from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { startServer, startServerFor } from '../support/server.mjs';
import { TOKEN, checkDevice, checkKeys, checkList, checkUser } from '../support/shapes.mjs';

const server = await startServer();
after(() => server.dispose());
const anonymous = new Client(server);

const registration = (fields = {}) => ({ username: uniqueName(), password: PASSWORD, ...fields });

test('registering answers the user, the device and a token that works', async () => {
  const answer = await anonymous.post('/v1/users', registration());
  const { access_token, user, device } = expectStatus(answer, 201);
  checkKeys(answer.body, ['access_token', 'user', 'device']);
  checkUser(user);
  checkDevice(device);
  assert.match(access_token, TOKEN);
  assert.equal(answer.headers.location, `/v1/users/${user.id}`);
  assert.equal(user.display_name, user.username);
  assert.equal(device.name, 'device');
  assert.equal(answer.headers['set-cookie'], undefined);
  const me = expectStatus(await new Client(server, access_token).get('/v1/users/me'), 200);
  assert.deepEqual(me, { ...user, presence: 'shared_chats', receipts: true });
});

test('registering takes a display name and a device name', async () => {
  const answer = await anonymous.post('/v1/users', registration({ display_name: 'Ana María 😀', device_name: 'Phone' }));
  const { user, device } = expectStatus(answer, 201);
  assert.equal(user.display_name, 'Ana María 😀');
  assert.equal(device.name, 'Phone');
});

test('user names are folded to lower case and taken only once', async () => {
  const username = `MiXed.${uniqueName('N')}`;
  const first = expectStatus(await anonymous.post('/v1/users', registration({ username })), 201);
  assert.equal(first.user.username, username.toLowerCase());
  for (const again of [username, username.toLowerCase(), username.toUpperCase()]) {
    expectProblem(await anonymous.post('/v1/users', registration({ username: again })), 409, 'username_taken', 'username');
  }
});

test('of many registrations of one name at once exactly one succeeds', async () => {
  const username = uniqueName();
  const tries = Array.from({ length: 10 }, () => anonymous.post('/v1/users', registration({ username })));
  const statuses = (await Promise.all(tries)).map((answer) => answer.status).sort();
  assert.deepEqual(statuses, [201, ...Array(9).fill(409)]);
});

const ACCEPTED = [
  ['the shortest name', { username: () => uniqueName('').slice(-3) }],
  ['the longest name', { username: () => `${uniqueName()}${'x'.repeat(32)}`.slice(0, 32) }],
  ['every sign allowed', { username: () => `A_z.9-${uniqueName('')}` }],
  ['the shortest password', { password: () => '12345678' }],
  ['the shortest password in bytes, not characters', { password: () => 'éééé' }],
  ['the longest password', { password: () => 'x'.repeat(256) }],
  ['the longest display name, in characters', { display_name: () => '😀'.repeat(64) }],
  ['the longest device name', { device_name: () => 'x'.repeat(64) }],
];

for (const [what, fields] of ACCEPTED) {
  test(`registering accepts ${what}`, async () => {
    const [[field, value]] = Object.entries(fields);
    const body = registration({ [field]: value() });
    const { user } = expectStatus(await anonymous.post('/v1/users', body), 201);
    const session = { username: user.username, password: body.password };
    expectStatus(await anonymous.post('/v1/sessions', session), 201);
  });
}

const REFUSED = [
  ['username', 'ab'],
  ['username', 'x'.repeat(33)],
  ['username', ''],
  ['username', 'a b c'],
  ['username', 'émile'],
  ['username', 'a/b/c'],
  ['username', 'user@host'],
  ['username', 42],
  ['username', null],
  ['password', '1234567'],
  ['password', 'x'.repeat(257)],
  ['password', 'é'.repeat(129)],
  ['password', 12345678],
  ['display_name', ''],
  ['display_name', 'x'.repeat(65)],
  ['display_name', ['x']],
  ['device_name', ''],
  ['device_name', 'x'.repeat(65)],
  ['device_name', {}],
  ['cookie', 'yes'],
];

for (const [field, value] of REFUSED) {
  test(`registering refuses ${field} ${JSON.stringify(value).slice(0, 24)}`, async () => {
    expectProblem(await anonymous.post('/v1/users', registration({ [field]: value })), 400, 'bad_field', field);
  });
}

for (const field of ['username', 'password']) {
  test(`registering needs ${field}`, async () => {
    expectProblem(await anonymous.post('/v1/users', registration({ [field]: undefined })), 400, 'missing_field', field);
  });
}

test('a refused registration leaves the name free', async () => {
  const username = uniqueName();
  expectProblem(await anonymous.post('/v1/users', registration({ username, password: 'short' })), 400, 'bad_field', 'password');
  expectStatus(await anonymous.post('/v1/users', registration({ username })), 201);
});

test('changing the display name is seen by everybody and by own devices at once', async (t) => {
  const [alice, bob] = [await register(server, 'alice'), await register(server, 'bob')];
  const phone = await openReadyFor(t, server, { token: (await logIn(alice)).token });
  const changed = expectStatus(await alice.patch('/v1/users/me', { display_name: 'Alice Liddell' }), 200);
  assert.deepEqual(changed, { ...alice.user, display_name: 'Alice Liddell', presence: 'shared_chats', receipts: true });
  const event = await phone.next('user.updated');
  assert.deepEqual(event.user, changed);
  assert.deepEqual(expectStatus(await bob.get(`/v1/users/${alice.id}`), 200), { ...alice.user, display_name: 'Alice Liddell' });
});

for (const display_name of ['', 'x'.repeat(65), 7, null]) {
  test(`the display name cannot become ${JSON.stringify(display_name).slice(0, 12)}`, async () => {
    const alice = await register(server);
    expectProblem(await alice.patch('/v1/users/me', { display_name }), 400, 'bad_field', 'display_name');
    assert.equal((await alice.get('/v1/users/me')).body.display_name, alice.username);
  });
}

test('the user name and the id cannot be changed', async () => {
  const alice = await register(server);
  expectProblem(await alice.patch('/v1/users/me', { username: uniqueName() }), 400, 'unknown_field', 'username');
  expectProblem(await alice.patch('/v1/users/me', { id: '1' }), 400, 'unknown_field', 'id');
});

test('users are found by their exact name, in any case', async () => {
  const [alice, bob] = [await register(server, 'alice'), await register(server, 'bob')];
  for (const name of [alice.username, alice.username.toUpperCase()]) {
    const list = expectStatus(await bob.get(`/v1/users?username=${name}`), 200);
    checkList(list);
    assert.deepEqual(list.items, [alice.user]);
    assert.equal(list.next, null);
  }
  const beginning = alice.username.slice(0, -1);
  for (const name of [beginning, `${beginning}%25`, `${beginning}_`, uniqueName()]) {
    assert.deepEqual(expectStatus(await bob.get(`/v1/users?username=${name}`), 200).items, [], name);
  }
});

test('looking up without a name is refused, not an invitation to list everybody', async () => {
  const alice = await register(server);
  expectProblem(await alice.get('/v1/users'), 400, 'bad_query', 'username');
});

test('a user who does not exist is a 404', async () => {
  const alice = await register(server);
  expectProblem(await alice.get('/v1/users/9223372036854775807'), 404, 'not_found');
});

test('the id of a chat is not the id of a user', async () => {
  const alice = await register(server);
  const chat = await createGroup(alice);
  expectProblem(await alice.get(`/v1/users/${chat.id}`), 404, 'not_found');
});

test('ids of users made at once are all different, and later ones are higher', async () => {
  const wave = () => Promise.all(Array.from({ length: 10 }, () => register(server)));
  const first = (await wave()).map((account) => BigInt(account.id));
  const second = (await wave()).map((account) => BigInt(account.id));
  assert.equal(new Set([...first, ...second]).size, 20);
  const highestBefore = first.reduce((a, b) => (a > b ? a : b));
  assert.ok(second.every((id) => id > highestBefore));
});

test('neither a password nor a token is kept on disk or logged', async () => {
  const password = `secret-${uniqueName()}`;
  const alice = await register(server, 'alice', { password });
  expectStatus(await alice.get('/v1/users/me'), 200);
  for (const secret of [password, alice.token, Buffer.from(alice.token, 'base64url')]) {
    assert.equal(server.dataContains(secret), false);
  }
  assert.ok(server.dataContains(alice.username), 'the search itself must find what is there');
  const log = server.stderr.join('\n');
  assert.ok(!log.includes(password) && !log.includes(alice.token));
});

test('a closed server registers nobody', async (t) => {
  const closed = await startServerFor(t, { env: { PARLEY_REGISTRATION: 'closed' } });
  const client = new Client(closed);
  expectProblem(await client.post('/v1/users', registration()), 403, 'registration_closed');
  expectProblem(await client.post('/v1/users', registration({ invite: 'anything' })), 403, 'registration_closed');
});

test('an invited server registers those who bring a code, as often as it says', async (t) => {
  const invited = await startServerFor(t, { env: { PARLEY_REGISTRATION: 'invite' } });
  const client = new Client(invited);
  const join = (fields) => client.post('/v1/users', registration(fields));
  const invite = await newInvite(invited, '--uses', '2');

  const without = await join({});
  assert.ok([400, 403].includes(without.status), without.text);
  expectProblem(without, without.status, ['missing_field', 'bad_invite'], 'invite');
  expectProblem(await join({ invite: 'wrong' }), 403, 'bad_invite', 'invite');

  const first = expectStatus(await join({ invite }), 201);
  expectProblem(await join({ invite, username: first.user.username }), 409, 'username_taken', 'username');
  expectProblem(await join({ invite, password: 'short' }), 400, 'bad_field', 'password');
  expectStatus(await join({ invite }), 201);
  expectProblem(await join({ invite }), 403, 'bad_invite', 'invite');
});

test('an invite for one is not used twice, even at the same moment', async (t) => {
  const invited = await startServerFor(t, { env: { PARLEY_REGISTRATION: 'invite' } });
  const invite = await newInvite(invited, '--uses', '1');
  const client = new Client(invited);
  const tries = Array.from({ length: 8 }, () => client.post('/v1/users', registration({ invite })));
  const statuses = (await Promise.all(tries)).map((answer) => answer.status).sort();
  assert.deepEqual(statuses, [201, ...Array(7).fill(403)]);
});

async function newInvite(target, ...options) {
  const { code, stdout, stderr } = await target.parley(['user', 'invite', ...options]);
  assert.equal(code, 0, stderr);
  return stdout.trim().split(/\s+/).at(-1);
}
