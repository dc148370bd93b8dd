// Who is told, by whispers, that somebody has got or read messages.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  createDirect, createGroup, expectStatus, logIn, markRead, postMany, postMessage, registerMany, removeMember,
} from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { allStored } from '../support/marks.mjs';
import { startServer, startServerFor } from '../support/server.mjs';
import { checkReceipt } from '../support/shapes.mjs';

// Heartbeats are how a test knows that a stream is caught up.
const ENV = { PARLEY_HEARTBEAT: '100ms' };
const server = await startServer({ env: ENV });
after(() => server.dispose());

// Streams that hear whispers: they have said so by a heartbeat.
async function listen(t, target, ...accounts) {
  const streams = await Promise.all(accounts.map((account) => openReadyFor(t, target, { token: account.token })));
  for (const stream of streams) await stream.heartbeat();
  return streams;
}

async function nextReceipt(stream) {
  const { frame, type, ...receipt } = (await stream.until((event) => event.type === 'receipt')).at(-1);
  checkReceipt({ type, ...receipt });
  assert.equal(frame.id, undefined);
  return receipt;
}

// The receipt of that much. Marks that follow each other fast are told of together, unless something took its time between them.
async function receiptUpTo(stream, seq) {
  for (;;) {
    const receipt = await nextReceipt(stream);
    if (!(receipt.read_seq < seq)) return receipt;
  }
}

// The receipts that came until everything that was said before is stored and told: afterwards `witness`, who may hear them, hears of one more.
async function receiptsUntilNow(target, stream, { sender, reader, chat, witness }) {
  await allStored(target);
  const { seq } = await postMessage(sender, chat, 'until now');
  await markRead(reader, chat, seq);
  await witness.until((event) => event.type === 'receipt' && event.user_id === reader.id && event.read_seq === seq);
  const message = await postMessage(sender, chat, 'and now');
  const events = await stream.until((event) => event.message?.id === message.id);
  return events.filter((event) => event.type === 'receipt' && event.read_seq !== seq);
}

async function scene(target = server) {
  const [alice, bob, carol] = await registerMany(target, 'alice', 'bob', 'carol');
  return { alice, bob, carol, chat: await createGroup(alice, [bob, carol]) };
}

test('the others learn how far somebody has read, and the own devices what is left', async (t) => {
  const { alice, bob, chat } = await scene();
  const other = await createDirect(alice, bob);
  const tablet = await logIn(bob);
  await postMany(alice, chat, 5);
  await postMany(alice, other, 2);
  const [sender, phone, second] = await listen(t, server, alice, bob, tablet);
  for (const seq of [1, 2, 4]) await markRead(bob, chat, seq);
  assert.deepEqual(await receiptUpTo(sender, 4), { chat_id: chat.id, user_id: bob.id, read_seq: 4 });
  for (const stream of [phone, second]) {
    assert.deepEqual(await receiptUpTo(stream, 4), { chat_id: chat.id, user_id: bob.id, read_seq: 4, unread_total: 3 });
  }
});

test('the senders learn what was delivered, in the chats that it is about', async (t) => {
  const { alice, bob, carol, chat } = await scene();
  const other = await createDirect(bob, carol);
  const quiet = await createDirect(alice, bob);
  await postMessage(carol, other, 'before');
  const message = await postMessage(alice, chat, 'for all');
  const [sender, third] = await listen(t, server, alice, carol);
  expectStatus(await bob.post('/v1/events/ack', { id: message.id }), 204);
  assert.deepEqual(await nextReceipt(sender), { chat_id: chat.id, user_id: bob.id, delivered_id: message.id });
  const heard = [await nextReceipt(third), await nextReceipt(third)];
  assert.deepEqual(heard.map((receipt) => receipt.chat_id).sort(), [chat.id, other.id].sort());
  const next = await postMessage(alice, quiet, 'for one');
  await openReadyFor(t, server, { token: bob.token, lastEventId: next.id });
  assert.deepEqual(await nextReceipt(sender), { chat_id: quiet.id, user_id: bob.id, delivered_id: next.id });
});

test('posting tells nobody what its sender has read', async (t) => {
  const { alice, bob, carol, chat } = await scene();
  const [sender] = await listen(t, server, alice);
  await postMany(bob, chat, 3);
  const heard = await receiptsUntilNow(server, sender, { sender: alice, reader: carol, chat, witness: sender });
  assert.deepEqual(heard, []);
});

test('who has switched receipts off tells nobody, is told nothing, and still clears the own devices', async (t) => {
  const { alice, bob, carol, chat } = await scene();
  const dave = (await registerMany(server, 'dave'))[0];
  const wide = await createGroup(alice, [bob, carol, dave]);
  const tablet = await logIn(bob);
  expectStatus(await bob.patch('/v1/users/me', { receipts: false }), 200);
  const messages = await postMany(alice, wide, 2);
  const [sender, hiding, third] = await listen(t, server, alice, tablet, carol);
  await markRead(bob, wide, 2);
  expectStatus(await bob.post('/v1/events/ack', { id: messages[1].id }), 204);
  assert.deepEqual(await nextReceipt(hiding), { chat_id: wide.id, user_id: bob.id, read_seq: 2, unread_total: 0 });
  await markRead(dave, wide, 1);
  for (const stream of [sender, third]) assert.deepEqual(await nextReceipt(stream), { chat_id: wide.id, user_id: dave.id, read_seq: 1 });
  const heard = await receiptsUntilNow(server, hiding, { sender: alice, reader: carol, chat: wide, witness: sender });
  assert.deepEqual(heard, []);
  assert.ok(chat.id);
});

test('who has left a chat hears nothing of it', async (t) => {
  const { alice, bob, carol, chat } = await scene();
  const other = await createDirect(alice, carol);
  await postMany(alice, chat, 2);
  const [sender, left] = await listen(t, server, alice, carol);
  await removeMember(alice, chat, carol);
  await left.next('member.removed');
  await markRead(bob, chat, 2);
  assert.deepEqual(await nextReceipt(sender), { chat_id: chat.id, user_id: bob.id, read_seq: 2 });
  const message = await postMessage(alice, other, 'until now');
  const events = await left.until((event) => event.message?.id === message.id);
  assert.deepEqual(events.filter((event) => event.type === 'receipt'), []);
});

test('in large chats only the own devices are told', async (t) => {
  const own = await startServerFor(t, { env: { ...ENV, PARLEY_RECEIPTS_MEMBERS_MAX: '2' } });
  const { alice, bob, chat } = await scene(own);
  const direct = await createDirect(alice, bob);
  const tablet = await logIn(bob);
  await postMany(alice, chat, 2);
  await postMany(alice, direct, 2);
  const [sender, second] = await listen(t, own, alice, tablet);
  await markRead(bob, chat, 2);
  assert.deepEqual(await nextReceipt(second), { chat_id: chat.id, user_id: bob.id, read_seq: 2, unread_total: 2 });
  await markRead(bob, direct, 2);
  assert.deepEqual(await nextReceipt(sender), { chat_id: direct.id, user_id: bob.id, read_seq: 2 });
});
