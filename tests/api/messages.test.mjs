// Posting, idempotency, editing, deleting, and the numbers and the chain that let a client check it all.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { addMember, createGroup, expectProblem, expectStatus, getChat, postMany, postMessage, register, registerMany, wholeHistory } from '../support/client.mjs';
import { bodyHash, checkChain } from '../support/chain.mjs';
import { openReadyFor } from '../support/events.mjs';
import { startServer, startServerFor } from '../support/server.mjs';
import { checkDeletedMessage, checkEditedMessage, checkNewMessage } from '../support/shapes.mjs';

const server = await startServer();
after(() => server.dispose());

const MAX_CHARACTERS = 100_000;
const messagesPath = (chat) => `/v1/chats/${chat.id}/messages`;
const messagePath = (message) => `/v1/chats/${message.chat_id}/messages/${message.id}`;

async function aliceAndBob(fields = {}) {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  return { alice, bob, chat: await createGroup(alice, [bob], fields) };
}

function postWithKey(sender, chat, body, key) {
  return sender.post(messagesPath(chat), body, { headers: { 'Idempotency-Key': key } });
}

test('a message is answered, read and delivered as the same object', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const stream = await openReadyFor(t, server, { token: bob.token });
  const message = await postMessage(alice, chat, 'Hello, Bob! 😀', { client_key: 'local-1' });
  checkNewMessage(message);
  assert.deepEqual(
    [message.chat_id, message.sender_id, message.text, message.client_key, message.seq, message.rev],
    [chat.id, alice.id, 'Hello, Bob! 😀', 'local-1', 1, 2],
  );
  assert.deepEqual(expectStatus(await bob.get(messagePath(message)), 200), message);
  assert.deepEqual(await wholeHistory(bob, chat), [message]);
  const event = await stream.next('message.created');
  assert.deepEqual(event.message, message);
  assert.deepEqual([event.chat_id, event.rev, event.actor_id], [chat.id, message.rev, alice.id]);
  assert.equal(event.frame.id, message.id);
});

test('a message says when it was posted', async () => {
  const { alice, chat } = await aliceAndBob();
  const before = Date.now();
  const message = await postMessage(alice, chat, 'now');
  const at = Date.parse(message.created_at);
  assert.ok(at >= before - 5 && at <= Date.now() + 5, message.created_at);
});

const TEXTS = [
  ['one character', 'x'],
  ['the most characters, of four bytes each', '😀'.repeat(MAX_CHARACTERS)],
  ['control characters, quotes and backslashes', 'a\nb\tc"d\\e\u0001\u007f\u2028\u2029'],
  ['a carriage return, which ends a line in a stream', 'one\rtwo\r\nthree\n\nfour'],
  ['what looks like stream fields', 'data: x\n\nevent: reset\nid: 1'],
  ['characters outside the basic plane and a byte order mark', '\ufeff𝄞\u{10ffff}'],
  ['combining marks, kept as they are', 'e\u0301 and \u00e9'],
];

for (const [what, text] of TEXTS) {
  test(`a text of ${what} comes back exactly`, async (t) => {
    const { alice, bob, chat } = await aliceAndBob();
    const stream = await openReadyFor(t, server, { token: bob.token });
    const message = await postMessage(alice, chat, text);
    assert.ok(message.text === text);
    const event = await stream.next('message.created');
    assert.ok(event.message.text === text);
    assert.equal(message.chain, event.message.chain);
    checkChain([event.message]);
  });
}

test('a text of the most characters may also be written in escapes', async () => {
  const { alice, chat } = await aliceAndBob();
  const raw = `{"text":"${'\\ud83d\\ude00'.repeat(MAX_CHARACTERS)}"}`;
  const message = expectStatus(await alice.post(messagesPath(chat), undefined, { raw }), 201);
  assert.ok(message.text === '😀'.repeat(MAX_CHARACTERS));
});

const REFUSED = [
  ['no text', {}, 'missing_field', 'text'],
  ['an empty text', { text: '' }, 'bad_field', 'text'],
  ['one character too many', { text: 'x'.repeat(MAX_CHARACTERS + 1) }, 'bad_field', 'text'],
  ['one character of four bytes too many', { text: '😀'.repeat(MAX_CHARACTERS + 1) }, 'bad_field', 'text'],
  ['a text that is a number', { text: 1 }, 'bad_field', 'text'],
  ['a text that is null', { text: null }, 'bad_field', 'text'],
  ['a text that is a list', { text: ['x'] }, 'bad_field', 'text'],
  ['an empty client_key', { text: 'x', client_key: '' }, 'bad_field', 'client_key'],
  ['a client_key of 65 characters', { text: 'x', client_key: 'k'.repeat(65) }, 'bad_field', 'client_key'],
  ['a client_key that is a number', { text: 'x', client_key: 7 }, 'bad_field', 'client_key'],
  ['a field the server decides', { text: 'x', sender_id: '1' }, 'unknown_field', 'sender_id'],
];

test('messages that make no sense are refused and leave no gap', async (t) => {
  const { alice, chat } = await aliceAndBob();
  await postMessage(alice, chat, 'first');
  for (const [what, body, code, field] of REFUSED) {
    await t.test(what, async () => {
      expectProblem(await alice.post(messagesPath(chat), body), 400, code, field);
    });
  }
  assert.equal((await postMessage(alice, chat, 'second')).seq, 2);
});

test('seq counts messages and rev counts everything, both without a hole', async (t) => {
  const [alice, bob, carol] = await registerMany(server, 'alice', 'bob', 'carol');
  const stream = await openReadyFor(t, server, { token: bob.token });
  const chat = await createGroup(alice, [bob]);
  const first = await postMessage(alice, chat, 'one');
  await addMember(alice, chat, carol);
  const second = await postMessage(carol, chat, 'two');
  const edited = expectStatus(await alice.patch(messagePath(first), { text: 'one, edited' }), 200);
  expectStatus(await alice.patch(`/v1/chats/${chat.id}`, { title: 'New' }), 200);
  expectStatus(await carol.delete(messagePath(second)), 204);
  const third = await postMessage(bob, chat, 'three');

  const events = await stream.take(8);
  assert.deepEqual(events.map((event) => event.rev), [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual([first.seq, second.seq, third.seq], [1, 2, 3]);
  assert.equal(edited.rev, 5);
  const ids = events.map((event) => BigInt(event.frame.id));
  assert.ok(ids.every((id, i) => i === 0 || id > ids[i - 1]), 'ids rise');
  const { last_seq, last_rev, last_id } = await getChat(alice, chat);
  assert.deepEqual([last_seq, last_rev, last_id], [3, 8, third.id]);
});

test('many posts at once get dense numbers in the order of their ids', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const posts = Array.from({ length: 60 }, (_, i) => postMessage(i % 2 ? alice : bob, chat, `text ${i}`));
  const messages = (await Promise.all(posts)).sort((a, b) => a.seq - b.seq);
  assert.deepEqual(messages.map((message) => message.seq), Array.from({ length: 60 }, (_, i) => i + 1));
  assert.deepEqual(messages.map((message) => message.rev), Array.from({ length: 60 }, (_, i) => i + 2));
  assert.ok(messages.every((message, i) => i === 0 || BigInt(message.id) > BigInt(messages[i - 1].id)));
  assert.deepEqual(await wholeHistory(alice, chat), messages);
  checkChain(messages);
});

test('the chain stays checkable through edits and deletions', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const messages = [await postMessage(alice, chat, 'one'), await postMessage(bob, chat, 'two'), await postMessage(alice, chat, 'three')];
  checkChain(messages);
  expectStatus(await alice.patch(messagePath(messages[0]), { text: 'ONE' }), 200);
  expectStatus(await bob.delete(messagePath(messages[1])), 204);
  const now = await wholeHistory(alice, chat);
  assert.deepEqual(now.map((message) => message.chain), messages.map((message) => message.chain));
  checkChain(now);
  for (const [index, message] of messages.slice(0, 2).entries()) {
    assert.equal(now[index].body_hash, bodyHash(message.salt, message.text), 'the hash of the original text');
  }
});

test('two chats with the same texts have different chains', async () => {
  const alice = await register(server, 'alice');
  const chats = [await createGroup(alice), await createGroup(alice)];
  const [one, two] = [await postMessage(alice, chats[0], 'same'), await postMessage(alice, chats[1], 'same')];
  assert.notEqual(one.salt, two.salt);
  assert.notEqual(one.chain, two.chain);
});

test('the same key with the same body is the same message', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const stream = await openReadyFor(t, server, { token: bob.token });
  const body = { text: 'once', client_key: 'c' };
  const first = expectStatus(await postWithKey(alice, chat, body, 'key-1'), 201);
  for (let i = 0; i < 3; i++) {
    assert.deepEqual(expectStatus(await postWithKey(alice, chat, body, 'key-1'), 200), first);
  }
  const second = expectStatus(await postWithKey(alice, chat, body, 'key-2'), 201);
  assert.equal(second.seq, 2);
  assert.equal((await stream.next('message.created')).message.id, first.id);
  assert.equal((await stream.next('message.created')).message.id, second.id);
});

test('the same key at the same moment is one message', async () => {
  const { alice, chat } = await aliceAndBob();
  const tries = Array.from({ length: 20 }, () => postWithKey(alice, chat, { text: 'once' }, 'key'));
  const answers = await Promise.all(tries);
  assert.deepEqual(answers.map((answer) => answer.status).sort(), [...Array(19).fill(200), 201]);
  assert.equal(new Set(answers.map((answer) => answer.body.id)).size, 1);
  assert.equal((await getChat(alice, chat)).last_seq, 1);
});

test('the same key for something else is a conflict', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const other = await createGroup(alice);
  const first = expectStatus(await postWithKey(alice, chat, { text: 'one' }, 'key'), 201);
  expectProblem(await postWithKey(alice, chat, { text: 'two' }, 'key'), 409, 'idempotency_mismatch');
  expectProblem(await postWithKey(alice, chat, { text: 'one', client_key: 'c' }, 'key'), 409, 'idempotency_mismatch');
  expectProblem(await postWithKey(alice, other, { text: 'one' }, 'key'), 409, 'idempotency_mismatch');
  assert.equal((await getChat(alice, other)).last_seq, 0);
  const bobs = expectStatus(await postWithKey(bob, chat, { text: 'one' }, 'key'), 201);
  assert.notEqual(bobs.id, first.id, 'a key belongs to its sender');
});

test('a repeated key answers the message as it is now', async () => {
  const { alice, chat } = await aliceAndBob();
  const first = expectStatus(await postWithKey(alice, chat, { text: 'first' }, 'key'), 201);
  const edited = expectStatus(await alice.patch(messagePath(first), { text: 'edited' }), 200);
  assert.deepEqual(expectStatus(await postWithKey(alice, chat, { text: 'first' }, 'key'), 200), edited);
  expectStatus(await alice.delete(messagePath(first)), 204);
  const gone = expectStatus(await postWithKey(alice, chat, { text: 'first' }, 'key'), 200);
  assert.equal(gone.id, first.id);
  checkDeletedMessage(gone);
  assert.equal((await getChat(alice, chat)).last_seq, 1);
});

test('a refused request does not use up its key', async () => {
  const { alice, chat } = await aliceAndBob();
  expectProblem(await postWithKey(alice, chat, { text: '' }, 'key'), 400, 'bad_field', 'text');
  expectStatus(await postWithKey(alice, chat, { text: 'fine' }, 'key'), 201);
});

test('an Idempotency-Key is 1 to 128 visible ASCII characters', async () => {
  const { alice, chat } = await aliceAndBob();
  for (const key of ['~', 'k'.repeat(128), '!#$%&\'*+-.^_`|~"(),/:;<=>?@[]{}']) {
    expectStatus(await postWithKey(alice, chat, { text: 'fine' }, key), 201);
  }
  for (const key of ['', 'k'.repeat(129), 'a b', 'a\tb', 'caf\u00e9']) {
    expectProblem(await postWithKey(alice, chat, { text: 'x' }, key), 400, 'bad_field', 'Idempotency-Key');
  }
  assert.equal((await getChat(alice, chat)).last_seq, 3);
});

test('editing changes the text everywhere and says so', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const stream = await openReadyFor(t, server, { token: bob.token });
  const message = await postMessage(alice, chat, 'first words', { client_key: 'c' });
  const edited = expectStatus(await alice.patch(messagePath(message), { text: 'second words' }), 200);
  checkEditedMessage(edited);
  assert.deepEqual([edited.text, edited.id, edited.seq, edited.rev], ['second words', message.id, 1, 3]);
  assert.equal(edited.body_hash, bodyHash(message.salt, message.text));
  await stream.next('message.created');
  const event = await stream.next('message.edited');
  assert.deepEqual(event.message, edited);
  assert.deepEqual([event.rev, event.actor_id], [3, alice.id]);
  assert.notEqual(event.frame.id, message.id);
  assert.deepEqual(await wholeHistory(bob, chat), [edited]);
  const again = expectStatus(await alice.patch(messagePath(message), { text: 'third words' }), 200);
  assert.equal(again.rev, 4);
  assert.equal(again.body_hash, edited.body_hash);
});

test('only the sender edits, whatever the role', async () => {
  const [owner, admin, member] = await registerMany(server, 'owner', 'admin', 'member');
  const chat = await createGroup(owner, [member]);
  await addMember(owner, chat, admin, { role: 'admin' });
  const message = await postMessage(member, chat, 'mine');
  for (const other of [owner, admin]) {
    expectProblem(await other.patch(messagePath(message), { text: 'theirs' }), 403, 'forbidden');
  }
  assert.deepEqual(expectStatus(await member.get(messagePath(message)), 200), message);
});

test('deleting blanks the message everywhere and says so once', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const stream = await openReadyFor(t, server, { token: bob.token });
  const message = await postMessage(alice, chat, 'regretted');
  expectStatus(await alice.delete(messagePath(message)), 204);
  expectStatus(await alice.delete(messagePath(message)), 204);
  const now = expectStatus(await bob.get(messagePath(message)), 200);
  checkDeletedMessage(now);
  assert.deepEqual([now.id, now.seq, now.rev], [message.id, 1, 3]);
  await stream.next('message.created');
  const event = await stream.next('message.deleted');
  assert.deepEqual(event.message, now);
  assert.deepEqual([event.rev, event.actor_id], [3, alice.id]);
  assert.equal((await getChat(bob, chat)).last_rev, 3, 'deleting again is no event');
  expectProblem(await alice.patch(messagePath(message), { text: 'back' }), 409, 'already_deleted');
});

test('admins and owners delete the messages of others, members do not', async () => {
  const [owner, admin, one, two] = await registerMany(server, 'owner', 'admin', 'one', 'two');
  const chat = await createGroup(owner, [one, two]);
  await addMember(owner, chat, admin, { role: 'admin' });
  const [first, second] = await postMany(one, chat, 2);
  expectProblem(await two.delete(messagePath(first)), 403, 'forbidden');
  expectStatus(await admin.delete(messagePath(first)), 204);
  expectStatus(await owner.delete(messagePath(second)), 204);
  const mine = await postMessage(owner, chat, 'of the owner');
  expectStatus(await admin.delete(messagePath(mine)), 204);
});

test('who was offline sees an edited or deleted message as it is now', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const { as_of } = expectStatus(await bob.get('/v1/chats'), 200);
  const [first, second] = await postMany(alice, chat, 2, 'original');
  expectStatus(await alice.patch(messagePath(first), { text: 'changed' }), 200);
  expectStatus(await alice.delete(messagePath(second)), 204);
  const stream = await openReadyFor(t, server, { token: bob.token, lastEventId: as_of });
  const events = await stream.take(4);
  assert.deepEqual(events.map((event) => event.type), ['message.created', 'message.created', 'message.edited', 'message.deleted']);
  assert.deepEqual(events.map((event) => event.rev), [2, 3, 4, 5]);
  assert.deepEqual([events[0].message.text, events[0].message.rev], ['changed', 4]);
  assert.equal(events[1].message.deleted, true);
  assert.ok(!JSON.stringify(events).includes('original'));
});

test('a message is found only in its own chat', async () => {
  const { alice, chat } = await aliceAndBob();
  const other = await createGroup(alice);
  const message = await postMessage(alice, chat, 'here');
  const wrong = `/v1/chats/${other.id}/messages/${message.id}`;
  expectProblem(await alice.get(wrong), 404, 'not_found');
  expectProblem(await alice.patch(wrong, { text: 'x' }), 404, 'not_found');
  expectProblem(await alice.delete(wrong), 404, 'not_found');
  assert.deepEqual(expectStatus(await alice.get(messagePath(message)), 200), message);
});

test('the id of an event that is no message is no message', async (t) => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const stream = await openReadyFor(t, server, { token: alice.token });
  const chat = await createGroup(alice, [bob]);
  const created = await stream.next('chat.created');
  expectProblem(await alice.get(`/v1/chats/${chat.id}/messages/${created.frame.id}`), 404, 'not_found');
  expectProblem(await alice.delete(`/v1/chats/${chat.id}/messages/${created.frame.id}`), 404, 'not_found');
});

test('a message id with another tag at its end is not that message', async () => {
  const { alice, chat } = await aliceAndBob();
  const message = await postMessage(alice, chat, 'here');
  const forged = (BigInt(message.id) ^ 1n).toString();
  expectProblem(await alice.get(`/v1/chats/${chat.id}/messages/${forged}`), 404, 'not_found');
});

test('windows for editing and deleting close', async (t) => {
  const strict = await startServerFor(t, { env: { PARLEY_EDIT_WINDOW: '1s', PARLEY_DELETE_WINDOW: '1s' } });
  const [alice, bob] = await registerMany(strict, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const message = await postMessage(bob, chat, 'quick');
  const closed = Date.parse(message.created_at) + 1000;
  let rev = message.rev;
  for (;;) {
    const answer = await bob.patch(messagePath(message), { text: 'still' });
    if (answer.status !== 200) {
      assert.ok(Date.now() >= closed - 50, 'closed too early');
      expectProblem(answer, 403, 'window_closed');
      break;
    }
    assert.ok(Date.now() < closed + 10_000, 'never closed');
    rev += 1;
  }
  expectProblem(await bob.delete(messagePath(message)), 403, 'window_closed');
  assert.equal((await getChat(bob, chat)).last_rev, rev);
  expectStatus(await alice.delete(messagePath(message)), 204);
});
