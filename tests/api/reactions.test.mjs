// Reactions: one of each emoji per user, counts that never drift, and what those learn who come late or leave.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { addMember, createGroup, expectProblem, expectStatus, getChat, historyPage, postMessage, register, registerMany, removeMember, wholeHistory } from '../support/client.mjs';
import { checkChain } from '../support/chain.mjs';
import { openReadyFor } from '../support/events.mjs';
import { startServer } from '../support/server.mjs';
import { TIME, checkEditedMessage, checkKeys, checkList, checkNewMessage, checkReactions } from '../support/shapes.mjs';

const server = await startServer();
after(() => server.dispose());

const messagePath = (message) => `/v1/chats/${message.chat_id}/messages/${message.id}`;
const reactionPath = (message, emoji) => `${messagePath(message)}/reactions/${encodeURIComponent(emoji)}`;
const get = async (reader, message) => expectStatus(await reader.get(messagePath(message)), 200);

async function react(account, message, emoji) {
  return checked(message, expectStatus(await account.put(reactionPath(message, emoji)), 200));
}

async function takeBack(account, message, emoji) {
  return checked(message, expectStatus(await account.delete(reactionPath(message, emoji)), 200));
}

function checked(message, answer) {
  checkKeys(answer, ['message_id', 'reactions', 'reactions_rev']);
  checkReactions(answer);
  assert.equal(answer.message_id, message.id);
  return answer;
}

async function aliceAndBob(fields = {}) {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice, [bob], fields);
  return { alice, bob, chat, message: await postMessage(alice, chat, 'a message') };
}

async function listReactions(account, message, emoji, query = '') {
  const list = expectStatus(await account.get(`${messagePath(message)}/reactions?emoji=${encodeURIComponent(emoji)}${query}`), 200);
  checkList(list);
  for (const item of list.items) {
    checkKeys(item, ['user_id', 'created_at']);
    assert.match(item.created_at, TIME);
  }
  return list;
}

test('reactions are counted in the message, told to the members, and change nothing else of the message', async (t) => {
  const { alice, bob, chat, message } = await aliceAndBob();
  const stream = await openReadyFor(t, server, { token: alice.token });
  await react(alice, message, '👍');
  await react(bob, message, '🎉');
  const answer = await react(bob, message, '👍');
  assert.deepEqual(answer.reactions, [{ emoji: '👍', count: 2 }, { emoji: '🎉', count: 1 }]);
  const events = await stream.take(3);
  assert.deepEqual(events.map(({ user_id, actor_id, emoji, on, message_id }) => [user_id, actor_id, emoji, on, message_id]), [
    [alice.id, alice.id, '👍', true, message.id], [bob.id, bob.id, '🎉', true, message.id], [bob.id, bob.id, '👍', true, message.id],
  ]);
  assert.deepEqual([events[2].reactions, events[2].reactions_rev, events[2].rev], [answer.reactions, answer.reactions_rev, answer.reactions_rev]);
  const shown = await get(bob, message);
  checkNewMessage(shown);
  const { reactions, reactions_rev, ...rest } = shown;
  assert.deepEqual(rest, message);
  assert.deepEqual({ message_id: message.id, reactions, reactions_rev }, answer);
  assert.deepEqual(await wholeHistory(alice, chat), [shown]);
  checkChain([shown]);
});

test('a reaction moves the rev of the chat, not that of its own values', async () => {
  const { bob, chat, message } = await aliceAndBob();
  const before = await getChat(bob, chat);
  await react(bob, message, '👍');
  const now = await getChat(bob, chat);
  assert.deepEqual([now.last_rev, now.rev, now.last_seq], [before.last_rev + 1, before.rev, before.last_seq]);
});

test('reacting and taking back twice changes nothing and tells nobody', async (t) => {
  const { alice, bob, message } = await aliceAndBob();
  const stream = await openReadyFor(t, server, { token: alice.token });
  const first = await react(bob, message, '👍');
  assert.deepEqual(await react(bob, message, '👍'), first);
  assert.deepEqual(await takeBack(bob, message, '🎉'), first);
  assert.deepEqual(await takeBack(alice, message, '👍'), first);
  const last = await takeBack(bob, message, '👍');
  assert.deepEqual(last.reactions, []);
  assert.deepEqual(await takeBack(bob, message, '👍'), last);
  await react(alice, message, '🎉');
  const events = await stream.take(3);
  assert.deepEqual(events.map(({ emoji, on, rev }) => [emoji, on, rev]), [
    ['👍', true, first.reactions_rev], ['👍', false, first.reactions_rev + 1], ['🎉', true, first.reactions_rev + 2],
  ]);
  assert.deepEqual(events[1].reactions, []);
});

test('taking back the last of an emoji takes it out of the list, wherever it stands', async () => {
  const { alice, message } = await aliceAndBob();
  for (const emoji of ['1️⃣', '2️⃣', '3️⃣']) await react(alice, message, emoji);
  assert.deepEqual((await takeBack(alice, message, '2️⃣')).reactions.map(({ emoji }) => emoji), ['1️⃣', '3️⃣']);
  assert.deepEqual((await takeBack(alice, message, '1️⃣')).reactions.map(({ emoji }) => emoji), ['3️⃣']);
  await react(alice, message, '2️⃣');
  assert.deepEqual((await takeBack(alice, message, '2️⃣')).reactions.map(({ emoji }) => emoji), ['3️⃣']);
  assert.deepEqual((await takeBack(alice, message, '3️⃣')).reactions, []);
  assert.deepEqual((await get(alice, message)).reactions, []);
});

test('an edit keeps the reactions', async () => {
  const { alice, bob, message } = await aliceAndBob();
  const { reactions } = await react(bob, message, '👍');
  const edited = expectStatus(await alice.patch(messagePath(message), { text: 'edited' }), 200);
  checkEditedMessage(edited);
  assert.deepEqual(edited.reactions, reactions);
});

test('who reacted is listed by emoji, in pages', async () => {
  const { alice, bob, chat, message } = await aliceAndBob();
  const others = await registerMany(server, 'c', 'd', 'e');
  for (const account of others) await addMember(alice, chat, account);
  const late = await postMessage(alice, chat, 'late');
  for (const account of [alice, bob, ...others]) await react(account, late, '👍');
  await react(bob, late, '🎉');
  const seen = [];
  for (let query = '&limit=2'; query; ) {
    const page = await listReactions(bob, late, '👍', query);
    seen.push(...page.items.map(({ user_id }) => user_id));
    query = page.next && `&limit=2&cursor=${page.next}`;
  }
  assert.deepEqual(seen, [alice, bob, ...others].map(({ id }) => id).sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1)));
  assert.deepEqual((await listReactions(alice, late, '🎉')).items.map(({ user_id }) => user_id), [bob.id]);
  assert.deepEqual((await listReactions(alice, late, '💩')).items, []);
  assert.deepEqual((await listReactions(alice, message, '👍')).items, []);
  expectProblem(await alice.get(`${messagePath(late)}/reactions`), 400, 'bad_query', 'emoji');
  expectProblem(await alice.get(`${messagePath(late)}/reactions?emoji=like`), 400, 'bad_query', 'emoji');
});

const EMOJI = [
  ['four bytes', '👍'], ['with a skin tone', '👍🏽'], ['a keycap', '#️⃣'], ['a flag', '🇩🇪'], ['a family of 25 bytes', '👨‍👩‍👧‍👦'], ['32 bytes', '😀'.repeat(8)],
  ['three bytes', '♥'],
];

for (const [what, emoji] of EMOJI) {
  test(`an emoji that is ${what} comes back exactly`, async () => {
    const { alice, message } = await aliceAndBob();
    assert.deepEqual((await react(alice, message, emoji)).reactions, [{ emoji, count: 1 }]);
    assert.deepEqual((await get(alice, message)).reactions, [{ emoji, count: 1 }]);
    assert.deepEqual((await takeBack(alice, message, emoji)).reactions, []);
  });
}

const NO_EMOJI = [
  ['a word', 'like'], ['a letter with an emoji', 'a👍'], ['digits alone', '1'], ['a space', '👍 👍'], ['33 bytes', `${'😀'.repeat(8)}1`], ['a quote', '👍"'],
  ['a backslash', '\\👍'], ['a line feed', '👍\n'], ['a late control character', '\u0085'], ['a slash', '👍/👍'],
];

test('what is no emoji is refused and changes nothing', async (t) => {
  const { alice, message } = await aliceAndBob();
  for (const [what, text] of NO_EMOJI) {
    await t.test(what, async () => {
      expectProblem(await alice.put(reactionPath(message, text)), 400, 'bad_field', 'emoji');
      expectProblem(await alice.delete(reactionPath(message, text)), 400, 'bad_field', 'emoji');
    });
  }
  for (const raw of ['%ff', '%f0%9f', '%00', '%c3%28', '%', '%zz']) {
    await t.test(raw, async () => expectProblem(await alice.put(`${messagePath(message)}/reactions/${raw}`), 400, 'bad_field', 'emoji'));
  }
  const tooLong = await alice.put(`${messagePath(message)}/reactions/${encodeURIComponent('👍'.repeat(500))}`);
  expectProblem(tooLong, 400, 'bad_field', 'emoji');
  const large = await alice.put(`${messagePath(message)}/reactions/${'👍'.repeat(2500).replace(/👍/gu, '%F0%9F%91%8D')}`);
  assert.ok(large.status >= 400 && large.status < 500, `${large.status}`);
  expectProblem(await alice.put(`${messagePath(message)}/reactions/`), 404);
  assert.deepEqual(await get(alice, message), message);
});

test('a message has at most 20 different reactions, of as many users as there are', async () => {
  const { alice, bob, message } = await aliceAndBob();
  const emoji = Array.from({ length: 21 }, (_, i) => String.fromCodePoint(0x1f600 + i));
  for (const one of emoji.slice(0, 20)) await react(alice, message, one);
  expectProblem(await bob.put(reactionPath(message, emoji[20])), 409, 'too_many_reactions');
  assert.equal((await react(bob, message, emoji[19])).reactions.length, 20);
  await takeBack(alice, message, emoji[0]);
  assert.equal((await react(bob, message, emoji[20])).reactions.length, 20);
});

test('a deleted message loses its reactions and gets no new ones', async () => {
  const { alice, bob, message } = await aliceAndBob();
  await react(bob, message, '👍');
  expectStatus(await alice.delete(messagePath(message)), 204);
  assert.equal('reactions' in (await get(bob, message)), false);
  expectProblem(await bob.put(reactionPath(message, '👍')), 409, 'already_deleted');
  expectProblem(await bob.delete(reactionPath(message, '👍')), 409, 'already_deleted');
  assert.deepEqual((await listReactions(alice, message, '👍')).items, []);
});

test('a replay tells of reactions, and only that there were some once the message is deleted', async (t) => {
  const { alice, bob, message } = await aliceAndBob();
  const other = await postMessage(alice, { id: message.chat_id }, 'stays');
  await react(bob, message, '👍');
  const kept = await react(bob, other, '🎉');
  expectStatus(await alice.delete(messagePath(message)), 204);
  const stream = await openReadyFor(t, server, { token: bob.token, lastEventId: other.id });
  const [first, second] = await stream.take(2);
  checkKeys(first, ['type', 'chat_id', 'rev', 'actor_id', 'message_id', 'withheld', 'frame']);
  assert.deepEqual([first.message_id, first.withheld], [message.id, true]);
  assert.deepEqual([second.emoji, second.on, second.reactions, second.reactions_rev], ['🎉', true, kept.reactions, kept.reactions_rev]);
});

test('who left sees no reactions from later', async () => {
  const { alice, bob, chat, message } = await aliceAndBob();
  const { reactions } = await react(alice, message, '👍');
  await removeMember(alice, chat, bob);
  assert.deepEqual((await get(bob, message)).reactions, reactions);
  await react(alice, message, '🎉');
  assert.deepEqual(await get(bob, message), message);
  assert.deepEqual((await historyPage(bob, chat)).items, [message]);
  expectProblem(await bob.put(reactionPath(message, '👍')), 404, 'not_found');
  expectProblem(await bob.get(`${messagePath(message)}/reactions?emoji=${encodeURIComponent('👍')}`), 404, 'not_found');
  await addMember(alice, chat, bob);
  await react(alice, message, '💡');
  assert.equal((await get(bob, message)).reactions.length, 3);
});

test('who joined later learns only that somebody reacted to what was before', async (t) => {
  const { alice, chat, message } = await aliceAndBob();
  const carol = await register(server, 'carol');
  await addMember(alice, chat, carol);
  const stream = await openReadyFor(t, server, { token: carol.token });
  const answer = await react(alice, message, '👍');
  const live = await stream.next('message.reacted');
  checkKeys(live, ['type', 'chat_id', 'rev', 'actor_id', 'message_id', 'withheld', 'frame']);
  assert.equal(live.rev, answer.reactions_rev);
  const again = await openReadyFor(t, server, { token: carol.token, lastEventId: stream.ready.id });
  const { frame, ...replayed } = await again.next('message.reacted');
  assert.deepEqual({ ...replayed, frame: live.frame }, live);
  assert.equal(frame.id, live.frame.id);
  expectProblem(await carol.put(reactionPath(message, '👍')), 404, 'not_found');
});

test('many at once: the counts are those of the lists', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const accounts = [alice, bob, ...(await registerMany(server, 'c', 'd'))];
  for (const account of accounts.slice(2)) await addMember(alice, chat, account);
  const message = await postMessage(alice, chat, 'popular');
  const emoji = ['👍', '🎉', '💡'];
  const actions = accounts.flatMap((account) => emoji.flatMap((one) => [react, takeBack, react, takeBack, react].map((act) => () => act(account, message, one))));
  await Promise.all(actions.map((act, i) => (i % 7 === 0 ? Promise.resolve() : act())));
  const { reactions } = await get(alice, message);
  for (const one of emoji) {
    const { items } = await listReactions(alice, message, one);
    assert.equal(reactions.find((reaction) => reaction.emoji === one)?.count ?? 0, items.length, one);
  }
});
