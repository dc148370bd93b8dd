// Pages of a chat's history.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { addMember, createGroup, expectProblem, historyPage, postMany, register, registerMany, removeMember, wholeHistory } from '../support/client.mjs';
import { startServer } from '../support/server.mjs';
import { checkList } from '../support/shapes.mjs';

const server = await startServer();
after(() => server.dispose());

const COUNT = 23;
const alice = await register(server, 'alice');
const chat = await createGroup(alice, [], { history: 'all' });
const messages = await postMany(alice, chat, COUNT);

// The numbers of the messages on a page, 1 being the oldest.
const seqs = (page) => page.items.map((message) => message.seq);
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const idOf = (seq) => messages[seq - 1].id;

test('without a cursor the newest page comes, oldest message first', async () => {
  const page = await historyPage(alice, chat, { limit: 5 });
  checkList(page);
  assert.deepEqual(page.items, messages.slice(-5));
});

test('going back page by page reaches the beginning and misses nothing', async () => {
  for (const limit of [1, 4, 22, 23, 24, 100]) {
    const seen = [];
    let query = { limit };
    for (;;) {
      const page = await historyPage(alice, chat, query);
      assert.ok(page.items.length <= limit && page.items.length > 0, `limit ${limit}`);
      seen.unshift(...seqs(page));
      if (page.next === null) break;
      query = { limit, before: page.next };
    }
    assert.deepEqual(seen, range(1, COUNT), `limit ${limit}`);
  }
});

test('going forward page by page reaches the end and misses nothing', async () => {
  for (const limit of [1, 4, 22, 100]) {
    const seen = [];
    let query = { limit, after: idOf(1) };
    for (;;) {
      const page = await historyPage(alice, chat, query);
      seen.push(...seqs(page));
      if (page.next === null) break;
      query = { limit, after: page.next };
    }
    assert.deepEqual(seen, range(2, COUNT), `limit ${limit}`);
  }
});

test('before and after leave out the message they name', async () => {
  assert.deepEqual(seqs(await historyPage(alice, chat, { before: idOf(10), limit: 3 })), [7, 8, 9]);
  assert.deepEqual(seqs(await historyPage(alice, chat, { after: idOf(10), limit: 3 })), [11, 12, 13]);
  assert.deepEqual(seqs(await historyPage(alice, chat, { before: idOf(1) })), []);
  assert.deepEqual(seqs(await historyPage(alice, chat, { after: idOf(COUNT) })), []);
});

test('a page that ends exactly at the end has no next', async () => {
  assert.equal((await historyPage(alice, chat, { before: idOf(4), limit: 3 })).next, null);
  assert.equal((await historyPage(alice, chat, { after: idOf(COUNT - 3), limit: 3 })).next, null);
  assert.notEqual((await historyPage(alice, chat, { before: idOf(5), limit: 3 })).next, null);
});

test('around answers a window with the message in its middle', async () => {
  const page = await historyPage(alice, chat, { around: idOf(12), limit: 6 });
  assert.equal(page.next, null);
  const found = seqs(page);
  assert.ok(found.includes(12));
  assert.ok(found.length >= 5 && found.length <= 7, JSON.stringify(found));
  assert.deepEqual(found, range(found[0], found.at(-1)), 'without a gap');
  const [before, behind] = [12 - found[0], found.at(-1) - 12];
  assert.ok(Math.abs(before - behind) <= 1, JSON.stringify(found));
});

test('around works at both ends', async () => {
  assert.deepEqual(seqs(await historyPage(alice, chat, { around: idOf(1), limit: 6 })).slice(0, 3), [1, 2, 3]);
  assert.deepEqual(seqs(await historyPage(alice, chat, { around: idOf(COUNT), limit: 6 })).slice(-3), [21, 22, 23]);
});

test('a cursor may be an id that is no message of this chat', async () => {
  const other = await createGroup(alice);
  const [foreign] = await postMany(alice, other, 1);
  assert.deepEqual(seqs(await historyPage(alice, chat, { before: foreign.id, limit: 2 })), [22, 23]);
  assert.deepEqual(seqs(await historyPage(alice, chat, { after: foreign.id, limit: 2 })), []);
  assert.deepEqual(seqs(await historyPage(alice, chat, { after: '1', limit: 2 })), [1, 2]);
});

test('an empty chat has an empty history', async () => {
  const page = await historyPage(alice, await createGroup(alice));
  checkList(page);
  assert.deepEqual([page.items, page.next], [[], null]);
});

test('the limit is 50 unless it is asked for', async () => {
  const big = await createGroup(alice);
  await postMany(alice, big, 52);
  assert.equal((await historyPage(alice, big)).items.length, 50);
  assert.equal((await historyPage(alice, big, { limit: 100 })).items.length, 52);
});

for (const limit of ['0', '-1', '101', '1.5', 'abc', '', ' 5', '5 ', '0x5', '1e1', '99999999999999999999']) {
  test(`a limit of ${JSON.stringify(limit)} is refused`, async () => {
    const search = new URLSearchParams({ limit });
    expectProblem(await alice.get(`/v1/chats/${chat.id}/messages?${search}`), 400, 'bad_query', 'limit');
  });
}

for (const name of ['before', 'after', 'around']) {
  for (const cursor of ['abc', '-1', '+1', '01', '1.5', '', '9223372036854775808', '99999999999999999999']) {
    test(`the cursor ${name}=${JSON.stringify(cursor)} is refused`, async () => {
      const search = new URLSearchParams({ [name]: cursor });
      expectProblem(await alice.get(`/v1/chats/${chat.id}/messages?${search}`), 400, 'bad_cursor', name);
    });
  }
}

test('a chat list cursor that was never given out is refused', async () => {
  for (const cursor of ['abc', '-1', '%00', "1'--"]) {
    expectProblem(await alice.get(`/v1/chats?cursor=${encodeURIComponent(cursor)}`), 400, 'bad_cursor', 'cursor');
    expectProblem(await alice.get(`/v1/chats/${chat.id}/members?cursor=${encodeURIComponent(cursor)}`), 400, 'bad_cursor', 'cursor');
  }
});

test('at most one cursor at a time', async () => {
  const id = idOf(5);
  for (const query of [`before=${id}&after=${id}`, `before=${id}&around=${id}`, `after=${id}&around=${id}`, `before=${id}&before=${id}`]) {
    expectProblem(await alice.get(`/v1/chats/${chat.id}/messages?${query}`), 400, ['bad_query', 'bad_cursor']);
  }
});

test('pages through several stays are complete and never empty in between', async () => {
  const [owner, bob] = await registerMany(server, 'owner', 'bob');
  const group = await createGroup(owner);
  const visible = [];
  for (let stay = 1; stay <= 3; stay++) {
    await postMany(owner, group, 12, `hidden ${stay}`);
    await addMember(owner, group, bob);
    visible.push(...(await postMany(owner, group, 5, `seen ${stay}`)));
    await removeMember(owner, group, bob);
  }
  await postMany(owner, group, 3, 'hidden at the end');
  assert.deepEqual(await wholeHistory(bob, group), visible);
  const seen = [];
  let query = { limit: 4 };
  for (;;) {
    const page = await historyPage(bob, group, query);
    assert.ok(page.items.length > 0, 'an empty page would end the scrolling');
    seen.unshift(...page.items);
    if (page.next === null) break;
    query = { limit: 4, before: page.next };
  }
  assert.deepEqual(seen, visible);
});

test('a page of long messages ends where a megabyte does, and `next` leads through all of them', async () => {
  const long = await createGroup(alice);
  const sent = await postMany(alice, long, 8, '\u0001'.repeat(50_000)); // 300 KB each as JSON
  const ids = sent.map((message) => message.id);
  const back = [];
  for (let query = { limit: 100 }; query; ) {
    const { items, next } = await historyPage(alice, long, query);
    assert.ok(items.length >= 1 && items.length <= 4, `${items.length} items`);
    back.unshift(...items.map((message) => message.id));
    query = next && { before: next, limit: 100 };
  }
  assert.deepEqual(back, ids);
  const forth = [ids[0]];
  for (let cursor = ids[0]; cursor; ) {
    const { items, next } = await historyPage(alice, long, { after: cursor, limit: 100 });
    forth.push(...items.map((message) => message.id));
    cursor = next;
  }
  assert.deepEqual(forth, ids);
  const around = await historyPage(alice, long, { around: ids[4], limit: 8 });
  assert.ok(around.items.length < 8 && around.items.some((message) => message.id === ids[4]));
});
