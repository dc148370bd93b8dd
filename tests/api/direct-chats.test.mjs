// What a direct chat does not have: whatever is tried, the answer is 409, or 403 where admins would see a list, and nothing changes.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createDirect, expectProblem, getChat, register, registerMany } from '../support/client.mjs';
import { startServer } from '../support/server.mjs';

const server = await startServer();
after(() => server.dispose());
const [alice, bob, carol] = await registerMany(server, 'alice', 'bob', 'carol');
const chat = await createDirect(alice, bob);

const ATTEMPTS = [
  ['a title', 'PATCH', '', { title: 'The two of us' }],
  ['an end', 'DELETE', ''],
  ['another member', 'PUT', `/members/${carol.id}`, {}],
  ['a role', 'PUT', `/members/${bob.id}`, { role: 'admin' }],
  ['a way out', 'DELETE', `/members/${alice.id}`],
  ['a member to remove', 'DELETE', `/members/${bob.id}`],
  ['a link', 'POST', '/links', {}],
  ['a link to revoke', 'DELETE', '/links/1'],
  ['a request to answer', 'PUT', `/requests/${carol.id}`, { approve: true }],
  ['a ban', 'PUT', `/bans/${carol.id}`],
  ['a ban to lift', 'DELETE', `/bans/${carol.id}`],
];
const LISTS = ['/links', '/requests', '/bans'];

for (const [what, method, path, body] of ATTEMPTS) {
  test(`a direct chat does not have ${what}`, async () => {
    const before = await getChat(alice, chat);
    expectProblem(await alice.request(method, `/v1/chats/${chat.id}${path}`, { body }), 409, 'direct_chat');
    assert.deepEqual(await getChat(alice, chat), before);
  });

  test(`a direct chat shows a stranger nothing of it: ${what}`, async () => {
    const stranger = await register(server, 'stranger');
    expectProblem(await stranger.request(method, `/v1/chats/${chat.id}${path}`, { body }), 404, 'not_found');
  });
}

for (const path of LISTS) {
  test(`nobody is an admin of a direct chat, who would see ${path}`, async () => {
    expectProblem(await alice.get(`/v1/chats/${chat.id}${path}`), 403, 'forbidden');
  });
}
