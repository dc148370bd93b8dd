// Invitation links, who joins by them, and who waits to be let in.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { addMember, createDirect, createGroup, createLink, expectProblem, expectStatus, getChat, postMessage, register, registerMany, removeMember } from '../support/client.mjs';
import { NO_CLOCK, cleanUp, startManual } from '../support/cleanup.mjs';
import { openReadyFor } from '../support/events.mjs';
import { startServer } from '../support/server.mjs';
import { ID, TIME, TOKEN, checkChat, checkEventChat, checkKeys, checkList } from '../support/shapes.mjs';
import { eventually } from '../support/wait.mjs';

const DAY_MS = 24 * 3600_000;

const server = await startServer();
after(() => server.dispose());

const linksOf = (chat) => `/v1/chats/${chat.id}/links`;
const requestsOf = (chat) => `/v1/chats/${chat.id}/requests`;
const join = (account, link) => account.post(`/v1/links/${link.token}/join`);
const look = (account, link) => account.get(`/v1/links/${link.token}`);
const revoke = (account, chat, link) => account.delete(`${linksOf(chat)}/${link.id}`);
const answer = (account, chat, user, approve) => account.put(`${requestsOf(chat)}/${user.id}`, { approve });

async function listOf(account, path) {
  const list = expectStatus(await account.get(path), 200);
  checkList(list);
  return list;
}

function checkLink(link, extra = []) {
  checkKeys(link, ['id', 'chat_id', 'approval', 'uses', 'used', 'expires_at', 'created_at', 'created_by', ...extra]);
  assert.match(link.id, ID);
  assert.match(link.created_at, TIME);
}

function checkRequest(request, chat, user, link) {
  checkKeys(request, ['chat_id', 'user_id', 'link_id', 'created_at']);
  assert.deepEqual([request.chat_id, request.user_id, request.link_id], [chat.id, user.id, link.id]);
  assert.match(request.created_at, TIME);
}

// Shows that nothing else waits on the stream: the next event is one made just now.
async function nothingElse(stream, account) {
  expectStatus(await account.patch('/v1/users/me', { display_name: 'barrier' }), 200);
  await stream.next('user.updated');
}

test('who has the link sees where it leads, and joins', async (t) => {
  const [owner, guest] = await registerMany(server, 'owner', 'guest');
  const chat = await createGroup(owner, [], { title: 'Open house' });
  const link = await createLink(owner, chat);
  checkLink(link, ['token']);
  assert.match(link.token, TOKEN);
  assert.deepEqual([link.uses, link.used, link.expires_at, link.approval, link.created_by], [null, 0, null, false, owner.id]);
  const invitation = expectStatus(await look(guest, link), 200);
  assert.deepEqual(invitation, { chat_id: chat.id, type: 'group', title: 'Open house', description: null, member_count: 1, approval: false, expires_at: null });
  const streams = [await openReadyFor(t, server, { token: owner.token }), await openReadyFor(t, server, { token: guest.token })];
  const joined = expectStatus(await join(guest, link), 201);
  checkChat(joined);
  assert.deepEqual([joined.id, joined.my_role, joined.member_count], [chat.id, 'member', 2]);
  for (const stream of streams) {
    const event = await stream.next('member.added');
    assert.deepEqual([event.chat_id, event.actor_id, event.member.user_id, event.member.role], [chat.id, guest.id, guest.id, 'member']);
    checkEventChat(event.chat);
  }
  await postMessage(guest, chat, 'here I am');
  assert.equal((await listOf(owner, linksOf(chat))).items[0].used, 1);
});

test('a member who follows a link stays what they are', async () => {
  const [owner, member] = await registerMany(server, 'owner', 'member');
  const chat = await createGroup(owner, [member]);
  const link = await createLink(owner, chat, { uses: 1 });
  assert.equal(expectStatus(await join(owner, link), 200).my_role, 'owner');
  assert.equal(expectStatus(await join(member, link), 200).my_role, 'member');
  assert.equal((await getChat(owner, chat)).last_rev, 1);
  assert.equal((await listOf(owner, linksOf(chat))).items[0].used, 0);
  expectStatus(await revoke(owner, chat, link), 204);
  assert.equal(expectStatus(await join(member, link), 200).id, chat.id);
});

test('the token is shown once, and no list has it', async () => {
  const owner = await register(server, 'owner');
  const chat = await createGroup(owner);
  const made = [];
  for (let i = 0; i < 5; i++) made.push(await createLink(owner, chat, { uses: i + 1 }));
  const seen = [];
  for (let query = '?limit=2'; query; ) {
    const page = await listOf(owner, linksOf(chat) + query);
    seen.push(...page.items);
    query = page.next === null ? null : `?limit=2&cursor=${page.next}`;
  }
  seen.forEach((link) => checkLink(link));
  assert.deepEqual(seen, made.map(({ token, ...link }) => link));
});

test('a link brings as many as it says', async () => {
  const [owner, ...guests] = await registerMany(server, 'owner', 'a', 'b', 'c');
  const chat = await createGroup(owner);
  const link = await createLink(owner, chat, { uses: 2 });
  expectStatus(await join(guests[0], link), 201);
  expectStatus(await join(guests[1], link), 201);
  expectProblem(await join(guests[2], link), 410, 'link_ended');
  expectProblem(await look(guests[2], link), 410, 'link_ended');
  assert.deepEqual((await listOf(owner, linksOf(chat))).items, []);
  assert.equal((await getChat(owner, chat)).member_count, 3);
});

test('of many who race for the last use exactly one joins', async () => {
  const [owner, ...guests] = await registerMany(server, 'owner', ...Array(12).fill('guest'));
  const chat = await createGroup(owner);
  for (let round = 0; round < 3; round++) {
    const link = await createLink(owner, chat, { uses: 1 });
    const answers = await Promise.all(guests.slice(round).map((guest) => join(guest, link)));
    const winners = guests.slice(round).filter((_, index) => answers[index].status === 201);
    assert.equal(winners.length, 1);
    for (const { status } of answers) assert.ok([201, 410].includes(status), `${status}`);
    assert.equal((await getChat(owner, chat)).member_count, round + 2);
    guests.splice(guests.indexOf(winners[0]), 1);
    guests.unshift(winners[0]);
  }
});

test('one who joins twice at once takes one use', async () => {
  const [owner, guest, other] = await registerMany(server, 'owner', 'guest', 'other');
  const chat = await createGroup(owner);
  const link = await createLink(owner, chat, { uses: 2 });
  const answers = await Promise.all([join(guest, link), join(guest, link), join(guest, link)]);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 200, 201]);
  expectStatus(await join(other, link), 201);
});

test('a revoked link works no more', async () => {
  const [owner, guest] = await registerMany(server, 'owner', 'guest');
  const chat = await createGroup(owner);
  const link = await createLink(owner, chat);
  expectStatus(await revoke(owner, chat, link), 204);
  expectProblem(await revoke(owner, chat, link), 404, 'not_found');
  expectProblem(await look(guest, link), 410, 'link_ended');
  expectProblem(await join(guest, link), 410, 'link_ended');
  assert.deepEqual((await listOf(owner, linksOf(chat))).items, []);
});

test('a token that nobody was given leads nowhere', async () => {
  const guest = await register(server, 'guest');
  for (const token of ['x'.repeat(43), 'x', 'x'.repeat(44), '%20'.repeat(10), `${'x'.repeat(42)}%2F`, '1']) {
    expectProblem(await look(guest, { token }), 404, 'not_found');
    expectProblem(await join(guest, { token }), 404, 'not_found');
  }
});

test('bad wishes for a link are refused by name', async () => {
  const owner = await register(server, 'owner');
  const chat = await createGroup(owner);
  const bad = [
    ['expires_in_s', 59], ['expires_in_s', 31622401], ['expires_in_s', '60'], ['expires_in_s', null],
    ['uses', 0], ['uses', -1], ['uses', 100001], ['uses', 1.5], ['approval', 'yes'], ['approval', null],
  ];
  for (const [field, value] of bad) expectProblem(await owner.post(linksOf(chat), { [field]: value }), 400, 'bad_field', field);
  expectProblem(await owner.post(linksOf(chat), { uses: 3, approval: true }), 400, 'bad_field', 'uses');
  expectProblem(await owner.post(linksOf(chat), { colour: 'red' }), 400, 'unknown_field');
  assert.deepEqual((await listOf(owner, linksOf(chat))).items, []);
});

test('a chat has so many links and not more, however they are asked for', async () => {
  const owner = await register(server, 'owner');
  const chat = await createGroup(owner);
  const answers = await Promise.all(Array.from({ length: 120 }, () => owner.post(linksOf(chat), {})));
  const made = answers.filter(({ status }) => status === 201);
  assert.equal(made.length, 100);
  for (const refused of answers.filter(({ status }) => status !== 201)) expectProblem(refused, 409, 'too_many_links');
  expectStatus(await revoke(owner, chat, made[0].body), 204);
  await createLink(owner, chat);
  expectProblem(await owner.post(linksOf(chat), {}), 409, 'too_many_links');
});

test('those who may add members make links; admins and its maker revoke one', async () => {
  const [owner, admin, member, other] = await registerMany(server, 'owner', 'admin', 'member', 'other');
  const chat = await createGroup(owner, [member, other]);
  await addMember(owner, chat, admin, { role: 'admin' });
  expectProblem(await member.post(linksOf(chat), {}), 403, 'forbidden');
  expectStatus(await owner.patch(`/v1/chats/${chat.id}`, { permissions: { add: 'members' } }), 200);
  const [first, second] = [await createLink(member, chat), await createLink(member, chat)];
  expectProblem(await member.get(linksOf(chat)), 403, 'forbidden');
  expectProblem(await revoke(other, chat, first), 403, 'forbidden');
  expectStatus(await revoke(member, chat, first), 204);
  expectStatus(await revoke(admin, chat, second), 204);
});

test('a direct chat has no links', async () => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createDirect(alice, bob);
  expectProblem(await alice.post(linksOf(chat), {}), 409, 'direct_chat');
});

test('who joins again by a link begins a new stay', async () => {
  const [owner, guest] = await registerMany(server, 'owner', 'guest');
  const chat = await createGroup(owner);
  const link = await createLink(owner, chat);
  expectStatus(await join(guest, link), 201);
  await removeMember(guest, chat, guest);
  await postMessage(owner, chat, 'behind their back');
  const again = expectStatus(await join(guest, link), 201);
  assert.equal(again.last_seq, 1);
  const { items } = expectStatus(await guest.get(`/v1/chats/${chat.id}/messages`), 200);
  assert.deepEqual(items, []);
});

test('a link to a full group is of no use, and loses none', async (t) => {
  const small = await startManual(t, { PARLEY_GROUP_MAX: '2' });
  const [owner, member, guest] = await registerMany(small, 'owner', 'member', 'guest');
  const chat = await createGroup(owner, [member]);
  const link = await createLink(owner, chat, { uses: 1 });
  expectProblem(await join(guest, link), 409, 'chat_full');
  await removeMember(owner, chat, member);
  expectStatus(await join(guest, link), 201);
});

test('a link to a deleted group leads nowhere, and the cleanup forgets it', async (t) => {
  const manual = await startManual(t, {});
  const [owner, member, guest] = await registerMany(manual, 'owner', 'member', 'guest');
  const chat = await createGroup(owner, [member]);
  const link = await createLink(owner, chat, { approval: true });
  expectStatus(await join(guest, link), 202);
  expectStatus(await owner.delete(`/v1/chats/${chat.id}`), 204);
  for (const account of [owner, member, guest]) {
    expectProblem(await look(account, link), 404, 'not_found');
    expectProblem(await join(account, link), 404, 'not_found');
  }
  await cleanUp(manual);
  expectProblem(await join(guest, link), 404, 'not_found');
});

test('a link expires at its time, is told apart for a week, and is then forgotten', { skip: NO_CLOCK }, async (t) => {
  const manual = await startManual(t, {}, true);
  const [owner, guest] = await registerMany(manual, 'owner', 'guest');
  const chat = await createGroup(owner);
  const link = await createLink(owner, chat, { expires_in_s: 3600 });
  assert.equal(Date.parse(link.expires_at) - Date.parse(link.created_at), 3600_000);
  manual.advanceClock(3601_000); // noticed within a second
  await eventually(async () => (await look(guest, link)).status === 410, 'the end of the link');
  expectProblem(await look(guest, link), 410, 'link_ended');
  expectProblem(await join(guest, link), 410, 'link_ended');
  expectProblem(await revoke(owner, chat, link), 404, 'not_found');
  await cleanUp(manual);
  expectProblem(await join(guest, link), 410, 'link_ended');
  manual.advanceClock(7 * DAY_MS);
  const isForgotten = async () => {
    await cleanUp(manual);
    return (await join(guest, link)).status === 404;
  };
  await eventually(isForgotten, 'the link to be forgotten');
});

// --- in the name of who made it

test('a link adds nobody once its maker may not add members, and adds again when they may', async () => {
  const [owner, maker, guest] = await registerMany(server, 'owner', 'maker', 'guest');
  const chat = await createGroup(owner, [maker]);
  const permit = async (add) => expectStatus(await owner.patch(`/v1/chats/${chat.id}`, { permissions: { add } }), 200);
  await permit('members');
  const link = await createLink(maker, chat);
  await permit('admins');
  expectProblem(await join(guest, link), 410, 'link_ended');
  expectProblem(await look(guest, link), 410, 'link_ended');
  await permit('members');
  expectStatus(await look(guest, link), 200);
  expectStatus(await join(guest, link), 201);
});

test('links of admins who were demoted, removed or banned add nobody', async () => {
  const [owner, ...makers] = await registerMany(server, 'owner', 'demoted', 'removed', 'banned');
  const guest = await register(server, 'guest');
  const chat = await createGroup(owner);
  const links = [];
  for (const maker of makers) {
    await addMember(owner, chat, maker, { role: 'admin' });
    links.push(await createLink(maker, chat));
  }
  await addMember(owner, chat, makers[0], { role: 'member' });
  await removeMember(owner, chat, makers[1]);
  expectStatus(await owner.put(`/v1/chats/${chat.id}/bans/${makers[2].id}`), 201);
  for (const link of links) {
    expectProblem(await join(guest, link), 410, 'link_ended');
    expectProblem(await look(guest, link), 410, 'link_ended');
  }
  expectProblem(await join(makers[1], links[1]), 410, 'link_ended');
  assert.equal((await getChat(owner, chat)).member_count, 2);
});

// --- with approval

test('an admin lets in who asks', async (t) => {
  const [owner, admin, guest] = await registerMany(server, 'owner', 'admin', 'guest');
  const chat = await createGroup(owner);
  await addMember(owner, chat, admin, { role: 'admin' });
  const link = await createLink(admin, chat, { approval: true });
  assert.equal(expectStatus(await look(guest, link), 200).approval, true);
  const [adminStream, guestStream] = [await openReadyFor(t, server, { token: admin.token }), await openReadyFor(t, server, { token: guest.token })];
  const request = expectStatus(await join(guest, link), 202);
  checkRequest(request, chat, guest, link);
  assert.deepEqual(expectStatus(await join(guest, link), 202), request, 'asking again changes nothing');
  const told = await adminStream.next('join.requested');
  assert.deepEqual(told.request, request);
  assert.deepEqual((await listOf(owner, requestsOf(chat))).items, [request]);
  expectProblem(await guest.get(`/v1/chats/${chat.id}`), 404, 'not_found');
  expectStatus(await answer(owner, chat, guest, true), 204);
  for (const stream of [adminStream, guestStream]) {
    const event = await stream.next('member.added');
    assert.deepEqual([event.actor_id, event.member.user_id], [owner.id, guest.id]);
  }
  assert.deepEqual((await listOf(owner, requestsOf(chat))).items, []);
  assert.equal((await listOf(owner, linksOf(chat))).items[0].used, 1);
  expectProblem(await answer(owner, chat, guest, true), 404, 'not_found');
});

test('who is declined learns it, stays out, and may ask again', async (t) => {
  const [owner, guest] = await registerMany(server, 'owner', 'guest');
  const chat = await createGroup(owner);
  const link = await createLink(owner, chat, { approval: true });
  const stream = await openReadyFor(t, server, { token: guest.token });
  expectStatus(await join(guest, link), 202);
  expectStatus(await answer(owner, chat, guest, false), 204);
  const event = await stream.next('join.declined');
  assert.equal(event.chat_id, chat.id);
  expectProblem(await answer(owner, chat, guest, true), 404, 'not_found');
  expectProblem(await guest.get(`/v1/chats/${chat.id}`), 404, 'not_found');
  expectStatus(await join(guest, link), 202);
  assert.equal((await getChat(owner, chat)).last_rev, 1);
});

test('of several answers at once one counts', async () => {
  const [owner, admin, guest] = await registerMany(server, 'owner', 'admin', 'guest');
  const chat = await createGroup(owner);
  await addMember(owner, chat, admin, { role: 'admin' });
  const link = await createLink(owner, chat, { approval: true });
  expectStatus(await join(guest, link), 202);
  const answers = await Promise.all([answer(owner, chat, guest, true), answer(admin, chat, guest, false), answer(owner, chat, guest, true)]);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [204, 404, 404]);
});

test('who was added meanwhile waits no more', async () => {
  const [owner, guest] = await registerMany(server, 'owner', 'guest');
  const chat = await createGroup(owner);
  expectStatus(await join(guest, await createLink(owner, chat, { approval: true })), 202);
  await addMember(owner, chat, guest);
  assert.deepEqual((await listOf(owner, requestsOf(chat))).items, []);
  await removeMember(owner, chat, guest);
  expectProblem(await answer(owner, chat, guest, true), 404, 'not_found');
});

test('a maker who is no admin any more is not told', async (t) => {
  const [owner, maker, guest] = await registerMany(server, 'owner', 'maker', 'guest');
  const chat = await createGroup(owner);
  await addMember(owner, chat, maker, { role: 'admin' });
  const link = await createLink(maker, chat, { approval: true });
  await addMember(owner, chat, maker, { role: 'member' });
  const stream = await openReadyFor(t, server, { token: maker.token });
  expectStatus(await join(guest, link), 202);
  await nothingElse(stream, maker);
  expectProblem(await maker.get(requestsOf(chat)), 403, 'forbidden');
  assert.equal((await listOf(owner, requestsOf(chat))).items.length, 1);
});

test('requests come in pages, outlive a restart, and an answer says approve', async () => {
  const [owner, ...guests] = await registerMany(server, 'owner', 'a', 'b', 'c');
  const chat = await createGroup(owner);
  const link = await createLink(owner, chat, { approval: true });
  for (const guest of guests) expectStatus(await join(guest, link), 202);
  await server.stop();
  await server.start();
  const first = await listOf(owner, `${requestsOf(chat)}?limit=2`);
  const second = await listOf(owner, `${requestsOf(chat)}?limit=2&cursor=${first.next}`);
  const wanted = guests.map((guest) => guest.id).sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1));
  assert.deepEqual([...first.items, ...second.items].map((request) => request.user_id), wanted);
  assert.equal(second.next, null);
  for (const approve of [null, 'true', 1]) expectProblem(await answer(owner, chat, guests[0], approve), 400, 'bad_field', 'approve');
  expectProblem(await answer(owner, chat, guests[0], undefined), 400, 'missing_field', 'approve');
});
