// What messages refer to: the message they answer, those whom they mention, the message they forward.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { addMember, createGroup, expectProblem, expectStatus, historyPage, postMessage, register, registerMany, removeMember, wholeHistory } from '../support/client.mjs';
import { checkChain } from '../support/chain.mjs';
import { openReadyFor } from '../support/events.mjs';
import { someBytes, upload } from '../support/media.mjs';
import { startServer } from '../support/server.mjs';
import { checkDeletedMessage, checkEditedMessage, checkNewMessage } from '../support/shapes.mjs';

const server = await startServer();
after(() => server.dispose());

const NOBODY = '9223372036854775807';
const messagesPath = (chat) => `/v1/chats/${chat.id}/messages`;
const messagePath = (message) => `/v1/chats/${message.chat_id}/messages/${message.id}`;
const quotationOf = ({ id, seq, sender_id }) => ({ id, seq, sender_id });

async function aliceAndBob(fields = {}) {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  return { alice, bob, chat: await createGroup(alice, [bob], fields) };
}

// What is refused leaves no gap and nothing behind.
async function refused(sender, chat, body, status, code, field) {
  const before = await wholeHistory(sender, chat);
  expectProblem(await sender.post(messagesPath(chat), body), status, code, field);
  assert.deepEqual(await wholeHistory(sender, chat), before);
}

// --- replies

test('a reply carries what it answers, in the answer, on the stream and in the history', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const stream = await openReadyFor(t, server, { token: alice.token });
  const question = await postMessage(alice, chat, 'at ten?');
  const reply = await postMessage(bob, chat, 'yes', { reply_to: question.id });
  checkNewMessage(reply);
  assert.deepEqual(reply.reply_to, quotationOf(question));
  const [, event] = await stream.take(2);
  assert.deepEqual(event.message, reply);
  assert.deepEqual(await wholeHistory(alice, chat), [question, reply]);
  checkChain(await wholeHistory(bob, chat));
});

test('an edit keeps what a message answers', async () => {
  const { alice, chat } = await aliceAndBob();
  const question = await postMessage(alice, chat, 'at ten?');
  const reply = await postMessage(alice, chat, 'yes', { reply_to: question.id });
  const edited = expectStatus(await alice.patch(messagePath(reply), { text: 'no' }), 200);
  checkEditedMessage(edited);
  assert.deepEqual(edited.reply_to, quotationOf(question));
});

test('a deleted message can be answered, and an answer stays when what it answers is deleted', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const question = await postMessage(alice, chat, 'at ten?');
  const reply = await postMessage(bob, chat, 'yes', { reply_to: question.id });
  expectStatus(await alice.delete(messagePath(question)), 204);
  assert.deepEqual(expectStatus(await alice.get(messagePath(reply)), 200), reply);
  assert.deepEqual((await postMessage(bob, chat, 'why?', { reply_to: question.id })).reply_to, quotationOf(question));
});

test('a deleted reply no longer says what it answered', async () => {
  const { alice, chat } = await aliceAndBob();
  const question = await postMessage(alice, chat, 'at ten?');
  const reply = await postMessage(alice, chat, 'yes', { reply_to: question.id });
  expectStatus(await alice.delete(messagePath(reply)), 204);
  checkDeletedMessage(expectStatus(await alice.get(messagePath(reply)), 200));
});

test('only messages of the same chat that the sender can see are answered', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const elsewhere = await postMessage(alice, await createGroup(alice, [bob]), 'elsewhere');
  const early = await postMessage(alice, chat, 'early');
  const carol = await register(server, 'carol');
  await addMember(alice, chat, carol);
  for (const id of [elsewhere.id, NOBODY, chat.id]) await refused(alice, chat, { text: 'x', reply_to: id }, 400, 'bad_field', 'reply_to');
  for (const id of ['', '0', 'x', 7, null]) await refused(alice, chat, { text: 'x', reply_to: id }, 400, 'bad_field', 'reply_to');
  await refused(carol, chat, { text: 'x', reply_to: early.id }, 400, 'bad_field', 'reply_to');
  assert.deepEqual((await postMessage(bob, chat, 'x', { reply_to: early.id })).reply_to, quotationOf(early));
});

// --- mentions

test('mentions are counted in characters and come back as they were sent', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const stream = await openReadyFor(t, server, { token: bob.token });
  const text = '😀 @bob and @alice';
  const mentions = [{ user_id: alice.id, offset: 11, length: 6 }, { user_id: bob.id, offset: 2, length: 4 }];
  const message = await postMessage(alice, chat, text, { mentions });
  checkNewMessage(message);
  assert.deepEqual(message.mentions, mentions);
  assert.equal([...text].slice(2, 6).join(''), '@bob');
  assert.deepEqual((await stream.next('message.created')).message, message);
  assert.deepEqual(await wholeHistory(bob, chat), [message]);
});

test('mentions may be at the very start, at the very end and side by side', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const mentions = [{ user_id: bob.id, offset: 0, length: 1 }, { user_id: bob.id, offset: 1, length: 2 }];
  assert.deepEqual((await postMessage(alice, chat, 'abc', { mentions })).mentions, mentions);
  assert.equal('mentions' in (await postMessage(alice, chat, 'abc', { mentions: [] })), false);
});

test('an edit replaces the mentions', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const message = await postMessage(alice, chat, '@bob', { mentions: [{ user_id: bob.id, offset: 0, length: 4 }] });
  const again = [{ user_id: bob.id, offset: 3, length: 4 }];
  assert.deepEqual(expectStatus(await alice.patch(messagePath(message), { text: 'hi @bob', mentions: again }), 200).mentions, again);
  const without = expectStatus(await alice.patch(messagePath(message), { text: 'hi @bob' }), 200);
  checkEditedMessage(without);
  assert.equal('mentions' in without, false);
});

const BAD_MENTIONS = (bob) => [
  ['beyond the text', [{ user_id: bob.id, offset: 3, length: 1 }]],
  ['reaching beyond the text, which has four bytes a character', [{ user_id: bob.id, offset: 2, length: 2 }]],
  ['overlapping', [{ user_id: bob.id, offset: 0, length: 2 }, { user_id: bob.id, offset: 1, length: 1 }]],
  ['twice the same', [{ user_id: bob.id, offset: 0, length: 1 }, { user_id: bob.id, offset: 0, length: 1 }]],
  ['of no length', [{ user_id: bob.id, offset: 0, length: 0 }]],
  ['before the text', [{ user_id: bob.id, offset: -1, length: 1 }]],
  ['far away', [{ user_id: bob.id, offset: 4294967295, length: 4294967295 }]],
  ['of nobody', [{ user_id: NOBODY, offset: 0, length: 1 }]],
  ['without a user', [{ offset: 0, length: 1 }]],
  ['with something else', [{ user_id: bob.id, offset: 0, length: 1, name: 'bob' }]],
  ['of a name', [{ user_id: 'bob', offset: 0, length: 1 }]],
  ['that are no list', { user_id: bob.id, offset: 0, length: 1 }],
  ['51 of them', Array.from({ length: 51 }, () => ({ user_id: bob.id, offset: 0, length: 1 }))],
];

test('mentions that make no sense are refused, in posts and in edits', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const message = await postMessage(alice, chat, 'first');
  for (const [what, mentions] of BAD_MENTIONS(bob)) {
    await t.test(what, async () => {
      await refused(alice, chat, { text: '😀😀😀', mentions }, 400, 'bad_field', 'mentions');
      expectProblem(await alice.patch(messagePath(message), { text: '😀😀😀', mentions }), 400, 'bad_field', 'mentions');
    });
  }
  assert.deepEqual(expectStatus(await alice.get(messagePath(message)), 200), message);
});

test('only members are mentioned', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const stranger = await register(server, 'stranger');
  const mention = (user) => ({ text: '@x', mentions: [{ user_id: user.id, offset: 0, length: 2 }] });
  await refused(alice, chat, mention(stranger), 400, 'bad_field', 'mentions');
  expectStatus(await alice.post(messagesPath(chat), mention(bob)), 201);
  await removeMember(alice, chat, bob);
  await refused(alice, chat, mention(bob), 400, 'bad_field', 'mentions');
});

// --- forwarding

test('a forwarded message has the text of the first one, not its mentions, and says so', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const other = await createGroup(bob, [alice]);
  const stream = await openReadyFor(t, server, { token: alice.token });
  const first = await postMessage(alice, chat, 'hi @bob', { mentions: [{ user_id: bob.id, offset: 3, length: 4 }], client_key: 'mine' });
  const body = { forward: { chat_id: chat.id, message_id: first.id }, client_key: 'his' };
  const forwarded = expectStatus(await bob.post(messagesPath(other), body), 201);
  checkNewMessage(forwarded);
  assert.deepEqual([forwarded.text, forwarded.forwarded, forwarded.sender_id, forwarded.client_key], ['hi @bob', true, bob.id, 'his']);
  assert.equal('mentions' in forwarded, false);
  const [, event] = await stream.take(2);
  assert.deepEqual(event.message, forwarded);
  checkChain(await wholeHistory(alice, other));
});

test('forwarding an edited message forwards what it says now', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const first = await postMessage(alice, chat, 'one');
  expectStatus(await alice.patch(messagePath(first), { text: 'two' }), 200);
  const forwarded = expectStatus(await bob.post(messagesPath(chat), { forward: { chat_id: chat.id, message_id: first.id } }), 201);
  assert.equal(forwarded.text, 'two');
  assert.equal(forwarded.salt !== undefined, true);
});

test('who edits a forwarded message says it themselves', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const first = await postMessage(alice, chat, 'one');
  const forwarded = expectStatus(await bob.post(messagesPath(chat), { forward: { chat_id: chat.id, message_id: first.id } }), 201);
  const edited = expectStatus(await bob.patch(messagePath(forwarded), { text: 'two' }), 200);
  checkEditedMessage(edited);
  assert.equal('forwarded' in edited, false);
  assert.deepEqual((await wholeHistory(alice, chat))[1], edited);
});

test('forwarded files need no new upload and outlive the first message', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const carol = await register(server, 'carol');
  const other = await createGroup(bob, [carol]);
  const bytes = someBytes();
  const media = await upload(alice, bytes, { thumbnail_id: (await upload(alice, someBytes())).id });
  const first = await postMessage(alice, chat, 'a picture', { attachments: [media.id] });
  expectProblem(await carol.get(`/v1/media/${media.id}`), 404, 'not_found');
  const forwarded = expectStatus(await bob.post(messagesPath(other), { forward: { chat_id: chat.id, message_id: first.id } }), 201);
  checkNewMessage(forwarded);
  assert.deepEqual(forwarded.attachments, first.attachments);
  expectStatus(await alice.delete(messagePath(first)), 204);
  for (const id of [media.id, media.thumbnail_id]) {
    const seen = expectStatus(await carol.get(`/v1/media/${id}`), 200);
    assert.equal((await fetch(seen.url)).status, 200);
  }
  expectProblem(await alice.delete(`/v1/media/${media.id}`), 409, 'media_in_use');
  expectStatus(await bob.delete(messagePath(forwarded)), 204);
  expectStatus(await alice.delete(`/v1/media/${media.id}`), 204);
});

test('a repeated key answers with the forwarded message', async () => {
  const { alice, chat } = await aliceAndBob();
  const first = await postMessage(alice, chat, 'one');
  const forward = () => alice.post(messagesPath(chat), { forward: { chat_id: chat.id, message_id: first.id } }, { headers: { 'Idempotency-Key': 'k' } });
  const message = expectStatus(await forward(), 201);
  expectStatus(await alice.delete(messagePath(first)), 204);
  assert.deepEqual(expectStatus(await forward(), 200), message);
});

test('what the sender cannot see is not forwarded', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const carol = await register(server, 'carol');
  const own = await createGroup(carol, [bob]);
  const early = await postMessage(alice, chat, 'early');
  const forward = (message, chat_id = chat.id) => ({ forward: { chat_id, message_id: message.id } });
  await refused(carol, own, forward(early), 400, 'bad_field', 'forward');
  await refused(carol, own, forward(early, own.id), 400, 'bad_field', 'forward');
  await addMember(alice, chat, carol);
  await refused(carol, own, forward(early), 400, 'bad_field', 'forward');
  const late = await postMessage(alice, chat, 'late');
  assert.equal(expectStatus(await carol.post(messagesPath(own), forward(late)), 201).text, 'late');
  await removeMember(alice, chat, carol);
  await refused(carol, own, forward(late), 400, 'bad_field', 'forward');
  expectStatus(await alice.delete(messagePath(late)), 204);
  await refused(bob, own, forward(late), 409, 'already_deleted', 'forward');
});

test('a forward that makes no sense is refused', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const first = await postMessage(alice, chat, 'one');
  const forward = { chat_id: chat.id, message_id: first.id };
  for (const body of [
    { forward, text: 'mine' }, { forward, attachments: [NOBODY] }, { forward, mentions: [{ user_id: bob.id, offset: 0, length: 1 }] },
    { forward: { chat_id: chat.id } }, { forward: { ...forward, more: 1 } }, { forward: first.id }, { forward: null }, { forward: { ...forward, message_id: 1 } },
    { forward: { ...forward, message_id: NOBODY } },
  ]) {
    await refused(alice, chat, body, 400, 'bad_field', 'forward');
  }
});

// --- what leavers see

test('who left sees neither what a later edit mentions nor what it answered', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const question = await postMessage(alice, chat, '@bob?', { mentions: [{ user_id: bob.id, offset: 0, length: 4 }] });
  const reply = await postMessage(alice, chat, 'yes', { reply_to: question.id });
  await removeMember(alice, chat, bob);
  expectStatus(await alice.patch(messagePath(reply), { text: 'no' }), 200);
  const { items } = await historyPage(bob, chat);
  assert.deepEqual(items[0], question);
  assert.deepEqual([items[1].withheld, items[1].reply_to], [true, undefined]);
});
