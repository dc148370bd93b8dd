// What a group says of itself, who may do what in it, and slow mode.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { addMember, createDirect, createGroup, createLink, expectProblem, expectStatus, getChat, postMessage, register, registerMany, removeMember } from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { startServer } from '../support/server.mjs';
import { checkChat, checkEventChat } from '../support/shapes.mjs';

const server = await startServer();
after(() => server.dispose());

const pathOf = (chat) => `/v1/chats/${chat.id}`;
const messagesOf = (chat) => `${pathOf(chat)}/messages`;
const post = (account, chat, text, options) => account.post(messagesOf(chat), { text }, options);

async function change(account, chat, fields) {
  return expectStatus(await account.patch(pathOf(chat), fields), 200);
}

// An owner, an admin, a member, and their group.
async function createStaffedGroup(t) {
  const [owner, admin, member] = await registerMany(server, 'owner', 'admin', 'member');
  const chat = await createGroup(owner, [member]);
  await addMember(owner, chat, admin, { role: 'admin' });
  const stream = t && (await openReadyFor(t, server, { token: member.token }));
  return { owner, admin, member, chat, stream };
}

// Posts until it is accepted; every refusal says slow mode, and for how long.
async function postWhenPossible(account, chat, text) {
  for (;;) {
    const answer = await post(account, chat, text);
    if (answer.status === 201) return answer.body;
    expectProblem(answer, 429, 'slow_mode');
  }
}

test('a new group has no description and no slow mode, members post, and admins do the rest', async () => {
  const chat = await createGroup(await register(server, 'owner'));
  checkChat(chat);
  const { description, slow_mode_s, permissions } = chat;
  assert.deepEqual({ description, slow_mode_s, permissions }, { description: null, slow_mode_s: 0, permissions: { post: 'members', add: 'admins', edit: 'admins' } });
});

test('all members learn of a description, and of its end', async (t) => {
  const { admin, member, chat, stream } = await createStaffedGroup(t);
  const changed = await change(admin, chat, { description: 'Where to meet\nand when: 10 ☕' });
  assert.equal(changed.description, 'Where to meet\nand when: 10 ☕');
  const event = await stream.next('chat.updated');
  checkEventChat(event.chat);
  assert.deepEqual([event.chat.description, event.rev, changed.rev], [changed.description, changed.rev, event.rev]);
  assert.equal((await getChat(member, chat)).description, changed.description);
  assert.equal((await change(admin, chat, { description: '' })).description, null);
  assert.equal((await stream.next('chat.updated')).chat.description, null);
});

test('a setting that is as it was changes nothing', async () => {
  const { owner, chat } = await createStaffedGroup();
  const fields = { description: 'Same', slow_mode_s: 5, permissions: { post: 'admins', add: 'members' } };
  const first = await change(owner, chat, fields);
  assert.deepEqual(await change(owner, chat, fields), first);
  assert.deepEqual(await change(owner, chat, { permissions: {} }), first);
});

test('bad settings are refused by name', async () => {
  const { owner, chat } = await createStaffedGroup();
  const before = await getChat(owner, chat);
  const bad = [
    ['description', 'x'.repeat(513)], ['description', 7], ['description', null],
    ['slow_mode_s', -1], ['slow_mode_s', 3601], ['slow_mode_s', 1.5], ['slow_mode_s', '1'],
    ['permissions', null], ['permissions', 'admins'], ['permissions', { post: 'owners' }], ['permissions', { post: null }], ['permissions', { read: 'members' }],
  ];
  for (const [field, value] of bad) expectProblem(await owner.patch(pathOf(chat), { [field]: value }), 400, 'bad_field', field);
  assert.deepEqual(await getChat(owner, chat), before);
  const longest = '☕'.repeat(512);
  assert.equal((await change(owner, chat, { description: longest })).description, longest);
});

test('a direct chat has none of it', async () => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createDirect(alice, bob);
  for (const fields of [{ description: 'We' }, { slow_mode_s: 1 }, { permissions: { post: 'admins' } }]) {
    expectProblem(await alice.patch(pathOf(chat), fields), 409, 'direct_chat');
  }
  await postMessage(bob, chat, 'still free');
});

test('where only admins post, members read', async () => {
  const { owner, admin, member, chat } = await createStaffedGroup();
  await change(owner, chat, { permissions: { post: 'admins' } });
  expectProblem(await post(member, chat, 'refused'), 403, 'forbidden');
  await postMessage(admin, chat, 'announced');
  await postMessage(owner, chat, 'announced, too');
  await change(owner, chat, { permissions: { post: 'members' } });
  await postMessage(member, chat, 'accepted');
  assert.equal((await getChat(member, chat)).last_seq, 3);
});

test('where members may add, they add members but no admins', async () => {
  const { owner, member, chat } = await createStaffedGroup();
  const [guest, other] = await registerMany(server, 'guest', 'other');
  const memberPath = (account) => `${pathOf(chat)}/members/${account.id}`;
  expectProblem(await member.put(memberPath(guest), {}), 403, 'forbidden');
  await change(owner, chat, { permissions: { add: 'members' } });
  expectProblem(await member.put(memberPath(guest), { role: 'admin' }), 403, 'forbidden');
  assert.equal((await addMember(member, chat, guest)).role, 'member');
  await addMember(guest, chat, other);
  expectProblem(await member.delete(memberPath(guest)), 403, 'forbidden');
});

test('where members may edit, they change what the chat shows and nothing else', async () => {
  const { owner, member, chat } = await createStaffedGroup();
  expectProblem(await member.patch(pathOf(chat), { title: 'Ours' }), 403, 'forbidden');
  await change(owner, chat, { permissions: { edit: 'members' } });
  const changed = await change(member, chat, { title: 'Ours', description: 'By all of us' });
  assert.deepEqual([changed.title, changed.description], ['Ours', 'By all of us']);
  const rules = [{ permissions: { post: 'admins' } }, { slow_mode_s: 1 }, { history: 'all' }, { message_ttl_s: 60 }, { until_delivered: true }];
  for (const fields of rules) expectProblem(await member.patch(pathOf(chat), { title: 'Mine', ...fields }), 403, 'forbidden');
  assert.deepEqual(await getChat(member, chat), changed);
});

test('in slow mode a member waits as long as said, and not longer', async () => {
  const { owner, member, chat } = await createStaffedGroup();
  await change(owner, chat, { slow_mode_s: 4 });
  const first = await postMessage(member, chat, 'first');
  const sinceFirst_ms = () => Date.now() - Date.parse(first.created_at);
  const refused = await post(member, chat, 'too soon');
  expectProblem(refused, 429, 'slow_mode');
  const wait_s = Number(refused.headers['retry-after']);
  assert.ok(wait_s <= 4 && wait_s >= 4 - sinceFirst_ms() / 1000, `${wait_s} s`);
  const second = await postWhenPossible(member, chat, 'second');
  const pause_ms = Date.parse(second.created_at) - Date.parse(first.created_at);
  assert.ok(pause_ms >= 4000 && pause_ms < 7500, `${pause_ms} ms`);
  assert.equal(second.seq, 2);
});

test('of many messages at once slow mode takes one', async () => {
  const { owner, member, chat } = await createStaffedGroup();
  await change(owner, chat, { slow_mode_s: 3600 });
  const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => post(member, chat, `message ${index}`)));
  assert.equal(answers.filter((answer) => answer.status === 201).length, 1);
  for (const answer of answers.filter((candidate) => candidate.status !== 201)) {
    expectProblem(answer, 429, 'slow_mode');
    assert.ok(Number(answer.headers['retry-after']) > 3500);
  }
  await change(owner, chat, { slow_mode_s: 0 });
  await postMessage(member, chat, 'free again');
});

test('slow mode does not hold for admins, nor for a repeated request', async () => {
  const { owner, admin, member, chat } = await createStaffedGroup();
  await change(owner, chat, { slow_mode_s: 3600 });
  for (const account of [owner, owner, admin, admin]) await postMessage(account, chat, 'at once');
  const headers = { 'Idempotency-Key': 'once' };
  const posted = expectStatus(await post(member, chat, 'mine', { headers }), 201);
  assert.deepEqual(expectStatus(await post(member, chat, 'mine', { headers }), 200), posted);
});

test('the settings outlive a restart, and go with the chat', async () => {
  const { owner, member, chat } = await createStaffedGroup();
  const before = await change(owner, chat, { description: 'To stay', slow_mode_s: 3600, permissions: { edit: 'members' } });
  await postMessage(member, chat, 'before');
  await server.stop();
  await server.start();
  assert.deepEqual(await getChat(owner, chat), { ...before, last_seq: 1, last_rev: before.last_rev + 1, last_id: (await getChat(owner, chat)).last_id });
  expectProblem(await post(member, chat, 'too soon'), 429, 'slow_mode');
  await removeMember(owner, chat, member);
  expectProblem(await post(member, chat, 'gone'), 404, 'not_found');
});

test('who leaves a chat in slow mode and comes back waits no less', async () => {
  const [owner, member] = await registerMany(server, 'owner', 'member');
  const chat = await createGroup(owner, [member]);
  await change(owner, chat, { slow_mode_s: 3600 });
  await postMessage(member, chat, 'first');
  await removeMember(member, chat, member);
  await addMember(owner, chat, member);
  expectProblem(await post(member, chat, 'again'), 429, 'slow_mode');
  const link = await createLink(owner, chat);
  await removeMember(member, chat, member);
  expectStatus(await member.post(`/v1/links/${link.token}/join`), 201);
  expectProblem(await post(member, chat, 'again'), 429, 'slow_mode');
  await change(owner, chat, { slow_mode_s: 0 });
  expectStatus(await post(member, chat, 'again'), 201);
});
