// Chats whose messages disappear when everybody has them: what devices acknowledge, and which devices are waited for.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, test } from 'node:test';
import { checkChain } from '../support/chain.mjs';
import { NO_CLOCK, cleanUp, startManual } from '../support/cleanup.mjs';
import {
  addMember, createGroup, expectProblem, expectStatus, logIn, postMany, postMessage, register, registerMany, removeMember, wholeHistory,
} from '../support/client.mjs';
import { allStored } from '../support/marks.mjs';
import { openReadyFor } from '../support/events.mjs';
import { DAY_MS, advance } from '../support/expiring.mjs';
import { getMedia, upload } from '../support/media.mjs';
import { startServer } from '../support/server.mjs';
import { checkDeletedMessage } from '../support/shapes.mjs';
import { eventually } from '../support/wait.mjs';

const SECRET = 'delivered-words-c41d';

const server = await startServer({ env: { PARLEY_CLEANUP_INTERVAL: '0' } });
after(() => server.dispose());

async function acknowledge(device, id) {
  expectStatus(await device.post('/v1/events/ack', { id }), 204);
}

async function scene(target = server, fields = {}) {
  const [alice, bob] = await registerMany(target, 'alice', 'bob');
  const chat = await createGroup(alice, [bob], { until_delivered: true, ...fields });
  return { alice, bob, chat };
}

// The texts that are left after a cleanup; null for what is gone.
async function textsLeft(target, reader, chat) {
  await cleanUp(target);
  return (await wholeHistory(reader, chat)).map((message) => message.text ?? null);
}

test('a message goes when every device of every member has acknowledged it', async (t) => {
  const { alice, bob, chat } = await scene();
  const tablet = await logIn(bob);
  const { as_of } = expectStatus(await bob.get('/v1/chats'), 200);
  const message = await postMessage(alice, chat, 'read me');
  for (const device of [alice, bob]) {
    assert.deepEqual(await textsLeft(server, bob, chat), ['read me']);
    await acknowledge(device, message.id);
  }
  assert.deepEqual(await textsLeft(server, bob, chat), ['read me']);
  await acknowledge(tablet, message.id);
  assert.deepEqual(await textsLeft(server, bob, chat), [null]);
  const [gone] = await wholeHistory(alice, chat);
  checkDeletedMessage(gone);
  assert.deepEqual([gone.id, gone.seq, gone.chain], [message.id, message.seq, message.chain]);
  checkChain([gone]);
  const replay = await openReadyFor(t, server, { token: tablet.token, lastEventId: as_of });
  assert.deepEqual((await replay.next('message.created')).message, gone);
  assert.equal((await postMessage(alice, chat, 'next')).seq, 2);
});

test('what is not acknowledged stays, in every other chat as well', async () => {
  const { alice, bob, chat } = await scene();
  const usual = await createGroup(alice, [bob]);
  const messages = await postMany(alice, chat, 4);
  await postMany(alice, usual, 2);
  await acknowledge(alice, (await postMessage(alice, usual, 'last')).id);
  await acknowledge(bob, messages[1].id);
  assert.deepEqual(await textsLeft(server, alice, chat), [null, null, 'message 3', 'message 4']);
  assert.deepEqual(await textsLeft(server, alice, usual), ['message 1', 'message 2', 'last']);
  await acknowledge(bob, messages[2].id);
  assert.deepEqual(await textsLeft(server, bob, chat), [null, null, null, 'message 4']);
});

test('an acknowledgement never goes back', async () => {
  const { alice, bob, chat } = await scene();
  const messages = await postMany(alice, chat, 3);
  for (const device of [alice, bob]) {
    await acknowledge(device, messages[2].id);
    await acknowledge(device, messages[0].id);
    await acknowledge(device, '1');
  }
  assert.deepEqual(await textsLeft(server, alice, chat), [null, null, null]);
});

test('a new device is not waited for what came before it', async () => {
  const { alice, bob, chat } = await scene();
  const before = await postMessage(alice, chat, 'before');
  const tablet = await logIn(bob);
  const later = await postMessage(alice, chat, 'later');
  for (const device of [alice, bob]) await acknowledge(device, later.id);
  assert.deepEqual(await textsLeft(server, bob, chat), [null, 'later']);
  assert.ok(BigInt(before.id) < BigInt(later.id));
  await acknowledge(tablet, later.id);
  assert.deepEqual(await textsLeft(server, bob, chat), [null, null]);
});

test('a device that is removed is not waited for', async () => {
  const { alice, bob, chat } = await scene();
  const tablet = await logIn(bob);
  const message = await postMessage(alice, chat, 'read me');
  for (const device of [alice, bob]) await acknowledge(device, message.id);
  assert.deepEqual(await textsLeft(server, bob, chat), ['read me']);
  expectStatus(await bob.delete(`/v1/devices/${tablet.device.id}`), 204);
  assert.deepEqual(await textsLeft(server, bob, chat), [null]);
});

test('who has left is waited for, up to the leaving', async () => {
  const { alice, bob, chat } = await scene();
  const message = await postMessage(alice, chat, 'before');
  await removeMember(alice, chat, bob);
  const later = await postMessage(alice, chat, 'later');
  await acknowledge(alice, later.id);
  assert.deepEqual(await textsLeft(server, alice, chat), ['before', 'later']);
  await acknowledge(bob, message.id);
  assert.equal((await textsLeft(server, alice, chat))[0], null);
  await acknowledge(bob, later.id);
  assert.deepEqual(await textsLeft(server, alice, chat), [null, null]);
});

test('who joins is waited for from then on', async () => {
  const { alice, bob, chat } = await scene();
  const carol = await register(server, 'carol');
  const before = await postMessage(alice, chat, 'before');
  await addMember(alice, chat, carol);
  const later = await postMessage(alice, chat, 'later');
  for (const device of [alice, bob]) await acknowledge(device, later.id);
  assert.equal((await textsLeft(server, alice, chat))[1], 'later');
  await acknowledge(carol, later.id);
  assert.deepEqual(await textsLeft(server, alice, chat), [null, null]);
  assert.ok(before.id);
});

test('switched on later it counts for all messages, and switched off for none', async () => {
  const { alice, bob, chat } = await scene(server, { until_delivered: false });
  const switchTo = async (until_delivered) => expectStatus(await alice.patch(`/v1/chats/${chat.id}`, { until_delivered }), 200);
  const first = await postMessage(alice, chat, 'first');
  for (const device of [alice, bob]) await acknowledge(device, first.id);
  assert.deepEqual(await textsLeft(server, bob, chat), ['first']);
  await switchTo(true);
  assert.deepEqual(await textsLeft(server, bob, chat), [null]);
  await switchTo(false);
  const second = await postMessage(alice, chat, 'second');
  for (const device of [alice, bob]) await acknowledge(device, second.id);
  assert.deepEqual(await textsLeft(server, bob, chat), [null, 'second']);
});

test('what is acknowledged is an id of the log, and not of its future', async () => {
  const { alice, chat } = await scene();
  const { id } = await postMessage(alice, chat, 'head');
  for (const bad of ['0', '', 'x', '01', '-1', 1, null, true, ['1'], '9223372036854775808']) {
    expectProblem(await alice.post('/v1/events/ack', { id: bad }), 400, 'bad_field', 'id');
  }
  for (const future of ['9223372036854775807', String(BigInt(id) + (1n << 32n))]) {
    expectProblem(await alice.post('/v1/events/ack', { id: future }), 400, 'bad_field', 'id');
  }
  expectProblem(await alice.post('/v1/events/ack', {}), 400, 'missing_field', 'id');
  expectProblem(await alice.post('/v1/events/ack', { id, chat_id: chat.id }), 400, 'unknown_field', 'chat_id');
  await acknowledge(alice, id);
  await acknowledge(alice, id);
});

test('text and file are gone from the disk', async (t) => {
  const own = await startManual(t, { PARLEY_MEDIA_GRACE: '0', PARLEY_MEDIA_UPLOAD_TTL: '4s' });
  const { alice, bob, chat } = await scene(own);
  const marker = randomBytes(500);
  const media = await upload(alice, marker);
  const message = await postMessage(alice, chat, SECRET, { attachments: [media.id] });
  await getMedia(bob, media.id);
  assert.ok(own.dataContains(marker) && own.dataContains(SECRET));
  for (const device of [alice, bob]) await acknowledge(device, message.id);
  await eventually(async () => {
    await cleanUp(own);
    return !own.dataContains(marker);
  }, 'the file is gone');
  assert.equal(own.dataContains(SECRET), false);
  expectProblem(await bob.get(`/v1/media/${media.id}`), 404, 'not_found');
});

test('acknowledgements survive a stop and, within a second, a kill', async (t) => {
  const own = await startManual(t);
  const { alice, bob, chat } = await scene(own);
  const message = await postMessage(alice, chat, SECRET);
  for (const device of [alice, bob]) await acknowledge(device, message.id);
  await allStored(own);
  await own.kill();
  await own.restart();
  assert.deepEqual(await textsLeft(own, bob, chat), [null]);
  assert.equal(own.dataContains(SECRET), false);
  const later = await postMessage(alice, chat, SECRET);
  for (const device of [alice, bob]) await acknowledge(device, later.id);
  await own.stop();
  await own.restart();
  assert.deepEqual(await textsLeft(own, bob, chat), [null, null]);
});

test('a device that was not seen for long is not waited for', { skip: NO_CLOCK }, async (t) => {
  const own = await startManual(t, { PARLEY_RETENTION: 'forever', PARLEY_DORMANT_AFTER: '10d' }, true);
  const { alice, bob, chat } = await scene(own);
  await logIn(bob);
  const message = await postMessage(alice, chat, SECRET);
  for (const device of [alice, bob]) await acknowledge(device, message.id);
  await advance(own, 5 * DAY_MS);
  for (const device of [alice, bob]) expectStatus(await device.get('/v1/users/me'), 200);
  assert.deepEqual(await textsLeft(own, bob, chat), [SECRET]);
  await advance(own, 6 * DAY_MS);
  for (const device of [alice, bob]) expectStatus(await device.get('/v1/users/me'), 200);
  assert.deepEqual(await textsLeft(own, bob, chat), [null]);
  assert.equal(own.dataContains(SECRET), false);
});
