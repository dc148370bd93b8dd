// What a group decides once, whichever node is asked.
//
// Needs a MariaDB server, which PARLEY_TEST_DB names.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, createChannel, createGroup, createLink, expectProblem, expectStatus, getChat, postMessage, register } from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { startNodesFor } from '../support/nodes.mjs';

const skip = process.env.PARLEY_TEST_DB ? false : 'PARLEY_TEST_DB names no MariaDB server';

// The same account, asking another node.
const on = (node, account) => Object.assign(new Client(node, account.token), { id: account.id });
const join = (account, link) => account.post(`/v1/links/${link.token}/join`);
const post = (account, chat) => account.post(`/v1/chats/${chat.id}/messages`, { text: 'm' });

test('of many who race at several nodes for the last use of a link exactly one joins', { skip }, async (t) => {
  const nodes = await startNodesFor(t, 3);
  const owner = await register(nodes[0], 'owner');
  const guests = await Promise.all(Array.from({ length: 9 }, (_, index) => register(nodes[index % 3], 'guest')));
  const chat = await createGroup(owner);
  for (let round = 1; round <= 3; round++) {
    const link = await createLink(owner, chat, { uses: 1 });
    const outside = guests.slice(round - 1);
    const answers = await Promise.all(outside.map((guest) => join(guest, link)));
    const winner = outside.find((_, index) => answers[index].status === 201);
    assert.deepEqual(answers.map(({ status }) => status).sort(), [201, ...Array(outside.length - 1).fill(410)]);
    assert.equal((await getChat(on(nodes[round % 3], owner), chat)).member_count, round + 1);
    guests.splice(guests.indexOf(winner), 1);
    guests.unshift(winner);
  }
});

test('what was decided at one node holds at the others at once', { skip }, async (t) => {
  const nodes = await startNodesFor(t, 2);
  const owner = await register(nodes[0], 'owner');
  const member = await register(nodes[1], 'member');
  const chat = await createGroup(owner, [member]);
  const link = await createLink(on(nodes[1], owner), chat);
  await postMessage(member, chat, 'so that the node knows chat and member');
  expectStatus(await owner.patch(`/v1/chats/${chat.id}`, { slow_mode_s: 3600 }), 200);
  expectStatus(await post(member, chat), 201);
  expectProblem(await post(on(nodes[0], member), chat), 429, 'slow_mode');
  expectStatus(await owner.patch(`/v1/chats/${chat.id}`, { permissions: { post: 'admins' } }), 200);
  expectProblem(await post(member, chat), 403, 'forbidden');
  expectStatus(await owner.put(`/v1/chats/${chat.id}/bans/${member.id}`), 201);
  expectProblem(await post(member, chat), 404, 'not_found');
  expectProblem(await join(member, link), 403, 'banned');
});

test('who asks at one node and is answered at another is told at a third', { skip }, async (t) => {
  const nodes = await startNodesFor(t, 3);
  const owner = await register(nodes[0], 'owner');
  const guest = await register(nodes[1], 'guest');
  const chat = await createGroup(owner);
  const link = await createLink(owner, chat, { approval: true });
  const told = await openReadyFor(t, nodes[2], { token: owner.token });
  const answered = await openReadyFor(t, nodes[2], { token: guest.token });
  expectStatus(await join(guest, link), 202);
  assert.equal((await told.next('join.requested')).request.user_id, guest.id);
  expectStatus(await owner.put(`/v1/chats/${chat.id}/requests/${guest.id}`, { approve: false }), 204);
  assert.equal((await answered.next('join.declined')).chat_id, chat.id);
  expectStatus(await join(guest, link), 202);
  expectStatus(await on(nodes[2], owner).put(`/v1/chats/${chat.id}/requests/${guest.id}`, { approve: true }), 204);
  assert.equal((await told.until((event) => event.type === 'member.added')).at(-1).member.user_id, guest.id);
  await postMessage(on(nodes[0], guest), chat, 'here I am');
});

test('who follows a channel at one node hears it at another, and no longer once it is left at a third', { skip }, async (t) => {
  const nodes = await startNodesFor(t, 3);
  const owner = await register(nodes[0], 'owner');
  const guest = await register(nodes[1], 'guest');
  const chat = await createChannel(owner, { public: true });
  const own = `/v1/chats/${chat.id}/members/${guest.id}`;
  const stream = await openReadyFor(t, nodes[2], { token: guest.token });
  expectStatus(await guest.put(own, {}), 201);
  assert.equal((await stream.next('channel.followed')).chat_id, chat.id);
  await postMessage(owner, chat, 'heard');
  assert.equal((await stream.next('message.created')).message.text, 'heard');
  expectStatus(await on(nodes[0], guest).delete(own), 204);
  assert.equal((await stream.next('channel.left')).actor_id, guest.id);
  await postMessage(owner, chat, 'not heard');
  expectStatus(await guest.patch('/v1/users/me', { display_name: 'barrier' }), 200);
  await stream.next('user.updated');
});
