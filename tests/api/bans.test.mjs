// Who may not be a member of a group.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { addMember, createDirect, createGroup, createLink, expectProblem, expectStatus, getChat, postMessage, register, registerMany, removeMember } from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { startServer } from '../support/server.mjs';
import { TIME, checkKeys, checkList } from '../support/shapes.mjs';

const server = await startServer();
after(() => server.dispose());

const bansOf = (chat) => `/v1/chats/${chat.id}/bans`;
const ban = (actor, chat, user) => actor.put(`${bansOf(chat)}/${user.id}`);
const lift = (actor, chat, user) => actor.delete(`${bansOf(chat)}/${user.id}`);
const add = (actor, chat, user) => actor.put(`/v1/chats/${chat.id}/members/${user.id}`, {});
const join = (user, link) => user.post(`/v1/links/${link.token}/join`);

async function listBans(actor, chat, query = '') {
  const list = expectStatus(await actor.get(bansOf(chat) + query), 200);
  checkList(list);
  return list;
}

// An owner, an admin, a member, and their group.
async function createStaffedGroup() {
  const [owner, admin, member] = await registerMany(server, 'owner', 'admin', 'member');
  const chat = await createGroup(owner, [member]);
  await addMember(owner, chat, admin, { role: 'admin' });
  return { owner, admin, member, chat };
}

test('a banned member is out, and everybody learns it', async (t) => {
  const { owner, admin, member, chat } = await createStaffedGroup();
  const streams = [await openReadyFor(t, server, { token: owner.token }), await openReadyFor(t, server, { token: member.token })];
  const banned = expectStatus(await ban(admin, chat, member), 201);
  checkKeys(banned, ['user_id', 'banned_by', 'created_at']);
  assert.deepEqual([banned.user_id, banned.banned_by], [member.id, admin.id]);
  assert.match(banned.created_at, TIME);
  for (const stream of streams) {
    const event = await stream.next('member.removed');
    assert.deepEqual([event.chat_id, event.actor_id, event.member.user_id], [chat.id, admin.id, member.id]);
  }
  expectProblem(await member.get(`/v1/chats/${chat.id}`), 404, 'not_found');
  assert.equal((await getChat(owner, chat)).member_count, 2);
  assert.deepEqual((await listBans(owner, chat)).items, [banned]);
});

test('banning twice changes nothing', async () => {
  const { owner, admin, member, chat } = await createStaffedGroup();
  const first = expectStatus(await ban(admin, chat, member), 201);
  const before = await getChat(owner, chat);
  assert.deepEqual(expectStatus(await ban(owner, chat, member), 200), first);
  assert.deepEqual(await getChat(owner, chat), before);
});

test('of several bans at once one removes the member', async () => {
  const { owner, admin, member, chat } = await createStaffedGroup();
  const answers = await Promise.all([ban(owner, chat, member), ban(admin, chat, member), ban(owner, chat, member)]);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 200, 201]);
  assert.equal((await getChat(owner, chat)).member_count, 2);
});

test('who is banned can neither be added nor join', async () => {
  const { owner, admin, member, chat } = await createStaffedGroup();
  const [open, closed] = [await createLink(owner, chat, { uses: 1 }), await createLink(owner, chat, { approval: true })];
  expectStatus(await ban(admin, chat, member), 201);
  expectProblem(await add(owner, chat, member), 403, 'banned');
  expectProblem(await join(member, open), 403, 'banned');
  expectProblem(await join(member, closed), 403, 'banned');
  for (const link of [open, closed]) {
    const problem = expectProblem(await member.get(`/v1/links/${link.token}`), 403, 'banned');
    assert.ok(!JSON.stringify(problem).includes(chat.title));
  }
  expectStatus(await lift(owner, chat, member), 204);
  assert.equal(expectStatus(await join(member, open), 201).my_role, 'member');
  assert.deepEqual((await listBans(owner, chat)).items, []);
});

test('somebody who is no member is banned before they come', async () => {
  const { owner, admin, chat } = await createStaffedGroup();
  const guest = await register(server, 'guest');
  const link = await createLink(owner, chat, { approval: true });
  expectStatus(await join(guest, link), 202);
  const before = await getChat(owner, chat);
  expectStatus(await ban(admin, chat, guest), 201);
  assert.deepEqual(await getChat(owner, chat), before);
  assert.deepEqual(expectStatus(await owner.get(`/v1/chats/${chat.id}/requests`), 200).items, []);
  expectProblem(await join(guest, link), 403, 'banned');
  await lift(admin, chat, guest);
  expectStatus(await join(guest, link), 202);
});

test('admins ban members, owners ban admins and owners, and nobody themselves', async () => {
  const { owner, admin, member, chat } = await createStaffedGroup();
  const second = await register(server, 'second');
  await addMember(owner, chat, second, { role: 'owner' });
  expectProblem(await ban(member, chat, admin), 403, 'forbidden');
  expectProblem(await ban(admin, chat, owner), 403, 'forbidden');
  for (const actor of [owner, admin]) expectProblem(await ban(actor, chat, actor), 409, 'conflict', 'user_id');
  expectStatus(await ban(owner, chat, admin), 201);
  expectStatus(await ban(second, chat, owner), 201);
  expectProblem(await owner.get(bansOf(chat)), 404, 'not_found');
  await removeMember(second, chat, second);
  assert.equal((await getChat(member, chat)).my_role, 'owner', 'the last who is left takes over');
  assert.equal((await listBans(member, chat)).items.length, 2);
});

test('a ban that is not there cannot be lifted, nor one of nobody made', async () => {
  const { owner, member, chat } = await createStaffedGroup();
  expectProblem(await lift(owner, chat, member), 404, 'not_found');
  expectProblem(await ban(owner, chat, { id: '9223372036854775807' }), 404, 'not_found');
  expectProblem(await ban(owner, chat, chat), 404, 'not_found');
});

test('a direct chat has no bans', async () => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createDirect(alice, bob);
  expectProblem(await ban(alice, chat, bob), 409, 'direct_chat');
  expectProblem(await alice.get(bansOf(chat)), 403, 'forbidden');
  await postMessage(bob, chat, 'still here');
});

test('bans come in pages, and outlive a restart', async () => {
  const { owner, chat } = await createStaffedGroup();
  const guests = await registerMany(server, 'a', 'b', 'c', 'd', 'e');
  for (const guest of guests) expectStatus(await ban(owner, chat, guest), 201);
  await server.stop();
  await server.start();
  const seen = [];
  for (let query = '?limit=2'; query; ) {
    const page = await listBans(owner, chat, query);
    seen.push(...page.items.map((banned) => banned.user_id));
    query = page.next === null ? null : `?limit=2&cursor=${page.next}`;
  }
  assert.deepEqual(seen, guests.map((guest) => guest.id).sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1)));
  expectProblem(await add(owner, chat, guests[0]), 403, 'banned');
});
