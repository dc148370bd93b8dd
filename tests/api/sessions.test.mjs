// Logging in and out, passwords, and how long a session lives.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Client, PASSWORD, expectProblem, expectStatus, logIn, register } from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { startServer, startServerFor } from '../support/server.mjs';
import { TOKEN, checkKeys } from '../support/shapes.mjs';

const server = await startServer();
after(() => server.dispose());
const anonymous = new Client(server);

const NEW_PASSWORD = 'another long password';

function tryLogIn(username, password, target = anonymous) {
  return target.post('/v1/sessions', { username, password });
}

test('logging in answers a new device and a new token for the same user', async () => {
  const alice = await register(server, 'alice');
  const answer = await anonymous.post('/v1/sessions', { username: alice.username.toUpperCase(), password: PASSWORD, device_name: 'Laptop' });
  const { access_token, user, device } = expectStatus(answer, 201);
  checkKeys(answer.body, ['access_token', 'user', 'device']);
  assert.match(access_token, TOKEN);
  assert.notEqual(access_token, alice.token);
  assert.deepEqual(user, alice.user);
  assert.notEqual(device.id, alice.device.id);
  assert.equal(device.name, 'Laptop');
  expectStatus(await alice.get('/v1/users/me'), 200);
});

test('a wrong password and an unknown user get the same answer', async () => {
  const alice = await register(server, 'alice');
  const wrong = expectProblem(await tryLogIn(alice.username, 'not the password'), 401, 'login_failed');
  const unknown = expectProblem(await tryLogIn(`${alice.username}x`, 'not the password'), 401, 'login_failed');
  assert.deepEqual({ ...wrong, request_id: '' }, { ...unknown, request_id: '' });
});

test('the password counts to its last byte and in its case', async () => {
  const password = `Ä${'x'.repeat(253)}y`;
  const alice = await register(server, 'alice', { password });
  for (const wrong of [password.slice(0, -1), password.toLowerCase(), `${password.slice(0, -1)}z`]) {
    expectProblem(await tryLogIn(alice.username, wrong), 401, 'login_failed');
  }
  expectStatus(await tryLogIn(alice.username, password), 201);
});

test('an unknown user takes as long as a wrong password', async (t) => {
  const slow = await startServerFor(t, { env: { PARLEY_PASSWORD_COST: '13' } });
  const client = new Client(slow);
  const alice = await register(slow, 'alice');
  const wrong = await medianMs(() => tryLogIn(alice.username, 'not the password', client));
  const unknown = await medianMs(() => tryLogIn(`${alice.username}x`, 'not the password', client));
  assert.ok(unknown > 0.4 * wrong, `unknown user ${unknown} ms, wrong password ${wrong} ms`);
});

async function medianMs(request) {
  const times = [];
  for (let i = 0; i < 7; i++) {
    const start = performance.now();
    await request();
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[3];
}

test('hashing passwords does not hold up other requests', async (t) => {
  const slow = await startServerFor(t, { env: { PARLEY_PASSWORD_COST: '15' } });
  const client = new Client(slow);
  let pending = 8;
  const logIns = Array.from({ length: pending }, async () => {
    await tryLogIn('somebody', 'not the password', client);
    pending -= 1;
  });
  expectStatus(await client.get('/healthz'), 200);
  assert.ok(pending > 0, 'the health check waited for every log-in');
  await Promise.all(logIns);
});

test('logging out ends this device and no other', async () => {
  const phone = await register(server, 'alice');
  const laptop = await logIn(phone);
  expectStatus(await laptop.delete('/v1/sessions/current'), 204);
  expectProblem(await laptop.get('/v1/users/me'), 401, 'unauthorized');
  expectProblem(await laptop.delete('/v1/sessions/current'), 401, 'unauthorized');
  const devices = expectStatus(await phone.get('/v1/devices'), 200).items;
  assert.deepEqual(devices.map((device) => device.id), [phone.device.id]);
});

test('changing the password ends the other devices and keeps this one', async (t) => {
  const phone = await register(server, 'alice');
  const laptop = await logIn(phone);
  const phoneStream = await openReadyFor(t, server, { token: phone.token });
  const laptopStream = await openReadyFor(t, server, { token: laptop.token });
  const change = { current_password: PASSWORD, new_password: NEW_PASSWORD };
  expectStatus(await phone.put('/v1/users/me/password', change), 204);

  await laptopStream.closing('password_changed');
  expectProblem(await laptop.get('/v1/users/me'), 401, 'unauthorized');
  const removed = await phoneStream.next('device.removed');
  assert.equal(removed.device.id, laptop.device.id);
  expectStatus(await phone.get('/v1/users/me'), 200);
  expectProblem(await tryLogIn(phone.username, PASSWORD), 401, 'login_failed');
  expectStatus(await tryLogIn(phone.username, NEW_PASSWORD), 201);
});

test('the password changes only for who knows it', async () => {
  const phone = await register(server, 'alice');
  const laptop = await logIn(phone);
  const change = { current_password: 'not the password', new_password: NEW_PASSWORD };
  expectProblem(await phone.put('/v1/users/me/password', change), 403, 'forbidden', 'current_password');
  expectStatus(await laptop.get('/v1/users/me'), 200);
  expectStatus(await tryLogIn(phone.username, PASSWORD), 201);
});

const BAD_CHANGES = [
  [{ current_password: PASSWORD }, 'missing_field', 'new_password'],
  [{ new_password: NEW_PASSWORD }, 'missing_field', 'current_password'],
  [{ current_password: PASSWORD, new_password: '1234567' }, 'bad_field', 'new_password'],
  [{ current_password: PASSWORD, new_password: 'x'.repeat(257) }, 'bad_field', 'new_password'],
  [{ current_password: 5, new_password: NEW_PASSWORD }, 'bad_field', 'current_password'],
];

for (const [body, code, field] of BAD_CHANGES) {
  test(`a password change is refused: ${code} ${field}`, async () => {
    const alice = await register(server, 'alice');
    expectProblem(await alice.put('/v1/users/me/password', body), 400, code, field);
    expectStatus(await tryLogIn(alice.username, PASSWORD), 201);
  });
}

for (const field of ['username', 'password']) {
  test(`logging in needs ${field}`, async () => {
    const body = { username: 'somebody', password: PASSWORD, [field]: undefined };
    expectProblem(await anonymous.post('/v1/sessions', body), 400, 'missing_field', field);
    expectProblem(await anonymous.post('/v1/sessions', { ...body, [field]: 1 }), 400, 'bad_field', field);
  });
}

test('the scheme of the Authorization header is Bearer, in any case', async () => {
  const alice = await register(server, 'alice');
  const ask = (value) => anonymous.get('/v1/users/me', { headers: { Authorization: value } });
  expectStatus(await ask(`bearer ${alice.token}`), 200);
  for (const value of [alice.token, `Basic ${alice.token}`, 'Bearer', 'Bearer ', `Bearer ${alice.token} x`]) {
    expectProblem(await ask(value), 401, 'unauthorized');
  }
});
