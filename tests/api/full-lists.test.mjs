// Lists that are as long as they may be: what would make them longer is refused, and what would not is done.
//
// They are filled behind the back of the server, by rows about users who do not exist: one after the other they would take longer than all other tests.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createGroup, createLink, expectProblem, expectStatus, registerMany } from '../support/client.mjs';
import { startServer } from '../support/server.mjs';

const BLOCKS = 1000;
const CONTACTS = 5000;
const BANS = 10_000;
const REQUESTS = 1000;

const server = await startServer();
after(() => server.dispose());
const [alice, bob, carol] = await registerMany(server, 'alice', 'bob', 'carol');
const chat = await createGroup(alice);
const link = await createLink(alice, chat, { approval: true });

await server.stop();
server.execute(`BEGIN;
  ${rowsOf('block', BLOCKS, (user) => `${alice.id}, ${user}, 1`)}
  ${rowsOf('contact', CONTACTS, (user) => `${alice.id}, ${user}, NULL, 1`)}
  ${rowsOf('ban', BANS, (user) => `${chat.id}, ${user}, ${alice.id}, 1`)}
  ${rowsOf('join_request', REQUESTS, (user) => `${chat.id}, ${user}, ${link.id}, 1`)}
  COMMIT;`);
await server.restart();

// A statement that adds a row for each of the users 1, 2, 3 …
function rowsOf(table, count, rowOf) {
  const rows = Array.from({ length: count }, (_, i) => `(${rowOf(i + 1)})`);
  return `INSERT INTO ${table} VALUES ${rows.join(',')};`;
}

test('as many users are blocked as may be: another one is refused until a block is lifted', async () => {
  expectProblem(await alice.put(`/v1/blocks/${bob.id}`), 409, 'conflict', 'user_id');
  expectStatus(await alice.delete('/v1/blocks/1'), 204);
  expectStatus(await alice.put(`/v1/blocks/${bob.id}`), 201);
  expectStatus(await alice.put(`/v1/blocks/${bob.id}`), 200);
  expectProblem(await alice.put(`/v1/blocks/${carol.id}`), 409, 'conflict');
});

test('there are as many contacts as may be: another one is refused, and a contact gets another name', async () => {
  expectProblem(await alice.put(`/v1/contacts/${bob.id}`, {}), 409, 'conflict', 'user_id');
  expectStatus(await alice.delete('/v1/contacts/1'), 204);
  expectStatus(await alice.put(`/v1/contacts/${bob.id}`, {}), 201);
  assert.equal(expectStatus(await alice.put(`/v1/contacts/${bob.id}`, { name: 'Bob' }), 200).name, 'Bob');
});

test('as many users are banned as may be: another one is refused until a ban is lifted', async () => {
  expectProblem(await alice.put(`/v1/chats/${chat.id}/bans/${bob.id}`), 409, 'too_many_bans');
  expectStatus(await alice.delete(`/v1/chats/${chat.id}/bans/1`), 204);
  expectStatus(await alice.put(`/v1/chats/${chat.id}/bans/${bob.id}`), 201);
});

test('as many users wait to join as may: another one is refused until one is answered', async () => {
  expectProblem(await carol.post(`/v1/links/${link.token}/join`), 409, 'too_many_join_requests');
  expectStatus(await alice.put(`/v1/chats/${chat.id}/requests/1`, { approve: false }), 204);
  expectStatus(await carol.post(`/v1/links/${link.token}/join`), 202);
});
