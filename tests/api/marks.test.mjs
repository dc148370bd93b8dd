// What was delivered and read: unread counts, receipts, and who is told of them.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  addMember, createDirect, createGroup, expectProblem, expectStatus, getOwnChat, logIn, markRead, postMany, postMessage, register, registerMany,
  removeMember,
} from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { allStored } from '../support/marks.mjs';
import { startServer, startServerFor } from '../support/server.mjs';
import { checkChatList, checkKeys, checkList } from '../support/shapes.mjs';
import { eventually } from '../support/wait.mjs';

const server = await startServer();
after(() => server.dispose());

async function listChats(reader, query = '') {
  const list = expectStatus(await reader.get(`/v1/chats${query}`), 200);
  checkChatList(list);
  return list;
}

async function acknowledge(device, id) {
  expectStatus(await device.post('/v1/events/ack', { id }), 204);
}

async function receiptsOf(reader, chat, query = '') {
  const list = expectStatus(await reader.get(`/v1/chats/${chat.id}/receipts${query}`), 200);
  checkList(list);
  for (const item of list.items) checkKeys(item, ['user_id', 'delivered_seq', 'read_seq']);
  return list;
}

// user id -> [delivered_seq, read_seq]
async function standing(reader, chat) {
  const { items } = await receiptsOf(reader, chat);
  return Object.fromEntries(items.map((item) => [item.user_id, [item.delivered_seq, item.read_seq]]));
}

async function messageReceipts(reader, message) {
  return expectStatus(await reader.get(`/v1/chats/${message.chat_id}/messages/${message.id}/receipts`), 200);
}

async function scene(target = server) {
  const [alice, bob, carol] = await registerMany(target, 'alice', 'bob', 'carol');
  return { alice, bob, carol, chat: await createGroup(alice, [bob, carol]) };
}

test('unread counts go with what was posted and read', async () => {
  const { alice, bob, chat } = await scene();
  const other = await createDirect(alice, bob);
  await postMany(alice, chat, 5);
  await postMany(alice, other, 2);
  assert.equal((await listChats(bob)).unread_total, 7);
  assert.deepEqual(await markRead(bob, chat, 3), { read_seq: 3, unread: 2, unread_total: 4 });
  const list = await listChats(bob);
  assert.equal(list.unread_total, 4);
  assert.deepEqual(list.items.map((item) => [item.id, item.read_seq, item.unread]), [[other.id, 0, 2], [chat.id, 3, 2]]);
  assert.deepEqual(await markRead(bob, chat, 5), { read_seq: 5, unread: 0, unread_total: 2 });
  assert.equal((await getOwnChat(bob, chat)).unread, 0);
});

test('a mark that goes back changes nothing, and one beyond the end is refused', async () => {
  const { alice, bob, chat } = await scene();
  await postMany(alice, chat, 4);
  await markRead(bob, chat, 3);
  for (const seq of [3, 1, 0]) assert.deepEqual(await markRead(bob, chat, seq), { read_seq: 3, unread: 1, unread_total: 1 });
  for (const seq of [5, 2 ** 53 - 1]) expectProblem(await bob.put(`/v1/chats/${chat.id}/read`, { seq }), 400, 'bad_field', 'seq');
  for (const seq of [-1, 1.5, '1', null, true, {}]) expectProblem(await bob.put(`/v1/chats/${chat.id}/read`, { seq }), 400, 'bad_field', 'seq');
  expectProblem(await bob.put(`/v1/chats/${chat.id}/read`, {}), 400, 'missing_field', 'seq');
  assert.equal((await getOwnChat(bob, chat)).read_seq, 3);
});

test('who posts has read what is there', async () => {
  const { alice, bob, chat } = await scene();
  await postMany(alice, chat, 3);
  await postMessage(bob, chat, 'mine');
  for (const account of [alice, bob]) {
    const { read_seq, unread, last_message } = await getOwnChat(account, chat);
    assert.deepEqual([read_seq, unread, last_message.text], account === bob ? [4, 0, 'mine'] : [3, 1, 'mine']);
  }
});

test('what was there before joining counts as read, each time', async () => {
  const { alice, bob, chat } = await scene();
  await postMany(alice, chat, 2);
  await removeMember(alice, chat, bob);
  await postMany(alice, chat, 3);
  expectProblem(await bob.put(`/v1/chats/${chat.id}/read`, { seq: 2 }), 404, 'not_found');
  await addMember(alice, chat, bob);
  assert.deepEqual([(await getOwnChat(bob, chat)).read_seq, (await listChats(bob)).unread_total], [5, 0]);
  const { last_message } = await getOwnChat(bob, chat);
  assert.equal(last_message, null);
  await postMessage(alice, chat, 'news');
  assert.equal((await getOwnChat(bob, chat)).unread, 1);
  assert.equal((await getOwnChat(bob, chat)).last_message.text, 'news');
});

test('marks outlive a clean stop and, once stored, a kill', async (t) => {
  const own = await startServerFor(t);
  const { alice, bob, chat } = await scene(own);
  const messages = await postMany(alice, chat, 6);
  await markRead(bob, chat, 2);
  await own.stop();
  await own.restart();
  assert.equal((await getOwnChat(bob, chat)).read_seq, 2);
  await markRead(bob, chat, 4);
  await acknowledge(bob, messages[4].id);
  await allStored(own);
  await own.kill();
  await own.restart();
  assert.deepEqual((await standing(alice, chat))[bob.id], [5, 4]);
});

test('receipts show how far everybody has come', async () => {
  const { alice, bob, carol, chat } = await scene();
  const messages = await postMany(alice, chat, 4);
  assert.deepEqual(await standing(alice, chat), { [alice.id]: [4, 4], [bob.id]: [0, 0], [carol.id]: [0, 0] });
  await acknowledge(bob, messages[2].id);
  await markRead(carol, chat, 1);
  assert.deepEqual(await standing(bob, chat), { [alice.id]: [4, 4], [bob.id]: [3, 0], [carol.id]: [1, 1] });
  await acknowledge(bob, messages[0].id);
  await acknowledge(bob, messages[3].id);
  await allStored(server);
  assert.deepEqual(await standing(carol, chat), { [alice.id]: [4, 4], [bob.id]: [4, 0], [carol.id]: [1, 1] });
  const first = await receiptsOf(alice, chat, '?limit=2');
  const rest = await receiptsOf(alice, chat, `?limit=2&cursor=${first.next}`);
  assert.deepEqual([first.items.length, rest.items.length, rest.next], [2, 1, null]);
});

test('a message knows who got it and who read it', async () => {
  const { alice, bob, carol, chat } = await scene();
  const dave = await register(server, 'dave');
  const message = await postMessage(alice, chat, 'read me');
  await addMember(alice, chat, dave);
  const nothing = { message_id: message.id, member_count: 2, delivered_count: 0, read_count: 0, delivered: [], read: [] };
  assert.deepEqual(await messageReceipts(alice, message), nothing);
  await acknowledge(bob, message.id);
  assert.deepEqual(await messageReceipts(alice, message), { ...nothing, delivered_count: 1, delivered: [bob.id] });
  await markRead(carol, chat, message.seq);
  assert.deepEqual(await messageReceipts(bob, message), {
    ...nothing, delivered_count: 2, read_count: 1, delivered: [bob.id, carol.id].sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1)), read: [carol.id],
  });
  expectProblem(await dave.get(`/v1/chats/${chat.id}/messages/${message.id}/receipts`), 404, 'not_found');
});

test('coming back with a token says what was delivered', async (t) => {
  const { alice, bob, chat } = await scene();
  const messages = await postMany(alice, chat, 3);
  await openReadyFor(t, server, { token: bob.token, lastEventId: messages[1].id });
  await eventually(async () => (await standing(alice, chat))[bob.id][0] === 2, 'two messages are delivered');
  await openReadyFor(t, server, { token: bob.token });
  assert.deepEqual((await standing(alice, chat))[bob.id], [2, 0]);
});

test('in a large chat messages have counts and nobody has a name', async (t) => {
  const own = await startServerFor(t, { env: { PARLEY_RECEIPTS_MEMBERS_MAX: '2' } });
  const { alice, bob, chat } = await scene(own);
  const message = await postMessage(alice, chat, 'to all');
  await markRead(bob, chat, 1);
  assert.deepEqual(await messageReceipts(alice, message), { message_id: message.id, member_count: 2, delivered_count: 1, read_count: 1 });
  assert.deepEqual((await receiptsOf(alice, chat)).items, []);
  const direct = await createDirect(alice, bob);
  await postMessage(alice, direct, 'to you');
  assert.equal((await receiptsOf(alice, direct)).items.length, 2);
});

test('who switches receipts off is not seen and sees nobody', async (t) => {
  const { alice, bob, carol, chat } = await scene();
  const stream = await openReadyFor(t, server, { token: bob.token });
  assert.equal(expectStatus(await bob.patch('/v1/users/me', { receipts: false }), 200).receipts, false);
  assert.equal((await stream.next('user.updated')).user.receipts, false);
  const message = await postMessage(alice, chat, 'read me');
  await markRead(bob, chat, 1);
  await markRead(carol, chat, 1);
  assert.deepEqual(Object.keys(await standing(alice, chat)).sort(), [alice.id, carol.id].sort());
  assert.deepEqual(await messageReceipts(alice, message), {
    message_id: message.id, member_count: 2, delivered_count: 1, read_count: 1, delivered: [carol.id], read: [carol.id],
  });
  expectProblem(await bob.get(`/v1/chats/${chat.id}/receipts`), 403, 'forbidden');
  expectProblem(await bob.get(`/v1/chats/${chat.id}/messages/${message.id}/receipts`), 403, 'forbidden');
  assert.equal((await getOwnChat(bob, chat)).unread, 0);
  assert.ok(!('receipts' in expectStatus(await alice.get(`/v1/users/${bob.id}`), 200)));
  for (const receipts of [null, 0, 'off']) expectProblem(await bob.patch('/v1/users/me', { receipts }), 400, 'bad_field', 'receipts');
  expectStatus(await bob.patch('/v1/users/me', { receipts: true }), 200);
  assert.deepEqual((await standing(bob, chat))[bob.id], [1, 1]);
});

test('the list can be asked for what moved since', async () => {
  const { alice, bob, chat } = await scene();
  const quiet = await createGroup(alice, [bob]);
  await postMessage(alice, quiet, 'old');
  await allStored(server);
  const { as_of } = await listChats(bob);
  const since = async () => (await listChats(bob, `?since=${as_of}`)).items.map((item) => item.id);
  const message = await postMessage(alice, chat, 'new');
  assert.deepEqual(await since(), [chat.id]);
  assert.ok(BigInt(message.id) > BigInt(as_of));
  await markRead(bob, quiet, 1);
  await eventually(async () => (await since()).includes(quiet.id), 'the chat whose mark moved is there');
  assert.equal((await listChats(bob, '?since=0')).items.length, 2);
  for (const bad of ['x', '-1', '', '01']) expectProblem(await bob.get(`/v1/chats?since=${bad}`), 400, 'bad_cursor', 'since');
});

test('the list is paged, and shows each chat once', async () => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chats = [];
  for (let i = 0; i < 7; i++) chats.push(await createGroup(alice, [bob]));
  await postMessage(alice, chats[2], 'latest');
  const seen = [];
  for (let next = ''; next !== null;) {
    const page = await listChats(bob, `?limit=3${next && `&cursor=${next}`}`);
    assert.equal(page.unread_total, 1);
    seen.push(...page.items.map((item) => item.id));
    next = page.next;
  }
  assert.deepEqual(seen, [chats[2], ...chats.filter((chat) => chat !== chats[2]).reverse()].map((chat) => chat.id));
});

test('the last message is as the reader may see it', async () => {
  const { alice, bob, chat } = await scene();
  const message = await postMessage(alice, chat, 'secret');
  assert.deepEqual((await getOwnChat(bob, chat)).last_message, message);
  expectStatus(await alice.delete(`/v1/chats/${chat.id}/messages/${message.id}`), 204);
  const { last_message } = await getOwnChat(bob, chat);
  assert.deepEqual([last_message.deleted, 'text' in last_message], [true, false]);
  const tablet = await logIn(bob);
  assert.deepEqual((await listChats(tablet)).items[0].last_message, last_message);
});

// --- with what else becomes of messages

const messagePath = (message) => `/v1/chats/${message.chat_id}/messages/${message.id}`;
const mentionOf = (user) => [{ user_id: user.id, offset: 0, length: 1 }];

async function isMentioned(reader, chat) {
  const [item] = (await listChats(reader)).items.filter(({ id }) => id === chat.id);
  assert.equal(item.mentioned, (await getOwnChat(reader, chat)).mentioned);
  return item.mentioned;
}

test('a mention shows in the list of chats until it is read, and for nobody else', async () => {
  const { alice, bob, carol, chat } = await scene();
  await postMessage(alice, chat, '@', { mentions: mentionOf(bob) });
  await postMessage(alice, chat, 'and more');
  assert.deepEqual(await Promise.all([alice, bob, carol].map((reader) => isMentioned(reader, chat))), [false, true, false]);
  await markRead(bob, chat, 1);
  assert.equal(await isMentioned(bob, chat), false);
  await postMessage(alice, chat, '@', { mentions: mentionOf(bob) });
  assert.equal(await isMentioned(bob, chat), true);
  await postMessage(bob, chat, 'who posts has read it');
  assert.equal(await isMentioned(bob, chat), false);
});

test('an edit mentions those who have not read the message, and hides no later mention', async () => {
  const { alice, bob, chat } = await scene();
  const [first, second] = await postMany(alice, chat, 2);
  await markRead(bob, chat, 1);
  const edit = async (message) => expectStatus(await alice.patch(messagePath(message), { text: '@', mentions: mentionOf(bob) }), 200);
  await edit(first);
  assert.equal(await isMentioned(bob, chat), false);
  await edit(second);
  await edit(first);
  assert.equal(await isMentioned(bob, chat), true);
  await markRead(bob, chat, 2);
  assert.equal(await isMentioned(bob, chat), false);
});

test('who comes back is not mentioned by what was said before', async () => {
  const { alice, bob, chat } = await scene();
  const message = await postMessage(alice, chat, '@', { mentions: mentionOf(bob) });
  await removeMember(alice, chat, bob);
  await addMember(alice, chat, bob);
  assert.equal(await isMentioned(bob, chat), false);
  expectStatus(await alice.patch(messagePath(message), { text: '@!', mentions: mentionOf(bob) }), 200);
  assert.equal(await isMentioned(bob, chat), false);
});

test('a deleted message counts as unread like any other, until it is read', async () => {
  const { alice, bob, chat } = await scene();
  const [first, second, third] = await postMany(alice, chat, 3);
  expectStatus(await alice.delete(messagePath(second)), 204);
  expectStatus(await alice.delete(messagePath(third)), 204);
  const own = await getOwnChat(bob, chat);
  assert.deepEqual([own.unread, own.last_message.id, own.last_message.deleted], [3, third.id, true]);
  assert.deepEqual(await markRead(bob, chat, first.seq), { read_seq: 1, unread: 2, unread_total: 2 });
  assert.deepEqual(await markRead(bob, chat, third.seq), { read_seq: 3, unread: 0, unread_total: 0 });
});

test('a last message that one has deleted for oneself is shown without its content, and to the others with it', async () => {
  const { alice, bob, chat } = await scene();
  const { id, chat_id, seq, ...content } = await postMessage(alice, chat, 'secret');
  expectStatus(await bob.delete(`${messagePath({ id, chat_id })}?for=me`), 204);
  for (const own of [await getOwnChat(bob, chat), (await listChats(bob)).items[0]]) {
    assert.deepEqual([own.last_message, own.unread], [{ id, chat_id, seq, hidden: true }, 1]);
  }
  assert.deepEqual((await getOwnChat(alice, chat)).last_message, { id, chat_id, seq, ...content });
});
