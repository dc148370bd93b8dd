// Who is in a chat, who may change that, and what joining and leaving hide.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { addMember, createGroup, expectProblem, expectStatus, getChat, historyPage, postMany, postMessage, register, registerMany, removeMember, wholeHistory } from '../support/client.mjs';
import { openReady, openReadyFor } from '../support/events.mjs';
import { startServer } from '../support/server.mjs';
import { TIME, checkEventChat, checkKeys, checkList } from '../support/shapes.mjs';

const server = await startServer();
after(() => server.dispose());

async function listMembers(account, chat, query = '') {
  const list = expectStatus(await account.get(`/v1/chats/${chat.id}/members${query}`), 200);
  checkList(list);
  return list;
}

async function roles(account, chat) {
  const { items } = await listMembers(account, chat);
  return Object.fromEntries(items.map((member) => [member.user_id, member.role]));
}

const memberPath = (chat, account) => `/v1/chats/${chat.id}/members/${account.id}`;
const texts = (messages) => messages.map((message) => message.text);

// Shows that nothing else waits on the stream: the next event is one made just now.
async function nothingElse(stream, account) {
  expectStatus(await account.patch('/v1/users/me', { display_name: 'barrier' }), 200);
  await stream.next('user.updated');
}

test('the list of members has everybody once, by id, with role and time', async () => {
  const [alice, bob, carol] = await registerMany(server, 'alice', 'bob', 'carol');
  const chat = await createGroup(alice, [carol, bob]);
  const { items, next } = await listMembers(bob, chat);
  assert.equal(next, null);
  const wanted = [alice, bob, carol].map((account) => account.id).sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1));
  assert.deepEqual(items.map((member) => member.user_id), wanted);
  assert.deepEqual(await roles(bob, chat), { [alice.id]: 'owner', [bob.id]: 'member', [carol.id]: 'member' });
  for (const member of items) {
    checkKeys(member, ['user_id', 'role', 'joined_at']);
    assert.match(member.joined_at, TIME);
  }
});

test('the list of members comes in pages that miss and repeat nothing', async () => {
  const accounts = await registerMany(server, 'owner', 'b', 'c', 'd', 'e');
  const chat = await createGroup(accounts[0], accounts.slice(1));
  const seen = [];
  for (let query = '?limit=2'; query; ) {
    const page = await listMembers(accounts[0], chat, query);
    assert.ok(page.items.length <= 2);
    seen.push(...page.items.map((member) => member.user_id));
    query = page.next === null ? null : `?limit=2&cursor=${encodeURIComponent(page.next)}`;
  }
  assert.deepEqual(seen, accounts.map((account) => account.id).sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1)));
});

test('adding a member tells everybody, the new one first of all', async (t) => {
  const [alice, bob, carol] = await registerMany(server, 'alice', 'bob', 'carol');
  const chat = await createGroup(alice, [bob]);
  const bobStream = await openReadyFor(t, server, { token: bob.token });
  const carolStream = await openReadyFor(t, server, { token: carol.token });
  const answer = await alice.put(memberPath(chat, carol), {});
  const member = expectStatus(answer, 201);
  checkKeys(member, ['user_id', 'role', 'joined_at']);
  assert.deepEqual([member.user_id, member.role], [carol.id, 'member']);
  for (const stream of [bobStream, carolStream]) {
    const event = await stream.next('member.added');
    assert.deepEqual([event.chat_id, event.rev, event.actor_id], [chat.id, 2, alice.id]);
    assert.deepEqual(event.member, member);
    checkEventChat(event.chat);
    assert.equal(event.chat.member_count, 3);
  }
  assert.equal((await getChat(carol, chat)).my_role, 'member');
});

test('adding somebody twice changes nothing', async (t) => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const stream = await openReadyFor(t, server, { token: bob.token });
  expectStatus(await alice.put(memberPath(chat, bob), {}), 200);
  expectStatus(await alice.put(memberPath(chat, bob), { role: 'member' }), 200);
  assert.equal((await getChat(alice, chat)).last_rev, 1);
  await nothingElse(stream, bob);
});

test('an unknown user cannot be added', async () => {
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  expectProblem(await alice.put(memberPath(chat, { id: '9223372036854775807' }), {}), 404, 'not_found');
  expectProblem(await alice.put(memberPath(chat, { id: chat.id }), {}), 404, 'not_found');
});

test('a role is one of three', async () => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice);
  for (const role of ['', 'Owner', 'guest', 1, null]) {
    expectProblem(await alice.put(memberPath(chat, bob), { role }), 400, 'bad_field', 'role');
  }
  assert.deepEqual(await roles(alice, chat), { [alice.id]: 'owner' });
});

test('an owner makes admins and owners, and takes it back', async (t) => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const stream = await openReadyFor(t, server, { token: bob.token });
  for (const role of ['admin', 'owner', 'member']) {
    const member = expectStatus(await alice.put(memberPath(chat, bob), { role }), 200);
    assert.equal(member.role, role);
    const event = await stream.next('member.updated');
    assert.deepEqual(event.member, member);
    assert.equal((await getChat(bob, chat)).my_role, role);
  }
});

test('an admin adds members and removes members, and no more', async () => {
  const [owner, admin, other, member, guest] = await registerMany(server, 'owner', 'admin', 'other', 'member', 'guest');
  const chat = await createGroup(owner, [member]);
  await addMember(owner, chat, admin, { role: 'admin' });
  await addMember(owner, chat, other, { role: 'admin' });
  for (const role of ['admin', 'owner']) {
    expectProblem(await admin.put(memberPath(chat, guest), { role }), 403, 'forbidden');
    expectProblem(await admin.put(memberPath(chat, member), { role }), 403, 'forbidden');
    expectProblem(await admin.put(memberPath(chat, admin), { role: 'owner' }), 403, 'forbidden');
  }
  for (const peer of [owner, other]) {
    expectProblem(await admin.delete(memberPath(chat, peer)), 403, 'forbidden');
    expectProblem(await admin.put(memberPath(chat, peer), { role: 'member' }), 403, 'forbidden');
  }
  expectStatus(await admin.put(memberPath(chat, guest), { role: 'member' }), 201);
  expectStatus(await admin.delete(memberPath(chat, member)), 204);
  assert.deepEqual(await roles(owner, chat), {
    [owner.id]: 'owner', [admin.id]: 'admin', [other.id]: 'admin', [guest.id]: 'member',
  });
});

test('a member adds, removes and promotes nobody, not even themselves', async () => {
  const [owner, one, two, guest] = await registerMany(server, 'owner', 'one', 'two', 'guest');
  const chat = await createGroup(owner, [one, two]);
  expectProblem(await one.put(memberPath(chat, guest), {}), 403, 'forbidden');
  expectProblem(await one.delete(memberPath(chat, two)), 403, 'forbidden');
  expectProblem(await one.put(memberPath(chat, one), { role: 'owner' }), 403, 'forbidden');
  assert.equal((await getChat(owner, chat)).last_rev, 1);
});

test('the last owner cannot step down but may when there is another', async () => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  expectProblem(await alice.put(memberPath(chat, alice), { role: 'member' }), 409, 'conflict');
  assert.equal((await getChat(alice, chat)).my_role, 'owner');
  await addMember(alice, chat, bob, { role: 'owner' });
  expectStatus(await alice.put(memberPath(chat, alice), { role: 'member' }), 200);
  assert.equal((await getChat(alice, chat)).my_role, 'member');
});

test('the last owner leaving hands over to the longest-serving admin', async (t) => {
  const [owner, first, second, veteran] = await registerMany(server, 'owner', 'first', 'second', 'veteran');
  const chat = await createGroup(owner, [veteran]);
  await addMember(owner, chat, first);
  await addMember(owner, chat, second, { role: 'admin' });
  await addMember(owner, chat, first, { role: 'admin' });
  const stream = await openReadyFor(t, server, { token: veteran.token });
  await removeMember(owner, chat, owner);
  const updated = await stream.next('member.updated');
  const removed = await stream.next('member.removed');
  assert.deepEqual([updated.member.user_id, updated.member.role], [first.id, 'owner']);
  assert.equal(removed.member.user_id, owner.id);
  assert.equal(removed.rev, updated.rev + 1);
  assert.deepEqual(await roles(veteran, chat), { [first.id]: 'owner', [second.id]: 'admin', [veteran.id]: 'member' });
});

test('without an admin the longest-serving member takes over', async () => {
  const [owner, late, early] = await registerMany(server, 'owner', 'late', 'early');
  const chat = await createGroup(owner, [early]);
  await addMember(owner, chat, late);
  await removeMember(owner, chat, owner);
  assert.deepEqual(await roles(early, chat), { [early.id]: 'owner', [late.id]: 'member' });
});

test('an owner leaving beside another owner promotes nobody', async () => {
  const [one, two, member] = await registerMany(server, 'one', 'two', 'member');
  const chat = await createGroup(one, [member]);
  await addMember(one, chat, two, { role: 'owner' });
  await removeMember(one, chat, one);
  assert.deepEqual(await roles(member, chat), { [two.id]: 'owner', [member.id]: 'member' });
});

test('owners leaving at the same moment leave exactly one owner behind', async () => {
  const [one, two, member] = await registerMany(server, 'one', 'two', 'member');
  const chat = await createGroup(one, [member]);
  await addMember(one, chat, two, { role: 'owner' });
  await Promise.all([removeMember(one, chat, one), removeMember(two, chat, two)]);
  assert.deepEqual(await roles(member, chat), { [member.id]: 'owner' });
});

test('the last member leaving ends the chat', async () => {
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  await removeMember(alice, chat, alice);
  expectProblem(await alice.get(`/v1/chats/${chat.id}`), 404, 'not_found');
  assert.deepEqual(expectStatus(await alice.get('/v1/chats'), 200).items, []);
});

test('who is not in the chat cannot be removed from it', async () => {
  const [alice, bob, carol] = await registerMany(server, 'alice', 'bob', 'carol');
  const chat = await createGroup(alice, [bob]);
  expectProblem(await alice.delete(memberPath(chat, carol)), 404, 'not_found');
  await removeMember(alice, chat, bob);
  expectProblem(await alice.delete(memberPath(chat, bob)), 404, 'not_found');
  expectProblem(await bob.delete(memberPath(chat, bob)), 404, 'not_found');
});

test('who joins does not see what came before', async (t) => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice);
  const before = await postMany(alice, chat, 3, 'before');
  const { as_of } = expectStatus(await bob.get('/v1/chats'), 200);
  await postMessage(alice, chat, 'between');
  await addMember(alice, chat, bob);
  const later = await postMessage(alice, chat, 'later');

  assert.deepEqual(texts(await wholeHistory(bob, chat)), ['later']);
  for (const query of [{ before: later.id }, { around: before[0].id }, { before: before[2].id }]) {
    const page = await historyPage(bob, chat, query);
    assert.ok(texts(page.items).every((text) => text === 'later'), JSON.stringify(query));
  }
  assert.deepEqual(texts((await historyPage(bob, chat, { after: before[0].id })).items), ['later']);
  expectProblem(await bob.get(`/v1/chats/${chat.id}/messages/${before[0].id}`), 404, 'not_found');
  const stream = await openReadyFor(t, server, { token: bob.token, lastEventId: as_of });
  await stream.next('member.added');
  assert.equal((await stream.next('message.created')).message.text, 'later');
});

test('an edit or deletion of what came before does not show it to who joined later', async (t) => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice);
  const [first, second] = await postMany(alice, chat, 2, 'hidden');
  await addMember(alice, chat, bob);
  const stream = await openReadyFor(t, server, { token: bob.token });
  expectStatus(await alice.patch(`/v1/chats/${chat.id}/messages/${first.id}`, { text: 'hidden edit' }), 200);
  expectStatus(await alice.delete(`/v1/chats/${chat.id}/messages/${second.id}`), 204);
  await postMessage(alice, chat, 'visible');
  const events = await stream.until((event) => event.type === 'message.created');
  assert.ok(!JSON.stringify(events).includes('hidden'), JSON.stringify(events));
  assert.deepEqual(texts(await wholeHistory(bob, chat)), ['visible']);
});

test('with history "all" who joins sees everything, as long as they are in', async () => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice, [], { history: 'all' });
  const [first] = await postMany(alice, chat, 2, 'before');
  await addMember(alice, chat, bob);
  await postMessage(alice, chat, 'later');
  assert.deepEqual(texts(await wholeHistory(bob, chat)), ['before 1', 'before 2', 'later']);
  assert.equal(expectStatus(await bob.get(`/v1/chats/${chat.id}/messages/${first.id}`), 200).text, 'before 1');
  await removeMember(bob, chat, bob);
  assert.deepEqual(texts(await wholeHistory(bob, chat)), ['later']);
  expectProblem(await bob.get(`/v1/chats/${chat.id}/messages/${first.id}`), 404, 'not_found');
});

test('opening the history later shows it to those who are in', async () => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice);
  await postMessage(alice, chat, 'before');
  await addMember(alice, chat, bob);
  assert.deepEqual(texts(await wholeHistory(bob, chat)), []);
  expectStatus(await alice.patch(`/v1/chats/${chat.id}`, { history: 'all' }), 200);
  assert.deepEqual(texts(await wholeHistory(bob, chat)), ['before']);
});

test('who left keeps what came before and sees nothing after', async () => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const [first] = await postMany(alice, chat, 2, 'before');
  await removeMember(alice, chat, bob);
  const hidden = await postMessage(alice, chat, 'after');

  assert.deepEqual(texts(await wholeHistory(bob, chat)), ['before 1', 'before 2']);
  assert.deepEqual(texts((await historyPage(bob, chat, { after: first.id })).items), ['before 2']);
  expectStatus(await bob.get(`/v1/chats/${chat.id}/messages/${first.id}`), 200);
  expectProblem(await bob.get(`/v1/chats/${chat.id}/messages/${hidden.id}`), 404, 'not_found');
  expectProblem(await bob.get(`/v1/chats/${chat.id}`), 404, 'not_found');
  expectProblem(await bob.get(`/v1/chats/${chat.id}/members`), 404, 'not_found');
  expectProblem(await bob.post(`/v1/chats/${chat.id}/messages`, { text: 'x' }), 404, 'not_found');
});

test('a live stream ends for the chat with the removal, and goes on for the rest', async (t) => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const [chat, other] = [await createGroup(alice, [bob]), await createGroup(alice, [bob])];
  const stream = await openReadyFor(t, server, { token: bob.token });
  await postMessage(alice, chat, 'before');
  await removeMember(alice, chat, bob);
  await postMessage(alice, chat, 'after');
  await postMessage(alice, other, 'elsewhere');
  assert.equal((await stream.next('message.created')).message.text, 'before');
  const removed = await stream.next('member.removed');
  assert.deepEqual([removed.chat_id, removed.actor_id, removed.member], [chat.id, alice.id, { user_id: bob.id }]);
  assert.equal((await stream.next('message.created')).message.text, 'elsewhere');
});

test('a device that was offline still gets what came before the removal, and nothing after', async (t) => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const offline = await openReady(server, { token: bob.token });
  offline.cut();
  await postMany(alice, chat, 2, 'before');
  await removeMember(bob, chat, bob);
  await postMessage(alice, chat, 'after');
  const stream = await openReadyFor(t, server, { token: bob.token, lastEventId: offline.lastEventId });
  assert.equal((await stream.next('message.created')).message.text, 'before 1');
  assert.equal((await stream.next('message.created')).message.text, 'before 2');
  await stream.next('member.removed');
  await nothingElse(stream, bob);
});

test('what changed after leaving is withheld from who left', async (t) => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const offline = await openReady(server, { token: bob.token });
  offline.cut();
  const message = await postMessage(alice, chat, 'as bob knew it');
  await removeMember(alice, chat, bob);
  expectStatus(await alice.patch(`/v1/chats/${chat.id}/messages/${message.id}`, { text: 'later words' }), 200);

  const read = expectStatus(await bob.get(`/v1/chats/${chat.id}/messages/${message.id}`), 200);
  const [listed] = await wholeHistory(bob, chat);
  const stream = await openReadyFor(t, server, { token: bob.token, lastEventId: offline.lastEventId });
  const replayed = (await stream.next('message.created')).message;
  for (const seen of [read, listed, replayed]) {
    assert.equal(seen.withheld, true);
    assert.equal(seen.id, message.id);
    assert.equal('text' in seen || 'salt' in seen, false, JSON.stringify(seen));
    assert.match(seen.body_hash, /^[0-9a-f]{32}$/);
    assert.equal(seen.chain, message.chain);
  }
});

test('who comes back sees both stays and not the time between', async (t) => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const offline = await openReady(server, { token: bob.token });
  offline.cut();
  await postMessage(alice, chat, 'first stay');
  await removeMember(alice, chat, bob);
  const [gap] = await postMany(alice, chat, 2, 'away');
  await addMember(alice, chat, bob);
  await postMessage(alice, chat, 'second stay');

  assert.deepEqual(texts(await wholeHistory(bob, chat)), ['first stay', 'second stay']);
  assert.deepEqual(texts((await historyPage(bob, chat, { around: gap.id, limit: 10 })).items), ['first stay', 'second stay']);
  expectProblem(await bob.get(`/v1/chats/${chat.id}/messages/${gap.id}`), 404, 'not_found');
  const stream = await openReadyFor(t, server, { token: bob.token, lastEventId: offline.lastEventId });
  const types = (await stream.take(4)).map((event) => event.message?.text ?? event.type);
  assert.deepEqual(types, ['first stay', 'member.removed', 'member.added', 'second stay']);
});
