// Rate limits, log-in attempts and the bounded queue before the writer.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, PASSWORD, createGroup, expectProblem, expectStatus, register, registerMany, wholeHistory } from '../support/client.mjs';
import { startServerFor } from '../support/server.mjs';
import { eventually } from '../support/wait.mjs';

// Limits on, all of them far away; a test pulls one of them near.
const FAR = {
  PARLEY_RATE_LIMIT: 'on',
  PARLEY_RATE_USER: '10000',
  PARLEY_RATE_ADDRESS: '10000',
  PARLEY_RATE_LOGIN: '10000',
};

const limited = (t, env) => startServerFor(t, { env: { ...FAR, ...env } });

// Asks until the answer is 429; returns how many were answered before.
async function countUntilLimited(ask, most) {
  for (let count = 0; count < most; count++) {
    const answer = await ask(count);
    if (answer.status !== 429) continue;
    expectProblem(answer, 429, 'rate_limited');
    return count;
  }
  return most;
}

test('a user may ask so much, then waits, and disturbs nobody else', async (t) => {
  const server = await limited(t, { PARLEY_RATE_USER: '2' });
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const count = await countUntilLimited(() => alice.get('/v1/users/me'), 60);
  assert.ok(count >= 6 && count <= 20, `${count} requests, not about a burst of 4 x 2`);
  expectStatus(await bob.get('/v1/users/me'), 200);
  const refused = await alice.get('/v1/users/me');
  if (refused.status === 429) assert.ok(Number(refused.headers['retry-after']) <= 5, refused.headers['retry-after']);
  await eventually(async () => (await alice.get('/v1/users/me')).status === 200, 'the limit refills');
});

test("a user's limit counts all devices together", async (t) => {
  const server = await limited(t, { PARLEY_RATE_USER: '2' });
  const phone = await register(server, 'alice');
  const { access_token } = expectStatus(
    await new Client(server).post('/v1/sessions', { username: phone.username, password: PASSWORD }), 201);
  const laptop = new Client(server, access_token);
  const count = await countUntilLimited((i) => (i % 2 ? phone : laptop).get('/v1/users/me'), 60);
  assert.ok(count <= 20, `${count} requests`);
});

test('the headers count down', async (t) => {
  const server = await limited(t, { PARLEY_RATE_USER: '5' });
  const alice = await register(server, 'alice');
  const answers = [];
  for (let i = 0; i < 5; i++) answers.push(await alice.get('/v1/users/me'));
  for (const { headers } of answers) {
    for (const name of ['ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset']) assert.match(headers[name] ?? '', /^\d+$/, name);
    assert.ok(Number(headers['ratelimit-remaining']) < Number(headers['ratelimit-limit']));
  }
  const remaining = answers.map((answer) => Number(answer.headers['ratelimit-remaining']));
  // It refills meanwhile, and much of it when the machine stands still in between.
  assert.ok(remaining.some((left, i) => left < remaining[i - 1]), JSON.stringify(remaining));
});

test('a refused request does nothing', async (t) => {
  const server = await limited(t, { PARLEY_RATE_USER: '3' });
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  const tries = 60;
  let accepted = 0;
  for (let i = 0; i < tries; i++) {
    const answer = await alice.post(`/v1/chats/${chat.id}/messages`, { text: `${i}` });
    if (answer.status === 201) accepted += 1;
    else expectProblem(answer, 429, 'rate_limited');
  }
  assert.ok(accepted < tries);
  const answer = await eventually(async () => {
    const asked = await alice.get(`/v1/chats/${chat.id}`);
    return asked.status !== 429 && asked;
  }, 'the limit refills');
  assert.equal(expectStatus(answer, 200).last_seq, accepted);
});

test('an address may ask so much without a token; health is always answered', async (t) => {
  const server = await limited(t, { PARLEY_RATE_ADDRESS: '3' });
  const anonymous = new Client(server);
  const count = await countUntilLimited(() => anonymous.get('/v1/users/me'), 80);
  assert.ok(count >= 3 && count <= 30, `${count} requests`);
  expectStatus(await anonymous.get('/healthz'), 200);
});

test('without a trusted proxy X-Forwarded-For changes nothing', async (t) => {
  const server = await limited(t, { PARLEY_RATE_ADDRESS: '3' });
  const ask = (i) => new Client(server).get('/v1/users/me', { headers: { 'X-Forwarded-For': `192.0.2.${i}` } });
  assert.ok((await countUntilLimited(ask, 80)) <= 30);
});

test('behind a trusted proxy the last entry of X-Forwarded-For is the client', async (t) => {
  const server = await limited(t, { PARLEY_RATE_ADDRESS: '3', PARLEY_TRUSTED_PROXY: 'on' });
  const ask = (forwarded) => new Client(server).get('/v1/users/me', { headers: { 'X-Forwarded-For': forwarded } });
  const count = await countUntilLimited((i) => ask(`203.0.113.${i}, 192.0.2.1`), 80);
  assert.ok(count <= 30, 'the first entry is whatever the client says');
  expectProblem(await ask('203.0.113.1, 192.0.2.2'), 401, 'unauthorized');
});

// Log-in attempts; behind a proxy, so that the address can be chosen.
function attempt(server, username, password, address) {
  const headers = { 'X-Forwarded-For': address };
  return new Client(server).post('/v1/sessions', { username, password }, { headers });
}

test('guessing the password of one account from many addresses is stopped', async (t) => {
  const server = await limited(t, { PARLEY_RATE_LOGIN: '4', PARLEY_TRUSTED_PROXY: 'on' });
  const [alice, bob] = await registerManyFrom(server, '192.0.2.200', 'alice', 'bob');
  const guess = (i) => attempt(server, alice.username, `wrong guess ${i}`, `192.0.2.${i}`);
  const count = await countUntilLimited(guess, 40);
  assert.ok(count >= 3 && count <= 16, `${count} guesses`);
  const right = await attempt(server, alice.username, PASSWORD, '192.0.2.100');
  expectProblem(right, 429, 'rate_limited');
  expectStatus(await attempt(server, bob.username, PASSWORD, '192.0.2.101'), 201);
});

test('guessing from one address through many accounts is stopped', async (t) => {
  const server = await limited(t, { PARLEY_RATE_LOGIN: '4', PARLEY_TRUSTED_PROXY: 'on' });
  const [alice] = await registerManyFrom(server, '192.0.2.200', 'alice');
  const guess = (i) => attempt(server, `account-${i}`, 'wrong guess', '192.0.2.1');
  const count = await countUntilLimited(guess, 40);
  assert.ok(count >= 3 && count <= 16, `${count} guesses`);
  expectStatus(await attempt(server, alice.username, PASSWORD, '192.0.2.2'), 201);
});

// Registers each user from an address of its own, so that registering uses up nothing a test counts.
async function registerManyFrom(server, firstAddress, ...names) {
  const [prefix, last] = [firstAddress.slice(0, firstAddress.lastIndexOf('.')), Number(firstAddress.split('.').at(-1))];
  const answers = await Promise.all(names.map((name, index) => {
    const username = `${name}-${Date.now().toString(36)}`;
    const headers = { 'X-Forwarded-For': `${prefix}.${last + index}` };
    return new Client(server).post('/v1/users', { username, password: PASSWORD }, { headers });
  }));
  return answers.map((answer) => expectStatus(answer, 201).user);
}

test('with limits off nothing is limited and nothing is said about limits', async (t) => {
  const server = await limited(t, { PARLEY_RATE_LIMIT: 'off', PARLEY_RATE_USER: '1', PARLEY_RATE_ADDRESS: '1', PARLEY_RATE_LOGIN: '1' });
  const alice = await register(server, 'alice');
  const answers = await Promise.all(Array.from({ length: 100 }, () => alice.get('/v1/users/me')));
  for (const answer of answers) {
    expectStatus(answer, 200);
    assert.equal(answer.headers['ratelimit-limit'], undefined);
  }
});

test('a full queue before the writer answers 503 at once, and loses nothing it accepted', async (t) => {
  const server = await limited(t, { PARLEY_QUEUE_MAX: '1', PARLEY_CLEANUP_INTERVAL: '0' });
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  const accepted = [];
  let refused = 0;
  for (let round = 0; round < 10 && refused === 0; round++) {
    const posts = Array.from({ length: 150 }, (_, i) => alice.post(`/v1/chats/${chat.id}/messages`, { text: `${round}/${i}` }));
    for (const answer of await Promise.all(posts)) {
      if (answer.status === 201) accepted.push(answer.body.id);
      else refused += Boolean(expectProblem(answer, 503, 'overloaded'));
    }
  }
  assert.ok(refused > 0, 'the queue was never full');
  assert.ok(accepted.length > 0);
  const kept = (await wholeHistory(alice, chat)).map((message) => message.id);
  assert.deepEqual(kept, accepted.sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1)));
});
