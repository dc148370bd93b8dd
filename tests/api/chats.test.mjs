// Creating, listing, changing and deleting chats.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { addMember, createDirect, createGroup, expectProblem, expectStatus, getChat, postMessage, register, registerMany, removeMember, sharedPart } from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { startServer, startServerFor } from '../support/server.mjs';
import { checkChat, checkChatList, checkEventChat } from '../support/shapes.mjs';

const server = await startServer();
after(() => server.dispose());

const NOBODY = '9223372036854775807';

async function listChats(account, query = '') {
  const list = expectStatus(await account.get(`/v1/chats${query}`), 200);
  checkChatList(list);
  return { ...list, items: list.items.map(sharedPart) };
}

test('a group belongs to who made it and is seen by its members', async () => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const answer = await alice.post('/v1/chats', { type: 'group', title: 'Lunch', member_ids: [bob.id] });
  const chat = expectStatus(answer, 201);
  checkChat(chat);
  assert.equal(answer.headers.location, `/v1/chats/${chat.id}`);
  const { type, title, history, member_count, created_by, my_role, last_seq, last_rev, rev } = chat;
  assert.deepEqual(
    { type, title, history, member_count, created_by, my_role, last_seq, last_rev, rev },
    { type: 'group', title: 'Lunch', history: 'from_join', member_count: 2, created_by: alice.id, my_role: 'owner', last_seq: 0, last_rev: 1, rev: 1 },
  );
  assert.deepEqual(await getChat(alice, chat), chat);
  assert.deepEqual(await getChat(bob, chat), { ...chat, my_role: 'member' });
});

test('a group may begin with its creator alone, naming itself changes nothing', async () => {
  const alice = await register(server, 'alice');
  assert.equal((await createGroup(alice)).member_count, 1);
});

test('creating a chat is one event for every first member', async (t) => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const streams = [await openReadyFor(t, server, { token: alice.token }), await openReadyFor(t, server, { token: bob.token })];
  const chat = await createGroup(alice, [bob]);
  const [first, second] = [await streams[0].next('chat.created'), await streams[1].next('chat.created')];
  assert.equal(first.frame.raw, second.frame.raw, 'every recipient gets the same bytes');
  assert.equal(first.chat_id, chat.id);
  assert.equal(first.rev, 1);
  assert.equal(first.actor_id, alice.id);
  checkEventChat(first.chat);
  assert.equal(first.chat.title, chat.title);
  await postMessage(alice, chat, 'next');
  await streams[1].next('message.created');
});

test('an Idempotency-Key makes creating a chat repeatable', async () => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const create = (title, key = 'chat-1') =>
    alice.post('/v1/chats', { type: 'group', title, member_ids: [bob.id] }, { headers: { 'Idempotency-Key': key } });
  const first = expectStatus(await create('Lunch'), 201);
  const again = expectStatus(await create('Lunch'), 200);
  assert.equal(again.id, first.id);
  expectProblem(await create('Dinner'), 409, 'idempotency_mismatch');
  assert.notEqual(expectStatus(await create('Lunch', 'chat-2'), 201).id, first.id);
  assert.equal((await listChats(alice)).items.length, 2);
});

test('there is one direct chat for a pair, whoever asks', async () => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const first = expectStatus(await alice.post('/v1/chats', { type: 'direct', member_ids: [bob.id] }), 201);
  checkChat(first);
  assert.equal(first.title, null);
  assert.equal(first.peer_id, bob.id);
  assert.equal(first.member_count, 2);
  assert.deepEqual([...first.member_ids].sort(), [alice.id, bob.id].sort());
  const again = expectStatus(await alice.post('/v1/chats', { type: 'direct', member_ids: [bob.id] }), 200);
  assert.deepEqual(again, first);
  const other = expectStatus(await bob.post('/v1/chats', { type: 'direct', member_ids: [alice.id] }), 200);
  assert.equal(other.id, first.id);
  assert.equal(other.peer_id, alice.id);
});

test('a pair that begins at the same moment still gets one chat', async () => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const ask = (one, two) => one.post('/v1/chats', { type: 'direct', member_ids: [two.id] });
  const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => (i % 2 ? ask(alice, bob) : ask(bob, alice))));
  assert.deepEqual(answers.map((answer) => answer.status).sort(), [...Array(9).fill(200), 201]);
  assert.equal(new Set(answers.map((answer) => answer.body.id)).size, 1);
});

test('direct chats of different pairs are different', async () => {
  const [alice, bob, carol] = await registerMany(server, 'alice', 'bob', 'carol');
  const chats = [await createDirect(alice, bob), await createDirect(alice, carol), await createDirect(bob, carol)];
  assert.equal(new Set(chats.map((chat) => chat.id)).size, 3);
});

test('a direct chat cannot be renamed, deleted, joined or left', async () => {
  const [alice, bob, carol] = await registerMany(server, 'alice', 'bob', 'carol');
  const chat = await createDirect(alice, bob);
  const path = `/v1/chats/${chat.id}`;
  expectProblem(await alice.patch(path, { title: 'x' }), 409, 'direct_chat');
  expectProblem(await alice.delete(path), 409, 'direct_chat');
  expectProblem(await alice.put(`${path}/members/${carol.id}`, {}), 409, 'direct_chat');
  expectProblem(await alice.put(`${path}/members/${bob.id}`, { role: 'admin' }), 409, 'direct_chat');
  expectProblem(await alice.delete(`${path}/members/${bob.id}`), 409, 'direct_chat');
  expectProblem(await alice.delete(`${path}/members/${alice.id}`), 409, 'direct_chat');
  const { my_role, last_rev, member_count } = await getChat(bob, chat);
  assert.deepEqual({ last_rev, member_count }, { last_rev: chat.last_rev, member_count: 2 }, my_role);
});

const BAD_CHATS = [
  ['no type', () => ({ title: 'x', member_ids: [] }), 'missing_field', 'type'],
  ['an unknown type', () => ({ type: 'parliament', title: 'x', member_ids: [] }), 'bad_field', 'type'],
  ['a type that is no string', () => ({ type: 1, title: 'x', member_ids: [] }), 'bad_field', 'type'],
  ['a group without title', () => ({ type: 'group', member_ids: [] }), 'missing_field', 'title'],
  ['an empty title', () => ({ type: 'group', title: '', member_ids: [] }), 'bad_field', 'title'],
  ['a title of 129 characters', () => ({ type: 'group', title: '😀'.repeat(129), member_ids: [] }), 'bad_field', 'title'],
  ['no members list', () => ({ type: 'group', title: 'x' }), 'missing_field', 'member_ids'],
  ['members that are no list', () => ({ type: 'group', title: 'x', member_ids: '1' }), 'bad_field', 'member_ids'],
  ['a member id that is a number', () => ({ type: 'group', title: 'x', member_ids: [1] }), 'bad_field', 'member_ids'],
  ['a malformed member id', () => ({ type: 'group', title: 'x', member_ids: ['01'] }), 'bad_field', 'member_ids'],
  ['an unknown user', () => ({ type: 'group', title: 'x', member_ids: [NOBODY] }), 'bad_field', 'member_ids'],
  ['an unknown user beside a known one', (bob) => ({ type: 'group', title: 'x', member_ids: [bob.id, NOBODY] }), 'bad_field', 'member_ids'],
  ['an unknown history', () => ({ type: 'group', title: 'x', member_ids: [], history: 'none' }), 'bad_field', 'history'],
  ['a direct chat with nobody', () => ({ type: 'direct', member_ids: [] }), 'bad_field', 'member_ids'],
  ['a direct chat with an unknown user', () => ({ type: 'direct', member_ids: [NOBODY] }), 'bad_field', 'member_ids'],
  ['a direct chat of three', (bob, alice, carol) => ({ type: 'direct', member_ids: [bob.id, carol.id] }), 'bad_field', 'member_ids'],
  ['a direct chat with oneself', (bob, alice) => ({ type: 'direct', member_ids: [alice.id] }), 'bad_field', 'member_ids'],
  ['a direct chat with a title', (bob) => ({ type: 'direct', member_ids: [bob.id], title: 'x' }), ['bad_field', 'unknown_field'], 'title'],
  ['a direct chat with a history', (bob) => ({ type: 'direct', member_ids: [bob.id], history: 'all' }), ['bad_field', 'unknown_field'], 'history'],
];

test('chats that make no sense are refused', async (t) => {
  const [alice, bob, carol] = await registerMany(server, 'alice', 'bob', 'carol');
  for (const [what, body, code, field] of BAD_CHATS) {
    await t.test(what, async () => {
      expectProblem(await alice.post('/v1/chats', body(bob, alice, carol)), 400, code, field);
    });
  }
  assert.deepEqual((await listChats(alice)).items, []);
  assert.deepEqual((await listChats(bob)).items, []);
});

test('a title of 128 characters of four bytes is fine', async () => {
  const alice = await register(server, 'alice');
  const title = '😀'.repeat(128);
  assert.equal((await createGroup(alice, [], { title })).title, title);
});

test('renaming bumps rev and tells the members', async (t) => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const stream = await openReadyFor(t, server, { token: bob.token });
  await postMessage(alice, chat, 'before');
  const renamed = expectStatus(await alice.patch(`/v1/chats/${chat.id}`, { title: 'Dinner' }), 200);
  checkChat(renamed);
  assert.equal(renamed.title, 'Dinner');
  assert.deepEqual([renamed.rev, renamed.last_rev, renamed.last_seq], [3, 3, 1]);
  await stream.next('message.created');
  const event = await stream.next('chat.updated');
  assert.deepEqual([event.chat_id, event.rev, event.actor_id], [chat.id, 3, alice.id]);
  checkEventChat(event.chat);
  assert.equal(event.chat.title, 'Dinner');
  assert.equal((await getChat(bob, chat)).title, 'Dinner');
});

test('a message raises last_seq, last_rev and last_id but not rev', async () => {
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  const message = await postMessage(alice, chat, 'hello');
  const now = await getChat(alice, chat);
  assert.deepEqual([now.rev, now.last_seq, now.last_rev, now.last_id], [chat.rev, 1, 2, message.id]);
});

const BAD_CHANGES = [
  [{ title: '' }, 'bad_field', 'title'],
  [{ title: 'x'.repeat(129) }, 'bad_field', 'title'],
  [{ title: null }, 'bad_field', 'title'],
  [{ history: 'some' }, 'bad_field', 'history'],
  [{ type: 'direct' }, 'unknown_field', 'type'],
  [{ title: 'fine', created_by: '1' }, 'unknown_field', 'created_by'],
];

test('changes that make no sense change nothing', async () => {
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  for (const [body, code, field] of BAD_CHANGES) {
    expectProblem(await alice.patch(`/v1/chats/${chat.id}`, body), 400, code, field);
  }
  assert.deepEqual(await getChat(alice, chat), chat);
});

test('deleting a group ends it for everybody', async (t) => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const message = await postMessage(bob, chat, 'soon gone');
  const stream = await openReadyFor(t, server, { token: bob.token });
  expectStatus(await alice.delete(`/v1/chats/${chat.id}`), 204);
  const event = await stream.next('chat.deleted');
  assert.deepEqual([event.chat_id, event.actor_id, event.rev], [chat.id, alice.id, 3]);
  for (const account of [alice, bob]) {
    assert.deepEqual((await listChats(account)).items, []);
    expectProblem(await account.get(`/v1/chats/${chat.id}`), 404, 'not_found');
    expectProblem(await account.get(`/v1/chats/${chat.id}/messages`), 404, 'not_found');
    expectProblem(await account.get(`/v1/chats/${chat.id}/messages/${message.id}`), 404, 'not_found');
    expectProblem(await account.post(`/v1/chats/${chat.id}/messages`, { text: 'x' }), 404, 'not_found');
  }
  expectProblem(await alice.delete(`/v1/chats/${chat.id}`), 404, 'not_found');
});

test('the list has the chats one is in, most recent activity first', async () => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const one = await createGroup(alice, [bob], { title: 'one' });
  const two = await createGroup(alice, [], { title: 'two' });
  const three = await createGroup(alice, [bob], { title: 'three' });
  const titles = async (account) => (await listChats(account)).items.map((chat) => chat.title);
  assert.deepEqual(await titles(alice), ['three', 'two', 'one']);
  assert.deepEqual(await titles(bob), ['three', 'one']);
  await postMessage(bob, one, 'up again');
  assert.deepEqual(await titles(alice), ['one', 'three', 'two']);
  await removeMember(bob, three, bob);
  assert.deepEqual(await titles(bob), ['one']);
  await addMember(alice, two, bob);
  assert.deepEqual(await titles(bob), ['two', 'one']);
  for (const chat of (await listChats(alice)).items) {
    checkChat(chat);
    assert.deepEqual(chat, await getChat(alice, chat));
  }
});

test('the list comes in pages that miss and repeat nothing', async () => {
  const alice = await register(server, 'alice');
  const made = [];
  for (let i = 0; i < 7; i++) made.unshift((await createGroup(alice)).id);
  for (const limit of [1, 3, 7]) {
    const seen = [];
    for (let query = `?limit=${limit}`; query; ) {
      const page = await listChats(alice, query);
      assert.ok(page.items.length <= limit);
      seen.push(...page.items.map((chat) => chat.id));
      query = page.next === null ? null : `?limit=${limit}&cursor=${encodeURIComponent(page.next)}`;
    }
    assert.deepEqual(seen, made, `limit ${limit}`);
  }
});

test('what happens after the list was read follows its as_of on the stream', async (t) => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  await postMessage(alice, chat, 'in the list');
  const { as_of } = await listChats(bob);
  const message = await postMessage(alice, chat, 'after the list');
  const stream = await openReadyFor(t, server, { token: bob.token, lastEventId: as_of });
  assert.deepEqual((await stream.next('message.created')).message, message);
});

test('a group larger than the limit is refused, one as large is not', async (t) => {
  const small = await startServerFor(t, { env: { PARLEY_GROUP_MAX: '3' } });
  const [alice, bob, carol, dave] = await registerMany(small, 'alice', 'bob', 'carol', 'dave');
  const create = (...members) => alice.post('/v1/chats', { type: 'group', title: 'x', member_ids: members.map((member) => member.id) });
  expectProblem(await create(bob, carol, dave), 400, 'bad_field', 'member_ids');
  const chat = expectStatus(await create(bob, carol), 201);
  expectProblem(await alice.put(`/v1/chats/${chat.id}/members/${dave.id}`, {}), 409, 'chat_full');
  await removeMember(alice, chat, bob);
  await addMember(alice, chat, dave);
  assert.equal((await getChat(alice, chat)).member_count, 3);
});

test('nobody becomes a member of more chats than allowed', async (t) => {
  const small = await startServerFor(t, { env: { PARLEY_CHATS_PER_USER: '2' } });
  const [alice, bob, carol] = await registerMany(small, 'alice', 'bob', 'carol');
  const first = await createGroup(alice, [bob]);
  await createGroup(bob, []);
  const direct = { type: 'direct', member_ids: [bob.id] };
  expectProblem(await alice.post('/v1/chats', direct), 409, 'too_many_chats');
  const full = await createGroup(carol, []);
  expectProblem(await carol.put(`/v1/chats/${full.id}/members/${bob.id}`, {}), 409, 'too_many_chats');
  await removeMember(bob, first, bob);
  const chat = expectStatus(await alice.post('/v1/chats', direct), 201);
  assert.equal(expectStatus(await alice.post('/v1/chats', direct), 200).id, chat.id, 'an existing one is still answered');
});
