// The numbers of nodes, which are in the ids of users, devices, chats and media: no two nodes make the same id, whatever they are called, however long one of
// them stood still, and wherever their clocks are.
//
// Needs a MariaDB server, which PARLEY_TEST_DB names.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, expectStatus, PASSWORD, register, uniqueName } from '../support/client.mjs';
import { createDatabase } from '../support/database.mjs';
import { FAULT_BINARY, startServer } from '../support/server.mjs';
import { eventually } from '../support/wait.mjs';

const skip = process.env.PARLEY_TEST_DB ? false : 'PARLEY_TEST_DB names no MariaDB server';
const noClock = FAULT_BINARY ? skip : 'PARLEY_FAULT_BINARY names no build with a clock that can be moved';

const EPOCH_MS = Date.UTC(2024, 0, 1);
const HOUR_MS = 3_600_000;
const FAR_MS = Date.UTC(2100, 0, 1);
const IN_THE_PAST = 1;

const numberOf = (id) => Number((BigInt(id) >> 12n) & 1023n);
const timeOf = (id) => Number(BigInt(id) >> 22n) + EPOCH_MS;

// A database that goes with the test, after its nodes.
function databaseFor(t) {
  const database = createDatabase();
  const nodes = [];
  t.after(async () => {
    for (const node of nodes) await node.dispose();
    database.drop();
  });
  return Object.assign(database, { nodes });
}

// All are called the same.
async function startNode(database, options = {}) {
  const node = await startServer({ ...options, env: { PARLEY_DB: database.url, PARLEY_NODE: 'twin' } });
  database.nodes.push(node);
  return node;
}

const newId = async (node) => (await register(node)).id;

const tryRegister = (node) => new Client(node).post('/v1/users', { username: uniqueName('user'), password: PASSWORD });

const leases = (database) => database.query("SELECT name FROM lease WHERE name LIKE 'node.%'").trim().split('\n');

// Strangers have all the numbers that nobody had so far.
const takeTheRest = (database) =>
  database.query(`INSERT IGNORE INTO lease(name, holder, until_ms) SELECT concat('node.', seq), 2, ${FAR_MS} FROM seq_0_to_1023`);

const endLease = (database, number) => database.query(`UPDATE lease SET until_ms = ${IN_THE_PAST} WHERE name = 'node.${number}'`);

test('nodes of the same name make different ids', { skip }, async (t) => {
  const database = databaseFor(t);
  const nodes = await Promise.all([1, 2, 3, 4].map(() => startNode(database)));
  const made = await Promise.all(nodes.map((node) => Promise.all(Array.from({ length: 20 }, () => newId(node)))));
  assert.equal(new Set(made.flat()).size, 80);
  const numbers = made.map((ids) => [...new Set(ids.map(numberOf))]);
  for (const each of numbers) assert.equal(each.length, 1);
  assert.equal(new Set(numbers.flat()).size, nodes.length);
  for (const node of nodes) assert.match(await (await fetch(`${node.origin}/metrics`)).text(), /^parley_info\{node="twin"\} 1$/m);
});

test('a node that stood still while another took its number makes no id with it', { skip }, async (t) => {
  const database = databaseFor(t);
  const frozen = await startNode(database);
  const number = numberOf(await newId(frozen));
  frozen.signal('SIGSTOP');
  takeTheRest(database);
  endLease(database, number);
  const other = await startNode(database);
  const ids = [await newId(other)];
  assert.equal(numberOf(ids[0]), number);
  frozen.signal('SIGCONT');
  expectStatus(await tryRegister(frozen), 503);
  endLease(database, 1000);
  const next = await newId(frozen);
  assert.equal(numberOf(next), 1000);
  ids.push(await newId(other));
  assert.equal(numberOf(ids[1]), number);
  assert.equal(new Set([...ids, next]).size, 3);
});

test('when all numbers are taken everything else goes on', { skip }, async (t) => {
  const database = databaseFor(t);
  const nodes = [await startNode(database), await startNode(database)];
  const alice = await register(nodes[0], 'alice');
  takeTheRest(database);
  expectStatus(await tryRegister(nodes[1]), 503);
  const elsewhere = new Client(nodes[1], alice.token);
  expectStatus(await elsewhere.patch('/v1/users/me', { display_name: 'Alice' }), 200);
  expectStatus(await tryRegister(nodes[0]), 201);
});

test('a number goes back with a clean stop and not with a kill', { skip }, async (t) => {
  const database = databaseFor(t);
  const first = await startNode(database);
  const number = numberOf(await newId(first));
  takeTheRest(database);
  await first.stop();
  const second = await startNode(database);
  assert.equal(numberOf(await newId(second)), number);
  await second.kill();
  const third = await startNode(database);
  expectStatus(await tryRegister(third), 503);
  endLease(database, number);
  assert.equal(numberOf(await newId(third)), number);
});

test('ids go on above those of a node whose clock was ahead', { skip: noClock }, async (t) => {
  const database = databaseFor(t);
  const early = await startNode(database, { clock: true });
  early.advanceClock(HOUR_MS);
  let before;
  await eventually(async () => timeOf((before = await newId(early))) > Date.now() + HOUR_MS / 2, 'the node makes ids of an hour from now');
  takeTheRest(database);
  await early.stop();
  const next = await startNode(database);
  const after = await newId(next);
  assert.equal(numberOf(after), numberOf(before));
  assert.ok(BigInt(after) > BigInt(before));
  assert.equal(leases(database).length, 1024);
});
