// Whom users do not want to hear of, and whom they want to find again.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  addMember, createDirect, createGroup, expectProblem, expectStatus, getChat, historyPage, logIn, markRead, postMany, postMessage,
  register, registerMany, scheduleMessage, wholeHistory,
} from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { allStored } from '../support/marks.mjs';
import { startServer } from '../support/server.mjs';
import { ID, TIME, checkHiddenMessage, checkKeys, checkList, checkNewMessage } from '../support/shapes.mjs';

// Heartbeats are how a test knows that a stream is caught up.
const server = await startServer({ env: { PARLEY_HEARTBEAT: '100ms' } });
after(() => server.dispose());

const NOBODY = '9223372036854775807';

const messagePath = (message) => `/v1/chats/${message.chat_id}/messages/${message.id}`;
const hiddenForm = ({ id, chat_id, seq }) => ({ id, chat_id, seq, hidden: true });
const askToBlock = (account, user) => account.put(`/v1/blocks/${user.id}`);
const unblock = async (account, user) => expectStatus(await account.delete(`/v1/blocks/${user.id}`), 204);
const edit = async (account, message, text) => expectStatus(await account.patch(messagePath(message), { text }), 200);

async function block(account, user, status = 201) {
  const answer = expectStatus(await askToBlock(account, user), status);
  checkKeys(answer, ['user_id', 'blocked_at']);
  assert.equal(answer.user_id, user.id);
  assert.match(answer.blocked_at, TIME);
  return answer;
}

async function listOf(account, path) {
  const list = expectStatus(await account.get(path), 200);
  checkList(list);
  return list;
}

// Bob blocks Alice; they have a direct chat.
async function aliceAndBob() {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  return { alice, bob, chat: await createDirect(alice, bob) };
}

async function listen(t, account, options = {}) {
  const stream = await openReadyFor(t, server, { token: account.token, ...options });
  if (!options.lastEventId) await stream.heartbeat();
  return stream;
}

const shown = ({ type, message }) => ({ type, message });

test('what a blocked sender posts takes its number, and reaches the blocker without content everywhere', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const before = await postMessage(alice, chat, 'before');
  const [his, hers] = [await listen(t, bob), await listen(t, alice)];
  await block(bob, alice);
  await his.next('user.blocked');
  const message = await postMessage(alice, chat, 'secret', { mentions: [{ user_id: bob.id, offset: 0, length: 6 }] });
  checkNewMessage(message);
  assert.equal(message.seq, before.seq + 1);
  assert.deepEqual((await hers.next('message.created')).message, message);

  const live = await his.next('message.created');
  checkHiddenMessage(live.message);
  assert.deepEqual(live.message, hiddenForm(message));
  assert.deepEqual(await wholeHistory(bob, chat), [before, hiddenForm(message)]);
  assert.deepEqual(expectStatus(await bob.get(messagePath(message)), 200), hiddenForm(message));
  const replay = await listen(t, bob, { lastEventId: before.id });
  await replay.next('user.blocked');
  assert.deepEqual((await replay.next('message.created')).message, hiddenForm(message));
  const { items } = expectStatus(await bob.get('/v1/chats'), 200);
  const listed = items.find(({ id }) => id === chat.id);
  assert.deepEqual([listed.last_message, listed.mentioned], [hiddenForm(message), false]);
  assert.deepEqual(await wholeHistory(alice, chat), [before, message]);
});

test('the blocker may go on posting, and both see that', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  await block(bob, alice);
  const hers = await listen(t, alice);
  const message = await postMessage(bob, chat, 'hello');
  assert.deepEqual((await hers.next('message.created')).message, message);
  assert.deepEqual(await wholeHistory(alice, chat), [message]);
  assert.deepEqual(await wholeHistory(bob, chat), [message]);
});

test('what a blocked sender changes is hidden, also from a time before the block', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const old = await postMessage(alice, chat, 'old');
  await block(bob, alice);
  const fresh = await postMessage(alice, chat, 'fresh');
  const his = await listen(t, bob);
  const edited = [await edit(alice, old, 'old, with an insult'), await edit(alice, fresh, 'fresh, with an insult')];
  for (const message of edited) assert.deepEqual((await his.next('message.edited')).message, hiddenForm(message));
  expectStatus(await alice.delete(messagePath(fresh)), 204);
  assert.deepEqual((await his.next('message.deleted')).message, hiddenForm(fresh));
  assert.deepEqual(await wholeHistory(bob, chat), edited.map(hiddenForm));
  assert.equal((await wholeHistory(alice, chat))[0].text, 'old, with an insult');
});

test('what is hidden cannot be forwarded to oneself', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const notes = await createGroup(bob);
  await block(bob, alice);
  const { chat_id, id } = await postMessage(alice, chat, 'secret');
  const forward = { chat_id, message_id: id };
  expectProblem(await bob.post(`/v1/chats/${notes.id}/messages`, { forward }), 400, 'bad_field', 'forward');
  expectStatus(await alice.post(`/v1/chats/${chat.id}/messages`, { forward }), 201);
});

test('an older message that a blocked sender deletes is shown as deleted', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const old = await postMessage(alice, chat, 'old');
  await block(bob, alice);
  const his = await listen(t, bob);
  expectStatus(await alice.delete(messagePath(old)), 204);
  assert.equal((await his.next('message.deleted')).message.deleted, true);
  assert.equal((await wholeHistory(bob, chat))[0].deleted, true);
});

test('streams that come from a few events ago get the same from memory as from the database', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const start = await postMessage(alice, chat, 'start');
  const seen = await postMessage(alice, chat, 'seen, then edited');
  const live = await listen(t, bob);
  await block(bob, alice);
  const first = await postMessage(alice, chat, 'secret');
  await edit(alice, first, 'secret, edited');
  await edit(alice, seen, 'edited');
  await unblock(bob, alice);
  const last = await postMessage(alice, chat, 'heard again');
  await live.until(({ message }) => message?.id === last.id);
  // With a live stream beside it, the next one takes the events from memory.
  const fromMemory = await (await listen(t, bob, { lastEventId: start.id })).until(({ message }) => message?.id === last.id);
  const messages = fromMemory.filter(({ message }) => message).map(shown);
  assert.deepEqual(messages, [
    { type: 'message.created', message: hiddenForm(seen) },
    { type: 'message.created', message: hiddenForm(first) },
    { type: 'message.edited', message: hiddenForm(first) },
    { type: 'message.edited', message: hiddenForm(seen) },
    { type: 'message.created', message: last },
  ]);
  live.cut();
  const another = await listen(t, await logIn(bob), { lastEventId: start.id });
  assert.deepEqual((await another.until(({ message }) => message?.id === last.id)).filter(({ message }) => message).map(shown), messages);
});

test('after the block is lifted messages arrive again, and what was hidden stays so', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  await block(bob, alice);
  const hidden = await postMessage(alice, chat, 'hidden');
  await unblock(bob, alice);
  const his = await listen(t, bob);
  const message = await postMessage(alice, chat, 'heard');
  assert.deepEqual((await his.next('message.created')).message, message);
  assert.deepEqual(await wholeHistory(bob, chat), [hiddenForm(hidden), message]);
});

test('both may block each other, and each hears again for themselves', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  await Promise.all([block(bob, alice), block(alice, bob)]);
  const [hers, his] = [await postMessage(alice, chat, 'hers'), await postMessage(bob, chat, 'his')];
  assert.deepEqual(await wholeHistory(alice, chat), [hers, hiddenForm(his)]);
  assert.deepEqual(await wholeHistory(bob, chat), [hiddenForm(hers), his]);
  await unblock(alice, bob);
  const last = [await postMessage(alice, chat, 'hers'), await postMessage(bob, chat, 'his')];
  assert.deepEqual((await wholeHistory(alice, chat)).slice(2), last);
  assert.deepEqual((await wholeHistory(bob, chat)).slice(2), [hiddenForm(last[0]), last[1]]);
});

test('somebody who is blocked gets no chat with the blocker, as with nobody', async () => {
  const [alice, bob, carol] = await registerMany(server, 'alice', 'bob', 'carol');
  await block(bob, alice);
  const group = await createGroup(alice, [carol]);
  const asked = async (account, member_ids, type = 'direct') => {
    const answer = await account.post('/v1/chats', type === 'group' ? { type, title: 'x', member_ids } : { type, member_ids });
    expectProblem(answer, 400, 'bad_field', 'member_ids');
    return answer.body.detail;
  };
  assert.deepEqual(await asked(alice, [bob.id]), await asked(alice, [NOBODY]));
  assert.deepEqual(await asked(alice, [carol.id, bob.id], 'group'), await asked(alice, [carol.id, NOBODY], 'group'));
  expectProblem(await alice.put(`/v1/chats/${group.id}/members/${bob.id}`, {}), 404, 'not_found');
  assert.equal((await getChat(alice, group)).member_count, 2);
  await unblock(bob, alice);
  await addMember(alice, group, bob);
  await createDirect(alice, bob);
});

test('the blocker may begin a direct chat, and hears nothing there', async () => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  await block(bob, alice);
  const chat = await createDirect(bob, alice);
  const message = await postMessage(alice, chat, 'hello?');
  assert.deepEqual(await wholeHistory(bob, chat), [hiddenForm(message)]);
  assert.equal((await createDirect(alice, bob)).id, chat.id);
});

test('in groups both see each other', async () => {
  const { alice, bob } = await aliceAndBob();
  const group = await createGroup(alice, [bob]);
  await block(bob, alice);
  const message = await postMessage(alice, group, 'to all');
  assert.deepEqual(await wholeHistory(bob, group), [message]);
});

test('somebody who is blocked does not see whether the blocker is there', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const look = async () => (await alice.get(`/v1/presence?user_ids=${bob.id}`)).body.items;
  expectStatus(await bob.put('/v1/presence', { active: true }), 204);
  assert.equal((await look()).length, 1);
  expectStatus(await alice.put('/v1/presence/subscriptions', { user_ids: [bob.id] }), 200);
  const hers = await listen(t, alice);
  await block(bob, alice);
  assert.deepEqual(await look(), []);
  expectStatus(await bob.put('/v1/presence', { active: false }), 204);
  const message = await postMessage(bob, chat, 'until now');
  const heard = await hers.until((event) => event.message?.id === message.id);
  assert.deepEqual(heard.filter(({ type }) => type === 'presence' && type.online === false), []);
  await unblock(bob, alice);
  assert.equal((await look()).length, 1);
});

test('somebody who is blocked types for nobody', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const his = await listen(t, bob);
  await block(bob, alice);
  await his.next('user.blocked');
  expectStatus(await alice.post(`/v1/chats/${chat.id}/typing`), 204);
  const message = await postMessage(alice, chat, 'x');
  const heard = await his.until((event) => event.message?.id === message.id);
  assert.deepEqual(heard.map(({ type }) => type).filter((type) => type === 'typing'), []);
});

test('only own devices are told of blocks and contacts', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const phone = await logIn(bob);
  const [his, hers] = [await listen(t, phone), await listen(t, alice)];
  const before = await getChat(alice, chat);
  await block(bob, alice);
  await unblock(bob, alice);
  const contact = expectStatus(await bob.put(`/v1/contacts/${alice.id}`, { name: 'Ali' }), 201);
  expectStatus(await bob.delete(`/v1/contacts/${alice.id}`), 204);
  const events = await his.take(4);
  assert.deepEqual(events.map(({ frame, ...event }) => event), [
    { type: 'user.blocked', user_id: alice.id },
    { type: 'user.unblocked', user_id: alice.id },
    { type: 'contact.saved', contact },
    { type: 'contact.removed', user_id: alice.id },
  ]);
  assert.deepEqual(await getChat(alice, chat), before);
  const message = await postMessage(alice, chat, 'x');
  assert.deepEqual((await hers.take(1)).map(shown), [{ type: 'message.created', message }]);
});

test('blocking twice changes nothing, and what is not blocked cannot be lifted', async () => {
  const { alice, bob } = await aliceAndBob();
  const first = await block(bob, alice);
  assert.deepEqual(await block(bob, alice, 200), first);
  assert.deepEqual((await listOf(bob, '/v1/blocks')).items, [first]);
  assert.deepEqual((await listOf(alice, '/v1/blocks')).items, []);
  await unblock(bob, alice);
  expectProblem(await bob.delete(`/v1/blocks/${alice.id}`), 404, 'not_found');
  assert.deepEqual((await listOf(bob, '/v1/blocks')).items, []);
});

test('nobody blocks themselves, or nobody', async () => {
  const alice = await register(server, 'alice');
  for (const what of ['blocks', 'contacts']) {
    expectProblem(await alice.put(`/v1/${what}/${alice.id}`, {}), 400, 'bad_field', 'user_id');
    expectProblem(await alice.put(`/v1/${what}/${NOBODY}`, {}), 404, 'not_found');
  }
});

test('blocks and contacts come in pages', async () => {
  const [alice, ...others] = await registerMany(server, 'alice', ...Array(5).fill('other'));
  for (const user of others) {
    await block(alice, user);
    expectStatus(await alice.put(`/v1/contacts/${user.id}`, {}), 201);
  }
  const ids = others.map(({ id }) => id).sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1));
  for (const path of ['/v1/blocks', '/v1/contacts']) {
    const found = [];
    for (let next = ''; next !== null;) {
      const page = await listOf(alice, `${path}?limit=2${next && `&cursor=${next}`}`);
      found.push(...page.items.map(({ user_id }) => user_id));
      next = page.next;
    }
    assert.deepEqual(found, ids);
  }
});

test('a contact has a name or none, and a new one replaces it', async () => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const put = async (body, status) => expectStatus(await alice.put(`/v1/contacts/${bob.id}`, body), status);
  const first = await put({ name: 'Bobby' }, 201);
  checkKeys(first, ['user_id', 'name', 'added_at']);
  assert.match(first.user_id, ID);
  assert.match(first.added_at, TIME);
  assert.deepEqual([first.user_id, first.name], [bob.id, 'Bobby']);
  assert.deepEqual(await put({ name: 'Bobby' }, 200), first);
  const renamed = await put({ name: 'Robert' }, 200);
  assert.deepEqual(renamed, { ...first, name: 'Robert' });
  assert.deepEqual((await listOf(alice, '/v1/contacts')).items, [renamed]);
  assert.equal((await put({}, 200)).name, null);
  expectProblem(await alice.put(`/v1/contacts/${bob.id}`, { name: 'x'.repeat(65) }), 400, 'bad_field', 'name');
  expectProblem(await alice.put(`/v1/contacts/${bob.id}`, { name: 'a\u0007b' }), 400, 'bad_field', 'name');
  expectStatus(await alice.delete(`/v1/contacts/${bob.id}`), 204);
  expectProblem(await alice.delete(`/v1/contacts/${bob.id}`), 404, 'not_found');
  assert.deepEqual((await listOf(bob, '/v1/contacts')).items, []);
});

test('blocks and posts at once: a message is hidden as a whole or not at all', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const his = await listen(t, bob);
  const posting = postMany(alice, chat, 60);
  for (let i = 0; i < 10; i++) {
    await block(bob, alice);
    await unblock(bob, alice);
  }
  const messages = await posting;
  const events = await his.until(({ message }) => message?.id === messages.at(-1).id);
  const live = events.filter(({ type }) => type === 'message.created').map(({ message }) => message);
  assert.deepEqual(live, await wholeHistory(bob, chat));
  for (const [i, message] of live.entries()) assert.deepEqual(message, message.hidden ? hiddenForm(messages[i]) : messages[i]);
  assert.deepEqual((await historyPage(alice, chat, { limit: 100 })).items, messages);
});

// ---- what blocking does to numbers, and to what is added to messages

const chatsOf = async (account) => expectStatus(await account.get('/v1/chats'), 200);
const listed = async (account, chat) => (await chatsOf(account)).items.find(({ id }) => id === chat.id);
const totalOf = async (account) => (await chatsOf(account)).unread_total;
const emojiPath = (message, emoji) => `${messagePath(message)}/reactions/${encodeURIComponent(emoji)}`;
const react = async (account, message, emoji) => expectStatus(await account.put(emojiPath(message, emoji)), 200);
const pin = async (account, chat, message) => expectStatus(await account.put(`/v1/chats/${chat.id}/pins/${message.id}`), 204);
const pinsOf = async (account, chat) => expectStatus(await account.get(`/v1/chats/${chat.id}/pins`), 200).items.map(({ message_id }) => message_id);
const shownReactions = async (account, message) => expectStatus(await account.get(messagePath(message)), 200).reactions;

test('what is hidden does not count as unread, and what comes after the block does', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const group = await createGroup(alice, [bob]);
  await postMany(alice, group, 2);
  const before = await postMany(alice, chat, 3);
  assert.deepEqual([(await listed(bob, chat)).unread, await totalOf(bob)], [3, 5]);
  await block(bob, alice);
  assert.deepEqual([(await listed(bob, chat)).unread, await totalOf(bob)], [0, 2]);
  const mentions = [{ user_id: bob.id, offset: 0, length: 1 }];
  for (let i = 0; i < 3; i++) await postMessage(alice, chat, 'hidden', { mentions });
  await edit(alice, before[0], 'edited');
  const item = await listed(bob, chat);
  assert.deepEqual([item.unread, item.mentioned, item.read_seq, item.last_seq, await totalOf(bob)], [0, false, 6, 6, 2]);
  assert.equal(expectStatus(await bob.put(`/v1/chats/${chat.id}/read`, { seq: 1 }), 200).unread, 0);
  await postMessage(bob, chat, 'mine');
  await unblock(bob, alice);
  await postMessage(alice, chat, 'heard', { mentions });
  const after = await listed(bob, chat);
  assert.deepEqual([after.unread, after.mentioned, await totalOf(bob)], [1, true, 3]);
  assert.equal((await listed(alice, chat)).unread, 0);
});

test('the blocker sees no reactions of whom they have blocked, and sees them again afterwards', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const message = await postMessage(bob, chat, 'from bob');
  await react(alice, message, '👍');
  await block(bob, alice);
  const [his, hers] = [await listen(t, bob), await listen(t, alice)];
  const made = await react(alice, message, '🎉');
  assert.deepEqual(made.reactions, [{ emoji: '👍', count: 1 }, { emoji: '🎉', count: 1 }]);
  const told = await his.next('message.reacted');
  assert.deepEqual(neutral(told), { type: 'message.reacted', chat_id: chat.id, actor_id: alice.id, message_id: message.id, withheld: true });
  assert.deepEqual((await hers.next('message.reacted')).reactions, made.reactions);

  const own = await react(bob, message, '👍');
  assert.deepEqual(own.reactions, [{ emoji: '👍', count: 1 }]);
  assert.deepEqual([(await his.next('message.reacted')).withheld, (await hers.next('message.reacted')).reactions.length], [true, 2]);
  assert.equal(await shownReactions(bob, message), undefined);
  assert.equal((await wholeHistory(bob, chat))[0].reactions, undefined);
  assert.equal((await listed(bob, chat)).last_message.reactions, undefined);
  assert.deepEqual((await listOf(bob, `${messagePath(message)}/reactions?emoji=${encodeURIComponent('🎉')}`)).items, []);
  assert.equal((await edit(bob, message, 'edited')).reactions, undefined);
  assert.equal((await hers.next('message.edited')).message.reactions, undefined);
  const replay = await listen(t, await logIn(bob), { lastEventId: message.id });
  const replayed = (await replay.until(({ type }) => type === 'message.edited')).filter(({ type }) => type === 'message.reacted');
  assert.deepEqual(replayed.slice(-2).map(({ withheld }) => withheld), [true, true]);
  assert.deepEqual(await shownReactions(alice, message), [{ emoji: '👍', count: 2 }, { emoji: '🎉', count: 1 }]);

  await unblock(bob, alice);
  assert.deepEqual(await shownReactions(bob, message), [{ emoji: '👍', count: 2 }, { emoji: '🎉', count: 1 }]);
  await react(alice, message, '❤️');
  await his.until((event) => event.type === 'message.reacted' && event.emoji === '❤️');
});

test('when both have blocked each other, neither sees reactions of the other', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const message = await postMessage(bob, chat, 'from bob');
  await Promise.all([block(bob, alice), block(alice, bob)]);
  const [his, hers] = [await listen(t, bob), await listen(t, alice)];
  assert.deepEqual((await react(alice, message, '🎉')).reactions, [{ emoji: '🎉', count: 1 }]);
  assert.deepEqual((await react(bob, message, '👍')).reactions, [{ emoji: '👍', count: 1 }]);
  for (const stream of [his, hers])
    for (let i = 0; i < 2; i++) assert.deepEqual([(await stream.next('message.reacted'))].map((event) => [event.withheld, event.reactions]), [[true, undefined]]);
});

test('the blocker is not shown what a blocked user pins, and no number is missing', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const [first, second] = await postMany(bob, chat, 2);
  await block(bob, alice);
  const [his, hers] = [await listen(t, bob), await listen(t, alice)];
  await pin(alice, chat, first);
  await pin(bob, chat, second);
  const told = [await his.next('message.pinned'), await his.next('message.pinned')];
  assert.deepEqual(told.map((event) => [event.message_id, event.withheld, event.pinned_at === undefined]), [[first.id, true, true], [second.id, undefined, false]]);
  assert.equal(told[1].rev, told[0].rev + 1);
  assert.equal((await hers.next('message.pinned')).withheld, undefined);
  assert.deepEqual([await pinsOf(bob, chat), (await pinsOf(alice, chat)).length], [[second.id], 2]);
  await unblock(bob, alice);
  assert.equal((await pinsOf(bob, chat)).length, 2);
});

test('nobody reacts to, pins or forwards what is hidden from them', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  await block(bob, alice);
  const hidden = await postMessage(alice, chat, 'hidden');
  expectProblem(await bob.put(emojiPath(hidden, '👍')), 404, 'not_found');
  expectProblem(await bob.delete(emojiPath(hidden, '👍')), 404, 'not_found');
  expectProblem(await bob.put(`/v1/chats/${chat.id}/pins/${hidden.id}`), 404, 'not_found');
  expectProblem(await bob.delete(`/v1/chats/${chat.id}/pins/${hidden.id}`), 404, 'not_found');
  const deleted = await postMessage(bob, chat, 'deleted for me');
  expectStatus(await bob.delete(`${messagePath(deleted)}?for=me`), 204);
  expectProblem(await bob.put(emojiPath(deleted, '👍')), 404, 'not_found');
  await react(alice, deleted, '👍');
});

test('neither types for the other', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const type = async (account) => expectStatus(await account.post(`/v1/chats/${chat.id}/typing`), 204);
  await block(bob, alice);
  const [his, hers] = [await listen(t, bob), await listen(t, alice)];
  await Promise.all([type(alice), type(bob)]);
  const message = await postMessage(bob, chat, 'until now');
  for (const stream of [his, hers]) {
    const heard = await stream.until((event) => event.message?.id === message.id);
    assert.deepEqual(heard.filter(({ type }) => type === 'typing'), []);
  }
});

test('neither tells the other what was delivered and read', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const group = await createGroup(alice, [bob]);
  const [hers, his] = await postMessage(alice, chat, 'from alice').then(async (first) => [first, await postMessage(bob, chat, 'from bob')]);
  await markRead(alice, chat, his.seq);
  const others = async (account, other) => (await listOf(account, `/v1/chats/${chat.id}/receipts`)).items.filter(({ user_id }) => user_id === other.id);
  const readBy = async (account, message) => expectStatus(await account.get(`${messagePath(message)}/receipts`), 200);
  assert.deepEqual([(await others(alice, bob)).length, (await readBy(alice, hers)).read], [1, [bob.id]]);
  const streams = { alice: await listen(t, alice), bob: await listen(t, bob) };
  await block(bob, alice);
  for (const [account, other, message] of [[alice, bob, hers], [bob, alice, his]]) {
    assert.deepEqual(await others(account, other), []);
    const { delivered_count, read_count, delivered, read } = await readBy(account, message);
    assert.deepEqual([delivered_count, read_count, delivered, read], [0, 0, [], []]);
  }
  const more = [await postMessage(alice, chat, 'hidden'), await postMessage(bob, chat, 'heard')];
  await markRead(alice, chat, more[1].seq);
  await markRead(bob, chat, more[1].seq);
  // What is told of the group comes after what would have been told of the chat.
  await allStored(server);
  const until = (stream, user, seq) => stream.until((event) => event.type === 'receipt' && event.chat_id === group.id && event.user_id === user.id && event.read_seq === seq);
  const one = await postMessage(bob, group, 'x');
  await markRead(alice, group, one.seq);
  const toBob = await until(streams.bob, alice, one.seq);
  const two = await postMessage(alice, group, 'y');
  await markRead(bob, group, two.seq);
  const heard = [...toBob, ...(await until(streams.alice, bob, two.seq))];
  const told = heard.filter((event) => event.type === 'receipt' && event.chat_id === chat.id && event.unread_total === undefined);
  assert.deepEqual(told, []);
  await unblock(bob, alice);
  assert.equal((await others(alice, bob)).length, 1);
});

test('a scheduled message of a blocked sender is hidden when it is sent', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const waiting = await scheduleMessage(alice, chat, { send_at: new Date(Date.now() + 5000).toISOString() });
  await block(bob, alice);
  const [his, hers] = [await listen(t, bob), await listen(t, alice)];
  const sent = (await hers.until(({ type }) => type === 'scheduled.sent')).at(-1);
  assert.equal(sent.scheduled_id, waiting.id);
  const { message } = await his.next('message.created');
  checkHiddenMessage(message);
  assert.equal(message.id, sent.message_id);
  assert.equal((await listed(bob, chat)).unread, 0);
});

// What does not differ between events: their ids and numbers are left out.
function neutral({ frame, rev, ...event }) {
  return event;
}
