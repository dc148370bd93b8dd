// Messages that wait for their time: posted once, as the chat is then, whatever stops and starts meanwhile.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createGroup, expectProblem, expectStatus, getOwnChat, postMessage, registerMany, removeMember, addMember, scheduleMessage, wholeHistory } from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { someBytes, upload } from '../support/media.mjs';
import { startServer } from '../support/server.mjs';
import { TIME, checkKeys, checkList } from '../support/shapes.mjs';
import { eventually } from '../support/wait.mjs';

const server = await startServer();
after(() => server.dispose());

const DAY_MS = 24 * 3600 * 1000;
const scheduledOf = (chat) => `/v1/chats/${chat.id}/scheduled`;
const inFuture = (ms) => new Date(Date.now() + ms).toISOString();
const schedule = (account, chat, ms, fields = {}) => scheduleMessage(account, chat, { send_at: inFuture(ms), ...fields });

// For soon. It is asked again with another time when that was over by the time it arrived, because the machine stood still in between.
const scheduleSoon = (account, chat, ms, fields) => eventually(() => schedule(account, chat, ms, fields), 'it is accepted before its time');
const pageOf = async (account, chat, query = '') => {
  const list = expectStatus(await account.get(`${scheduledOf(chat)}${query}`), 200);
  checkList(list);
  return list;
};
const idsOf = async (account, chat) => (await pageOf(account, chat)).items.map(({ id }) => id);
const textsOf = async (account, chat) => (await wholeHistory(account, chat)).map(({ text }) => text);

async function aliceAndBob(fields = {}) {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  return { alice, bob, chat: await createGroup(alice, [bob], fields) };
}

test('it is posted at its time, and the devices of its sender are told', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const first = await postMessage(bob, chat, 'first');
  const mine = await openReadyFor(t, server, { token: alice.token });
  const theirs = await openReadyFor(t, server, { token: bob.token });
  const fields = { text: 'hello @bob', reply_to: first.id, mentions: [{ user_id: bob.id, offset: 6, length: 4 }], ttl_s: 3600 };
  const scheduled = await scheduleSoon(alice, chat, 300, fields);
  checkKeys(scheduled, ['id', 'chat_id', 'send_at', 'created_at', 'text', 'reply_to', 'mentions', 'ttl_s']);
  assert.match(scheduled.send_at, TIME);
  assert.deepEqual(scheduled.mentions, fields.mentions);
  const { message } = await theirs.next('message.created');
  assert.ok(message.created_at >= scheduled.send_at);
  assert.deepEqual([message.text, message.sender_id, message.reply_to.id, message.seq], [fields.text, alice.id, first.id, 2]);
  assert.deepEqual(message.mentions, fields.mentions);
  assert.equal((await mine.next('message.created')).message.id, message.id);
  const sent = await mine.next('scheduled.sent');
  assert.deepEqual([sent.scheduled_id, sent.chat_id, sent.message_id], [scheduled.id, chat.id, message.id]);
  assert.deepEqual(await idsOf(alice, chat), []);
  expectProblem(await alice.delete(`${scheduledOf(chat)}/${scheduled.id}`), 404, 'not_found');
});

test('they are listed by their time, in pages, for their sender alone', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const same = inFuture(2 * DAY_MS);
  const ids = [];
  for (const send_at of [inFuture(3 * DAY_MS), same, same, same, inFuture(DAY_MS)]) ids.push((await schedule(alice, chat, 0, { send_at })).id);
  const order = [ids[4], ids[1], ids[2], ids[3], ids[0]];
  assert.deepEqual(await idsOf(alice, chat), order);
  const seen = [];
  for (let next = ''; next !== null;) {
    const page = await pageOf(alice, chat, `?limit=2${next && `&cursor=${next}`}`);
    assert.ok(page.items.length <= 2);
    seen.push(...page.items.map(({ id }) => id));
    next = page.next;
  }
  assert.deepEqual(seen, order);
  assert.deepEqual(await idsOf(bob, chat), []);
  expectProblem(await bob.delete(`${scheduledOf(chat)}/${ids[0]}`), 404, 'not_found');
  expectStatus(await alice.delete(`${scheduledOf(chat)}/${ids[0]}`), 204);
  assert.deepEqual(await idsOf(alice, chat), order.slice(0, 4));
});

test('times that are over or too far ahead are refused, and so is what cannot be posted', async () => {
  const { alice, chat } = await aliceAndBob();
  const refused = async (fields, field, code = 'bad_field') => expectProblem(await alice.post(scheduledOf(chat), fields), 400, code, field);
  await refused({ text: 'x', send_at: inFuture(-1000) }, 'send_at');
  await refused({ text: 'x', send_at: inFuture(367 * DAY_MS) }, 'send_at');
  await refused({ text: 'x', send_at: null }, 'send_at');
  await refused({ text: 'x', send_at: 'tomorrow' }, 'send_at');
  await refused({ text: 'x' }, 'send_at', 'missing_field');
  await refused({ send_at: inFuture(DAY_MS) }, 'text', 'missing_field');
  await refused({ text: 'x', send_at: inFuture(DAY_MS), reply_to: '1' }, 'reply_to');
  await refused({ text: 'x', send_at: inFuture(DAY_MS), attachments: ['1'] }, 'attachments');
  await refused({ text: 'x', send_at: inFuture(DAY_MS), mentions: [{ user_id: '1', offset: 0, length: 1 }] }, 'mentions');
  assert.deepEqual(await idsOf(alice, chat), []);
});

test('what its sender had not read when it was posted stays unread', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const unread = async () => (await getOwnChat(alice, chat)).unread;
  await scheduleSoon(alice, chat, 200, { text: 'after all was read' });
  await eventually(async () => (await textsOf(alice, chat)).length === 1);
  await eventually(async () => (await unread()) === 0); // readers may see a commit before the server knows of it, and moves the mark
  await postMessage(bob, chat, 'unread');
  await scheduleSoon(alice, chat, 200, { text: 'while something was not' });
  await eventually(async () => (await textsOf(alice, chat)).length === 3);
  assert.equal(await unread(), 2);
});

test('a key schedules once, also when it is repeated after the message was posted', async () => {
  const { alice, chat } = await aliceAndBob();
  const body = { text: 'once', send_at: inFuture(2500) };
  const ask = () => alice.post(scheduledOf(chat), body, { headers: { 'Idempotency-Key': 'key' } });
  const first = expectStatus(await ask(), 201);
  await eventually(async () => (await textsOf(alice, chat)).length > 0);
  assert.deepEqual(expectStatus(await ask(), 200), { id: first.id, chat_id: chat.id, gone: true });
  assert.deepEqual(await idsOf(alice, chat), []);
  assert.deepEqual(await textsOf(alice, chat), ['once']);
});

test('a key that scheduled something schedules nothing else', async () => {
  const { alice, chat } = await aliceAndBob();
  const body = { text: 'one', send_at: inFuture(DAY_MS) };
  const ask = (fields) => alice.post(scheduledOf(chat), { ...body, ...fields }, { headers: { 'Idempotency-Key': 'another' } });
  expectStatus(await ask(), 201);
  expectProblem(await ask({ text: 'two' }), 409, 'idempotency_mismatch');
  expectProblem(await ask({ send_at: inFuture(2 * DAY_MS) }), 409, 'idempotency_mismatch');
});

test('a member has at most 100 in a chat', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const answers = await Promise.all(Array.from({ length: 103 }, () => bob.post(scheduledOf(chat), { text: 'x', send_at: inFuture(DAY_MS) })));
  const refused = answers.filter(({ status }) => status !== 201);
  assert.equal(refused.length, 3);
  for (const answer of refused) expectProblem(answer, 409, 'too_many_scheduled');
  await schedule(alice, chat, DAY_MS);
});

test('what may not be posted at its time fails, and stays until it is deleted', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const stream = await openReadyFor(t, server, { token: bob.token });
  const scheduled = await schedule(bob, chat, 4000);
  expectStatus(await alice.patch(`/v1/chats/${chat.id}`, { permissions: { post: 'admins' } }), 200);
  await stream.next('chat.updated');
  const failed = await stream.next('scheduled.failed');
  assert.deepEqual([failed.scheduled_id, failed.chat_id, failed.failed], [scheduled.id, chat.id, 'forbidden']);
  const [item] = (await pageOf(bob, chat)).items;
  assert.deepEqual([item.id, item.failed], [scheduled.id, 'forbidden']);
  assert.deepEqual(await textsOf(bob, chat), []);
  expectStatus(await bob.delete(`${scheduledOf(chat)}/${scheduled.id}`), 204);
  assert.deepEqual(await idsOf(bob, chat), []);
});

test('it goes with the stay, and does not come back with the next one', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  await schedule(bob, chat, 4000);
  await removeMember(alice, chat, bob);
  await addMember(alice, chat, bob);
  assert.deepEqual(await idsOf(bob, chat), []);
  const mine = await schedule(alice, chat, 4200, { text: 'of somebody who stayed' });
  await eventually(async () => (await textsOf(alice, chat)).includes(mine.text));
  assert.deepEqual(await textsOf(alice, chat), [mine.text]);
});

test('its attachments are kept until then, and no longer than it is', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const bytes = someBytes();
  const [sent, dropped] = [await upload(alice, bytes), await upload(alice, someBytes())];
  const waiting = await schedule(alice, chat, DAY_MS, { text: undefined, attachments: [dropped.id] });
  assert.deepEqual(waiting.attachments.map(({ id }) => id), [dropped.id]);
  expectProblem(await alice.delete(`/v1/media/${dropped.id}`), 409, 'media_in_use');
  expectProblem(await bob.get(`/v1/media/${dropped.id}`), 404, 'not_found');
  expectStatus(await alice.delete(`${scheduledOf(chat)}/${waiting.id}`), 204);
  expectStatus(await alice.delete(`/v1/media/${dropped.id}`), 204);
  await scheduleSoon(alice, chat, 200, { attachments: [sent.id] });
  await eventually(async () => (await wholeHistory(bob, chat)).length > 0);
  const [message] = await wholeHistory(bob, chat);
  assert.deepEqual(message.attachments.map(({ id }) => id), [sent.id]);
  expectStatus(await bob.get(`/v1/media/${sent.id}`), 200);
  expectProblem(await alice.delete(`/v1/media/${sent.id}`), 409, 'media_in_use');
  expectStatus(await alice.delete(`/v1/chats/${chat.id}/messages/${message.id}`), 204);
  expectStatus(await alice.delete(`/v1/media/${sent.id}`), 204);
});

test('it goes with the chat, and lets go of its attachments', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const [hers, his] = [await upload(alice, someBytes()), await upload(bob, someBytes())];
  await schedule(alice, chat, DAY_MS, { attachments: [hers.id] });
  await schedule(bob, chat, DAY_MS, { attachments: [his.id] });
  await removeMember(bob, chat, bob);
  await eventually(async () => (await bob.delete(`/v1/media/${his.id}`)).status === 204);
  expectStatus(await alice.delete(`/v1/chats/${chat.id}`), 204);
  await eventually(async () => (await alice.delete(`/v1/media/${hers.id}`)).status === 204);
});

test('what became due while the server was killed is posted once when it is back', async () => {
  const { alice, chat } = await aliceAndBob();
  await scheduleSoon(alice, chat, 400, { text: 'overdue' });
  await server.kill();
  await server.restart();
  await eventually(async () => (await textsOf(alice, chat)).length > 0);
  assert.deepEqual(await textsOf(alice, chat), ['overdue']);
  assert.deepEqual(await idsOf(alice, chat), []);
});

test('kills around the time of posting lose nothing and repeat nothing', async () => {
  const { alice, chat } = await aliceAndBob();
  const texts = Array.from({ length: 60 }, (_, i) => `number ${i}`);
  const start = Date.now() + 2500; // when the last of them has been accepted
  await Promise.all(texts.map((text, i) => schedule(alice, chat, 0, { text, send_at: new Date(start + i * 25).toISOString() })));
  for (let i = 0; i < 3; i++) {
    await eventually(async () => (await textsOf(alice, chat)).length > i * 15);
    await server.kill();
    await server.restart();
  }
  await eventually(async () => (await textsOf(alice, chat)).length >= texts.length);
  assert.deepEqual((await textsOf(alice, chat)).sort(), [...texts].sort());
  assert.deepEqual(await idsOf(alice, chat), []);
});
