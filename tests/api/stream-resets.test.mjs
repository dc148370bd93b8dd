// Tokens that cannot be honoured: the stream says so with `reset` and goes on from the head.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createGroup, expectStatus, logIn, postMany, postMessage, register, registerMany } from '../support/client.mjs';
import { openReady, openReadyFor } from '../support/events.mjs';
import { startServer, startServerFor } from '../support/server.mjs';
import { checkFrame } from '../support/shapes.mjs';

const server = await startServer();
after(() => server.dispose());

// Expects a reset, and that the stream then stands at the head and continues.
async function expectReset(stream, reason, post) {
  const reset = await stream.next('reset');
  checkFrame(reset.frame, 'reset');
  assert.equal(reset.reason, reason);
  assert.equal(reset.id, reset.frame.id);
  assert.equal(stream.ready.id, reset.id, 'ready already names the head');
  assert.deepEqual(reset.reload, ['/v1/chats', '/v1/users/me', '/v1/devices']);
  const message = await post();
  const event = await stream.next('message.created');
  assert.equal(event.message.id, message.id);
  assert.ok(BigInt(event.frame.id) > BigInt(reset.id));
}

async function tryToken(t, lastEventId, reason) {
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  await postMessage(alice, chat, 'not replayed');
  const stream = await openReadyFor(t, server, { token: alice.token, lastEventId });
  await expectReset(stream, reason, () => postMessage(alice, chat, 'after the reset'));
}

const UNREADABLE = ['abc', '-1', '1.5', '0x10', '9223372036854775808', '99999999999999999999', '18446744073709551617', '1 2', '12a'];

for (const token of UNREADABLE) {
  test(`the token ${token} is unreadable`, (t) => tryToken(t, token, 'unreadable'));
}

test('a token beyond the head is from the future', async (t) => {
  const alice = await register(server, 'alice');
  const message = await postMessage(alice, await createGroup(alice), 'head');
  await tryToken(t, (BigInt(message.id) + (1_000_000n << 16n)).toString(), 'future');
  await tryToken(t, '9223372036854775807', 'future');
});

test('a token with another tag is a fork', async (t) => {
  const alice = await register(server, 'alice');
  const message = await postMessage(alice, await createGroup(alice), 'head');
  for (const flip of [1n, 0x8000n, 0xffffn]) await tryToken(t, (BigInt(message.id) ^ flip).toString(), 'fork');
});

test('the same goes for a token in the query', async (t) => {
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  const stream = await openReadyFor(t, server, { token: alice.token, query: { last_event_id: 'abc' } });
  await expectReset(stream, 'unreadable', () => postMessage(alice, chat, 'after'));
});

test('a reset token is itself a good token', async (t) => {
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  const first = await openReady(server, { token: alice.token, lastEventId: 'abc' });
  const reset = await first.next('reset');
  first.cut();
  const message = await postMessage(alice, chat, 'between');
  const second = await openReadyFor(t, server, { token: alice.token, lastEventId: reset.id });
  assert.equal((await second.next('message.created')).message.id, message.id);
});

test('after a backup was restored, devices that had seen more learn of the fork', async (t) => {
  const restored = await startServerFor(t);
  const [alice, bob] = await registerMany(restored, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const [kept] = await postMany(alice, chat, 2, 'kept');
  await restored.stop();
  restored.saveData('backup');

  await restored.restart();
  const lost = await postMany(alice, chat, 3, 'lost');
  await restored.stop();
  restored.restoreData('backup');
  await restored.restart();

  const ahead = await openReady(restored, { token: bob.token, lastEventId: lost[2].id });
  assert.equal((await ahead.next('reset')).reason, 'future');
  ahead.cut();
  await postMany(alice, chat, 4, 'other');
  const forked = await openReady(restored, { token: bob.token, lastEventId: lost[0].id });
  assert.equal((await forked.next('reset')).reason, 'fork');
  forked.cut();
  const fine = await openReadyFor(t, restored, { token: bob.token, lastEventId: kept.id });
  const texts = (await fine.take(5)).map((event) => event.message.text);
  assert.deepEqual(texts, ['kept 2', 'other 1', 'other 2', 'other 3', 'other 4']);
});

test('a device that logged in after the token was made may use it', async (t) => {
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  const message = await postMessage(alice, chat, 'one');
  const { as_of } = expectStatus(await alice.get('/v1/chats'), 200);
  const laptop = await logIn(alice);
  const later = await postMessage(alice, chat, 'two');
  const stream = await openReadyFor(t, server, { token: laptop.token, lastEventId: as_of });
  const created = (await stream.until((event) => event.type === 'message.created')).at(-1);
  assert.equal(created.message.id, later.id);
  assert.notEqual(created.message.id, message.id);
});
