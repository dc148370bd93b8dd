// A node that freezes within a transaction, as a machine that swaps or is paused does: the others go on, and it does, too, when it is back.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { createGroup, postMany, postMessage, register, wholeHistory, Client } from '../support/client.mjs';
import { createDatabase } from '../support/database.mjs';
import { openReadyFor } from '../support/events.mjs';
import { FAULT_BINARY, startServerFor } from '../support/server.mjs';
import { eventually } from '../support/wait.mjs';

const OTHERS_WAIT_MS = 10_000; // idle_write_transaction_timeout is 2 s, and the machine may stand still beside; without it they would wait for the lock's 50 s
const skip = process.env.PARLEY_TEST_DB && FAULT_BINARY ? false : 'needs PARLEY_TEST_DB and a build with faults';

// The same account, asking another node.
const on = (node, account) => Object.assign(new Client(node, account.token), { id: account.id, user: account.user, device: account.device });

// What follows the name in parentheses is the process' state; T: stopped by a signal.
const isFrozen = (node) => readFileSync(`/proc/${node.child.pid}/stat`, 'latin1').replace(/^.*\)\s*/, '')[0] === 'T';

// A node that freezes in one of its next transactions, and one that does not, on one database.
async function startNodes(t, fault) {
  const database = createDatabase();
  const nodes = [];
  t.after(() => nodes[0]?.child?.kill('SIGCONT')); // before it is disposed of
  const env = { PARLEY_DB: database.url, PARLEY_CLEANUP_INTERVAL: '0' };
  nodes.push(await startServerFor(t, { binary: FAULT_BINARY, env: { ...env, PARLEY_FAULT: fault, PARLEY_FAULT_AT: '5' } }));
  nodes.push(await startServerFor(t, { env }));
  t.after(() => database.drop());
  return nodes;
}

// Posts until the node freezes: {posted, pending}, the last a post without an answer.
async function postUntilFrozen(node, sender, chat, headersOf) {
  const posted = [];
  for (let i = 0; i < 50; i++) {
    const text = `before ${i}`;
    const pending = sender.post(`/v1/chats/${chat.id}/messages`, { text }, { headers: headersOf(i) });
    const first = await Promise.race([pending, eventually(() => isFrozen(node), 'the node freezes').then(() => null)]);
    if (first === null) return { posted, pending, text };
    posted.push(first.body);
  }
  throw new Error('the node did not freeze');
}

async function checkFrozen(t, fault, headersOf) {
  const [frozen, other] = await startNodes(t, fault);
  const alice = await register(other, 'alice');
  const chat = await createGroup(alice);
  const stream = await openReadyFor(t, frozen, { token: alice.token });
  const { posted, pending, text } = await postUntilFrozen(frozen, on(frozen, alice), chat, headersOf);

  const startedMs = Date.now();
  const meanwhile = [await postMessage(alice, chat, 'meanwhile')];
  const waitedMs = Date.now() - startedMs;
  assert.ok(waitedMs < OTHERS_WAIT_MS, `the other node waited for ${waitedMs} ms`);
  meanwhile.push(...(await postMany(alice, chat, 5, 'meanwhile')));

  frozen.signal('SIGCONT');
  const answer = await pending;
  assert.ok([201, 503].includes(answer.status), `the frozen post was answered with ${answer.status}`);
  const late = answer.status === 201 ? [answer.body] : [];
  if (headersOf(0)['Idempotency-Key'] && late.length === 0) {
    const repeated = await on(frozen, alice).post(`/v1/chats/${chat.id}/messages`, { text }, { headers: headersOf(posted.length) });
    assert.equal(repeated.status, 201);
    late.push(repeated.body);
  }
  const last = await postMessage(on(frozen, alice), chat, 'last');

  const expected = [...posted, ...meanwhile, ...late, last];
  const history = await wholeHistory(on(frozen, alice), chat);
  assert.deepEqual(history.map((message) => message.id), expected.map((message) => message.id));
  assert.deepEqual(history.map((message) => message.seq), expected.map((_, i) => i + 1));
  const got = [];
  while (got.length < expected.length) got.push((await stream.next('message.created')).message.id);
  assert.deepEqual(got, expected.map((message) => message.id));
}

const withoutKey = () => ({});
const withKey = (i) => ({ 'Idempotency-Key': `before-${i}` });

for (const [fault, place] of [['freeze_with_head', 'when it has taken the head'], ['freeze_before_commit', 'before its commit']]) {
  test(`a node that freezes ${place} lets the others post, and doubles nothing later`, { skip }, (t) => checkFrozen(t, fault, withoutKey));
  test(`a node that freezes ${place}: the post with a key is there once`, { skip }, (t) => checkFrozen(t, fault, withKey));
}
