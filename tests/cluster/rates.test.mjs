// Rate limits over several nodes: shared through Redis, and each node's own while there is none.
//
// Needs a MariaDB server, which PARLEY_TEST_DB names.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Client, createGroup, expectProblem, register } from '../support/client.mjs';
import { startNodesFor } from '../support/nodes.mjs';
import { startRedisFor } from '../support/redis.mjs';
import { REPOSITORY } from '../support/server.mjs';
import { eventually } from '../support/wait.mjs';

const skip = process.env.PARLEY_TEST_DB ? false : 'PARLEY_TEST_DB names no MariaDB server';

const NODES = 4;

// A user's limit, and how many at once.
const RATE = 5;
const BURST = 4 * RATE;

// What nodes that have not heard of each other for 20 ms may give too much, when one request follows the other; on a busy machine more.
const SLACK = 15;

// Waiting for Redis would take so long, and again and again; once, a busy machine may. What all processes stood still for is left out.
const SLOW_MS = 400;
const TICK_MS = 20;

const startLimitedFor = (t, redis, env = {}) =>
  startNodesFor(t, NODES, {
    PARLEY_REDIS: redis.url,
    PARLEY_RATE_LIMIT: 'on',
    PARLEY_RATE_USER: String(RATE),
    PARLEY_RATE_ADDRESS: '100000',
    PARLEY_RATE_LOGIN: '100000',
    ...env,
  });

const on = (node, account) => new Client(node, account.token);

async function metric(node, name) {
  const { text } = await new Client(node).get('/metrics');
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)[1]);
}

const logged = (nodes, event, about) =>
  nodes.every((node) => node.stderr.some((line) => line.includes(`event=${event} `) && line.includes(`for=${about} `)));

// How long this process, which has nothing to do but wait, was not run although its time had come: so long nothing else was, either.
class Pauses {
  #last = performance.now();
  #total_ms = 0;
  #ticking = setInterval(() => this.take(), TICK_MS).unref();

  take() {
    const now = performance.now();
    if (now - this.#last > 3 * TICK_MS) this.#total_ms += now - this.#last;
    this.#last = now;
    return this.#total_ms;
  }

  end() {
    clearInterval(this.#ticking);
  }
}

// Asks one node after the other, without a pause, until `isOver`. Answers how many were refused and how many not, how many were slow, and how long it took.
async function hammer(ask, isOver) {
  const begin = Date.now();
  let admitted = 0;
  let refused = 0;
  let slow = 0;
  const pauses = new Pauses();
  for (let i = 0; !isOver(Date.now() - begin, i); i++) {
    const asked = Date.now();
    const pausedBefore = pauses.take();
    const answer = await ask(i % NODES, i);
    if (Date.now() - asked - (pauses.take() - pausedBefore) >= SLOW_MS) slow++;
    if (answer.status === 429) {
      expectProblem(answer, 429, 'rate_limited');
      refused++;
    } else {
      assert.ok(answer.status < 500, `${answer.status} ${answer.text}`);
      admitted++;
    }
  }
  pauses.end();
  return { admitted, refused, slow, seconds: (Date.now() - begin) / 1000 };
}

const hammerAs = (nodes, account, isOver) => hammer((node) => on(nodes[node], account).get('/v1/users/me'), isOver);

const forSeconds = (seconds) => (elapsed_ms) => elapsed_ms >= seconds * 1000;

// A fresh user takes from the first node all that it gives: do the others know?
async function isShared([first, ...others]) {
  const account = await register(first, 'probe');
  const isRefused = async (node) => (await on(node, account).get('/v1/users/me')).status === 429;
  while (!(await isRefused(first)));
  for (const node of others) {
    let admitted = 0;
    await eventually(async () => (await isRefused(node)) || ++admitted > BURST / 2, 'refused, or given too much');
    if (admitted > BURST / 2) return false;
  }
  return true;
}

test('four nodes together let a user post as much as one would', { skip }, async (t) => {
  const nodes = await startLimitedFor(t, startRedisFor(t));
  const alice = await register(nodes[0], 'alice');
  const chat = await createGroup(alice);
  const path = `/v1/chats/${chat.id}/messages`;
  const { admitted, refused, seconds } = await hammer(
    (node, i) => on(nodes[node], alice).post(path, { text: `message ${i}` }, { headers: { 'Idempotency-Key': `key-${i}` } }),
    forSeconds(4),
  );
  t.diagnostic(`${admitted} posts in ${seconds} s, ${refused} refused`);
  assert.ok(admitted <= BURST + RATE * seconds + SLACK, `${admitted} posts in ${seconds} s`);
  assert.ok(admitted >= BURST + RATE * seconds / 2 - 2, `only ${admitted} posts in ${seconds} s`);
  assert.ok(refused > 0);
});

test('log-in attempts at four nodes count together', { skip }, async (t) => {
  const attempts = 6;
  const nodes = await startLimitedFor(t, startRedisFor(t), { PARLEY_RATE_LOGIN: String(attempts) });
  const { admitted } = await hammer(
    (node) => new Client(nodes[node]).post('/v1/sessions', { username: 'nobody', password: 'wrong password' }),
    (_, i) => i === 60,
  );
  t.diagnostic(`${admitted} attempts`);
  assert.ok(admitted >= attempts && admitted < 3 * attempts, `${admitted} attempts, not about ${attempts}`);
});

test('without Redis each node limits by itself, promptly, and shares again when Redis is back', { skip }, async (t) => {
  const redis = startRedisFor(t);
  const nodes = await startLimitedFor(t, redis);
  await eventually(() => isShared(nodes), 'nodes share');

  redis.kill();
  const without = await hammerAs(nodes, await register(nodes[0], 'alice'), forSeconds(3));
  t.diagnostic(`without Redis ${JSON.stringify(without)}`);
  assert.ok(without.admitted <= NODES * (BURST + RATE * without.seconds) + SLACK, 'never open');
  assert.ok(without.admitted >= BURST && without.refused > 0);
  assert.ok(without.slow <= 1, `${without.slow} slow answers`);
  await eventually(() => logged(nodes, 'redis_lost', 'rates'), 'all nodes say that it is lost');

  redis.restart();
  await eventually(() => isShared(nodes), 'nodes share again');
  await eventually(() => logged(nodes, 'redis_back', 'rates'), 'all nodes say that it is back');
});

test('a Redis that hangs holds up nobody', { skip }, async (t) => {
  const redis = startRedisFor(t);
  const nodes = await startLimitedFor(t, redis);
  await eventually(() => isShared(nodes), 'nodes share');
  redis.freeze();
  const frozen = await hammerAs(nodes, await register(nodes[0], 'alice'), forSeconds(4));
  t.diagnostic(`frozen ${JSON.stringify(frozen)}`);
  assert.ok(frozen.admitted >= BURST && frozen.refused > 0);
  assert.ok(frozen.slow <= 1, `${frozen.slow} slow answers`);
  redis.thaw();
  await eventually(() => isShared(nodes), 'nodes share again');
});

test('Redis holds hashes and numbers, and those only until a bucket is full', { skip }, async (t) => {
  const redis = startRedisFor(t);
  const nodes = await startLimitedFor(t, redis, { PARLEY_RATE_ADDRESS: '10', PARLEY_RATE_LOGIN: '20' });
  const alice = await register(nodes[0], 'alice');
  let entries;
  await eventually(async () => {
    await on(nodes[0], alice).get('/v1/users/me');
    entries = redis.dump().filter(({ type }) => type !== 'none'); // full since its key was listed
    return entries.length >= 3;
  }, 'the buckets of a user and an address in Redis');
  for (const { key, type } of entries) {
    assert.match(key, /^parley:[0-9a-f]{16}:rate:[0-9a-f]{32}$/);
    assert.equal(type, 'string');
  }
  assert.equal(new Set(entries.map(({ key }) => key.slice(0, 23))).size, 1, 'all of one installation');
  for (const { value } of entries) assert.match(value ?? '0', /^\d+$/);
  await eventually(() => redis.dump().length === 0, 'full buckets are gone');
});

test('a user of Redis needs no more rights than README says, and its password is not shown', { skip }, async (t) => {
  const redis = startRedisFor(t, ['--requirepass', 'closed']);
  const rights = /ACL SETUSER parley on >secret (.*)/.exec(readFileSync(path.join(REPOSITORY, 'README.md'), 'utf8'))[1].split(' ');
  redis.command(['acl', 'setuser', 'parley', 'on', '>opensesame', ...rights]);
  const [node] = await startLimitedFor(t, { url: redis.url.replace('redis://', 'redis://parley:opensesame@') });
  const alice = await register(node, 'alice');
  await eventually(async () => {
    await on(node, alice).get('/v1/users/me');
    return (await metric(node, 'parley_rate_notes_sent_total')) > 0;
  }, 'notes are sent');
  assert.deepEqual(redis.command(['acl', 'log']), [], 'nothing was refused');
  assert.ok(!node.stderr.some((line) => /event=rates_refused /.test(line)), node.stderrTail());
  const [shut] = await startLimitedFor(t, { url: redis.url.replace('redis://', 'redis://parley:wrongsesame@') });
  const bob = await register(shut, 'bob');
  await eventually(async () => {
    await on(shut, bob).get('/v1/users/me');
    return logged([shut], 'redis_lost', 'rates');
  }, 'a wrong password is noticed');
  assert.ok(!shut.stderr.join('\n').includes('sesame'));
});

test('where limits are off nothing is sent', { skip }, async (t) => {
  const redis = startRedisFor(t);
  const nodes = await startLimitedFor(t, redis, { PARLEY_RATE_LIMIT: 'off' });
  const alice = await register(nodes[0], 'alice');
  const { admitted } = await hammerAs(nodes, alice, (_, i) => i === 2 * NODES * BURST);
  assert.equal(admitted, 2 * NODES * BURST);
  assert.equal(await metric(nodes[0], 'parley_rate_notes_sent_total'), 0);
  assert.deepEqual(redis.dump(), []);
});
