// What messages said before their edits, where the server keeps it.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { addMember, createGroup, expectProblem, expectStatus, postMessage, register, registerMany, removeMember } from '../support/client.mjs';
import { startServer, startServerFor } from '../support/server.mjs';
import { TIME, checkKeys, checkList } from '../support/shapes.mjs';

const server = await startServer({ env: { PARLEY_EDIT_HISTORY: 'on' } });
after(() => server.dispose());

const messagePath = (message) => `/v1/chats/${message.chat_id}/messages/${message.id}`;
const edit = async (account, message, text) => expectStatus(await account.patch(messagePath(message), { text }), 200);

async function editsPage(account, message, query = '') {
  const list = expectStatus(await account.get(`${messagePath(message)}/edits${query}`), 200);
  checkList(list);
  for (const item of list.items) {
    checkKeys(item, ['rev', 'text', 'edited_at']);
    assert.match(item.edited_at, TIME);
  }
  return list;
}

async function allEdits(account, message, limit = 100) {
  const items = [];
  for (let query = `?limit=${limit}`; query; ) {
    const page = await editsPage(account, message, query);
    items.push(...page.items);
    query = page.next && `?limit=${limit}&cursor=${page.next}`;
  }
  return items;
}

async function aliceAndBob(on = server, fields = {}) {
  const [alice, bob] = await registerMany(on, 'alice', 'bob');
  return { alice, bob, chat: await createGroup(alice, [bob], fields) };
}

test('earlier texts are listed, the oldest first, with when the message came to say so', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const first = await postMessage(alice, chat, 'one');
  assert.deepEqual(await allEdits(bob, first), []);
  const second = await edit(alice, first, 'two');
  const third = await edit(alice, first, 'three');
  const expected = [
    { rev: first.rev, text: 'one', edited_at: first.created_at }, { rev: second.rev, text: 'two', edited_at: second.edited_at },
  ];
  assert.deepEqual(await allEdits(bob, third), expected);
  assert.deepEqual(await allEdits(bob, third, 1), expected);
});

test('edits sent at once are all kept', async () => {
  const { alice, chat } = await aliceAndBob();
  const message = await postMessage(alice, chat, 'text 0');
  const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => edit(alice, message, `text ${i + 1}`)));
  const last = answers.reduce((one, other) => (one.rev > other.rev ? one : other));
  const texts = (await allEdits(alice, message, 7)).map(({ text }) => text);
  assert.deepEqual(new Set([...texts, last.text]), new Set(Array.from({ length: 21 }, (_, i) => `text ${i}`)));
  assert.equal(texts.length, 20);
});

test('only the last hundred are kept', async () => {
  const { alice, chat } = await aliceAndBob();
  const message = await postMessage(alice, chat, 'text 0');
  for (let i = 1; i <= 103; i++) await edit(alice, message, `text ${i}`);
  const texts = (await allEdits(alice, message)).map(({ text }) => text);
  assert.deepEqual([texts.length, texts[0], texts.at(-1)], [100, 'text 3', 'text 102']);
});

test('long texts make short pages', async () => {
  const { alice, chat } = await aliceAndBob();
  const long = (i) => `${i}`.padEnd(100_000, '漢');
  const message = await postMessage(alice, chat, long(0));
  for (let i = 1; i <= 8; i++) await edit(alice, message, long(i));
  const page = await editsPage(alice, message, '?limit=100');
  assert.ok(page.items.length < 8 && page.next !== null);
  assert.deepEqual((await allEdits(alice, message)).map(({ text }) => text[0]), ['0', '1', '2', '3', '4', '5', '6', '7']);
});

test('they are gone with the message', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const message = await postMessage(alice, chat, 'one');
  await edit(alice, message, 'two');
  expectStatus(await alice.delete(messagePath(message)), 204);
  assert.deepEqual(await allEdits(bob, message), []);
});

test('who does not see the text does not see what it was', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const message = await postMessage(alice, chat, 'one');
  await edit(alice, message, 'two');
  const carol = await register(server, 'carol');
  await addMember(alice, chat, carol);
  expectProblem(await carol.get(`${messagePath(message)}/edits`), 404, 'not_found');
  await removeMember(alice, chat, bob);
  assert.deepEqual((await allEdits(bob, message)).map(({ text }) => text), ['one']);
  await edit(alice, message, 'three');
  assert.deepEqual(await allEdits(bob, message), []);
  expectStatus(await carol.delete(`/v1/chats/${chat.id}/members/${carol.id}`), 204);
  expectProblem(await carol.get(`${messagePath(message)}/edits`), 404, 'not_found');
  expectStatus(await alice.delete(`${messagePath(message)}?for=me`), 204);
  assert.deepEqual(await allEdits(alice, message), []);
});

test('a server that is not told to keep them keeps none', async (t) => {
  const forgetful = await startServerFor(t);
  const { alice, chat } = await aliceAndBob(forgetful);
  const message = await postMessage(alice, chat, 'one');
  await edit(alice, message, 'two');
  assert.deepEqual(await allEdits(alice, message), []);
});

test('who was away while a message changed sees what it says now, and nothing that it said meanwhile', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const message = await postMessage(alice, chat, 'one');
  await removeMember(alice, chat, bob);
  await edit(alice, message, 'two');
  await addMember(alice, chat, bob);
  assert.deepEqual(await allEdits(bob, message), []);
  await edit(alice, message, 'three');
  assert.equal(expectStatus(await bob.get(messagePath(message)), 200).text, 'three');
  assert.deepEqual(await allEdits(bob, message), []);
  assert.deepEqual((await allEdits(alice, message)).map((item) => item.text), ['one', 'two']);
});
