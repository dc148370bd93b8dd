// Groups that are full, and users who are in as many chats as may be: nobody comes in by a link or by an answer, either, and what was asked stays asked.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createGroup, createLink, expectProblem, expectStatus, registerMany, removeMember } from '../support/client.mjs';
import { startServer } from '../support/server.mjs';

const server = await startServer({ env: { PARLEY_GROUP_MAX: '2', PARLEY_CHATS_PER_USER: '2' } });
after(() => server.dispose());

const join = (account, link) => account.post(`/v1/links/${link.token}/join`);
const approve = (owner, chat, account) => owner.put(`/v1/chats/${chat.id}/requests/${account.id}`, { approve: true });

async function waiting(owner, chat) {
  const { items } = expectStatus(await owner.get(`/v1/chats/${chat.id}/requests`), 200);
  return items.map(({ user_id }) => user_id);
}

test('a request to join a full group is approved when there is room', async () => {
  const [owner, member, guest] = await registerMany(server, 'owner', 'member', 'guest');
  const chat = await createGroup(owner, [member]);
  expectStatus(await join(guest, await createLink(owner, chat, { approval: true })), 202);
  expectProblem(await approve(owner, chat, guest), 409, 'chat_full');
  assert.deepEqual(await waiting(owner, chat), [guest.id]);

  await removeMember(owner, chat, member);
  expectStatus(await approve(owner, chat, guest), 204);
  assert.deepEqual(await waiting(owner, chat), []);
});

test('a request of somebody who is in too many chats is approved when it is one less', async () => {
  const [owner, guest] = await registerMany(server, 'owner', 'guest');
  const chat = await createGroup(owner);
  expectStatus(await join(guest, await createLink(owner, chat, { approval: true })), 202);
  const [one] = [await createGroup(guest), await createGroup(guest)];
  expectProblem(await approve(owner, chat, guest), 409, 'too_many_chats');
  assert.deepEqual(await waiting(owner, chat), [guest.id]);

  expectStatus(await guest.delete(`/v1/chats/${one.id}`), 204);
  expectStatus(await approve(owner, chat, guest), 204);
});

test('somebody who is in too many chats joins by a link when it is one less', async () => {
  const [owner, guest] = await registerMany(server, 'owner', 'guest');
  const link = await createLink(owner, await createGroup(owner), { uses: 1 });
  const [one] = [await createGroup(guest), await createGroup(guest)];
  expectProblem(await join(guest, link), 409, 'too_many_chats');

  expectStatus(await guest.delete(`/v1/chats/${one.id}`), 204);
  expectStatus(await join(guest, link), 201);
});
