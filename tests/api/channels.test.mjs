// Channels: who follows one, what followers may and hear, and what nobody tells of them.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  createChannel, createLink, expectProblem, expectStatus, follow, getChat, getOwnChat, historyPage, logIn, markRead, postMany, postMessage, register, registerMany,
  removeMember, scheduleMessage, uniqueName, wholeHistory,
} from '../support/client.mjs';
import { NO_CLOCK, cleanUp, startManual } from '../support/cleanup.mjs';
import { openReadyFor } from '../support/events.mjs';
import { allStored } from '../support/marks.mjs';
import { startServer } from '../support/server.mjs';
import { checkChat, checkChatList, checkKeys, checkList, checkReactions } from '../support/shapes.mjs';
import { eventually } from '../support/wait.mjs';

const DAY_MS = 24 * 3600_000;

// Heartbeats are how a test knows that a stream is caught up.
const server = await startServer({ env: { PARLEY_HEARTBEAT: '100ms' } });
after(() => server.dispose());

const messagePath = (message) => `/v1/chats/${message.chat_id}/messages/${message.id}`;
const reactionPath = (message, emoji) => `${messagePath(message)}/reactions/${encodeURIComponent(emoji)}`;
const memberPath = (chat, user) => `/v1/chats/${chat.id}/members/${user.id}`;
const inOrder = (ids) => ids.sort((a, b) => Number(BigInt(a) - BigInt(b)));
const react = async (account, message, emoji) => expectStatus(await account.put(reactionPath(message, emoji)), 200);
const streamOf = (t, account, options = {}) => openReadyFor(t, server, { token: account.token, ...options });

async function listOf(account, path) {
  const list = expectStatus(await account.get(path), 200);
  checkList(list);
  return list.items;
}

const membersOf = async (account, chat) => (await listOf(account, `/v1/chats/${chat.id}/members`)).map(({ user_id, role }) => [user_id, role]);

// Shows that nothing else waits on the streams of a user: the next event is one made just now.
async function nothingElse(account, ...streams) {
  expectStatus(await account.patch('/v1/users/me', { display_name: `barrier ${Date.now()}` }), 200);
  for (const stream of streams) await stream.next('user.updated');
}

// An owner with a public channel, and those who follow it.
async function scene(...names) {
  const owner = await register(server, 'owner');
  const chat = await createChannel(owner, { public: true });
  const followers = await registerMany(server, ...names);
  for (const follower of followers) await follow(follower, chat);
  return { owner, chat, followers };
}

async function promote(owner, chat, user, role = 'admin') {
  expectStatus(await owner.put(memberPath(chat, user), { role }), 200);
}

// Made ready by a follower who becomes an admin: {owner, admin, follower, chat}.
async function staffed() {
  const { owner, chat, followers: [admin, follower] } = await scene('admin', 'follower');
  await promote(owner, chat, admin);
  return { owner, admin, follower, chat };
}

test('a channel has a title, an owner and no followers at first', async () => {
  const owner = await register(server, 'owner');
  const chat = expectStatus(await owner.post('/v1/chats', { type: 'channel', title: 'News', description: 'What is new' }), 201);
  checkChat(chat);
  const { type, title, description, history, my_role, member_count, permissions } = chat;
  assert.deepEqual({ type, title, description, history, my_role, member_count, public: chat.public }, {
    type: 'channel', title: 'News', description: 'What is new', history: 'all', my_role: 'owner', member_count: 1, public: false,
  });
  assert.deepEqual(permissions, { post: 'admins', add: 'admins', edit: 'admins' });
  assert.deepEqual(await getChat(owner, chat), chat);
});

test('a channel is made of nothing that it cannot have', async () => {
  const [owner, other] = await registerMany(server, 'owner', 'other');
  const refused = async (fields, code, field) => expectProblem(await owner.post('/v1/chats', { type: 'channel', title: 'x', ...fields }), 400, code, field);
  await refused({ title: undefined }, 'missing_field', 'title');
  await refused({ member_ids: [other.id] }, 'bad_field', 'member_ids');
  await refused({ until_delivered: true }, 'bad_field', 'until_delivered');
  await refused({ type: 'group', member_ids: [], public: true }, 'bad_field', 'public');
  await refused({ type: 'group' }, 'missing_field', 'member_ids');
  await refused({ type: 'direct', title: undefined, member_ids: [other.id], description: 'x' }, 'bad_field', 'description');
  const chat = await createChannel(owner);
  const change = async (fields) => owner.patch(`/v1/chats/${chat.id}`, fields);
  for (const fields of [{ until_delivered: true }, { slow_mode_s: 5 }, { permissions: { post: 'members' } }]) {
    expectProblem(await change(fields), 400, 'bad_field', Object.keys(fields)[0]);
  }
  for (const fields of [{ until_delivered: false }, { slow_mode_s: 0 }, { permissions: { post: 'admins' } }]) expectStatus(await change(fields), 200);
  assert.equal((await getChat(owner, chat)).last_rev, 1);
  const group = expectStatus(await owner.post('/v1/chats', { type: 'group', title: 'x', member_ids: [] }), 201);
  expectProblem(await owner.patch(`/v1/chats/${group.id}`, { public: true }), 400, 'bad_field', 'public');
});

test('following a public channel is told to the own devices alone, and so is leaving it', async (t) => {
  const { owner, chat, followers: [other] } = await scene('other');
  const [guest] = await registerMany(server, 'guest');
  const tablet = await logIn(guest);
  const [owners, others, phone, second] = await Promise.all([owner, other, guest, tablet].map((account) => streamOf(t, account)));
  const member = await follow(guest, chat);
  assert.deepEqual([member.user_id, member.role], [guest.id, 'member']);
  assert.equal(expectStatus(await guest.put(memberPath(chat, guest), {}), 200).user_id, guest.id);
  assert.equal((await getChat(guest, chat)).member_count, 3);
  const message = await postMessage(owner, chat, 'hello');
  expectStatus(await guest.delete(memberPath(chat, guest)), 204);
  expectProblem(await guest.delete(memberPath(chat, guest)), 404);
  await postMessage(owner, chat, 'without you');
  for (const stream of [phone, second]) {
    const { frame, ...followed } = await stream.next('channel.followed');
    assert.deepEqual(followed, { type: 'channel.followed', chat_id: chat.id });
    assert.equal((await stream.next('message.created')).message.id, message.id);
    const left = await stream.next('channel.left');
    assert.deepEqual([left.chat_id, left.actor_id], [chat.id, guest.id]);
  }
  await nothingElse(guest, phone, second);
  for (const stream of [owners, others]) {
    for (const text of ['hello', 'without you']) assert.equal((await stream.next('message.created')).message.text, text);
  }
  assert.equal((await getChat(owner, chat)).last_rev, 3);
  assert.equal((await getChat(owner, chat)).member_count, 2);
});

test('what is not public is followed by a link, or once an admin has approved', async (t) => {
  const [owner, guest, patient, stranger] = await registerMany(server, 'owner', 'guest', 'patient', 'stranger');
  const chat = await createChannel(owner);
  const [owners, guests] = await Promise.all([owner, guest].map((account) => streamOf(t, account)));
  expectProblem(await stranger.put(memberPath(chat, stranger), {}), 404, 'not_found');
  const link = await createLink(owner, chat);
  const invitation = expectStatus(await guest.get(`/v1/links/${link.token}`), 200);
  assert.deepEqual([invitation.type, invitation.title, invitation.member_count], ['channel', chat.title, 1]);
  const { as_of } = expectStatus(await guest.get('/v1/chats'), 200);
  const joined = expectStatus(await guest.post(`/v1/links/${link.token}/join`), 201);
  assert.deepEqual([joined.id, joined.my_role, joined.member_count], [chat.id, 'member', 2]);
  assert.equal(expectStatus(await guest.post(`/v1/links/${link.token}/join`), 200).id, chat.id);
  assert.equal((await guests.next('channel.followed')).chat_id, chat.id);
  const since = expectStatus(await guest.get(`/v1/chats?since=${as_of}`), 200);
  checkChatList(since);
  assert.deepEqual(since.items.map(({ id }) => id), [chat.id]);
  const asking = await createLink(owner, chat, { approval: true });
  expectStatus(await patient.post(`/v1/links/${asking.token}/join`), 202);
  assert.equal((await owners.next('join.requested')).request.user_id, patient.id);
  expectStatus(await owner.put(`/v1/chats/${chat.id}/requests/${patient.id}`, { approve: true }), 204);
  assert.equal((await getChat(patient, chat)).member_count, 3);
  await nothingElse(owner, owners);
  assert.equal((await listOf(owner, `/v1/chats/${chat.id}/links`))[0].used, 1);
});

test('a channel can become public, and cease to be', async (t) => {
  const [owner, one, two] = await registerMany(server, 'owner', 'one', 'two');
  const chat = await createChannel(owner);
  const stream = await streamOf(t, owner);
  assert.equal(expectStatus(await owner.patch(`/v1/chats/${chat.id}`, { public: true }), 200).public, true);
  assert.equal((await stream.next('chat.updated')).chat.public, true);
  await follow(one, chat);
  expectProblem(await one.patch(`/v1/chats/${chat.id}`, { public: false }), 403, 'forbidden');
  expectStatus(await owner.patch(`/v1/chats/${chat.id}`, { public: false }), 200);
  expectProblem(await two.put(memberPath(chat, two), {}), 404);
  assert.equal((await getChat(one, chat)).member_count, 2);
});

test('nobody is made to follow, and nobody begins as an admin', async () => {
  const { owner, admin, follower, chat } = await staffed();
  const stranger = await register(server, 'stranger');
  for (const actor of [owner, admin, follower]) expectProblem(await actor.put(memberPath(chat, stranger), {}), 403, 'forbidden');
  for (const role of ['admin', 'owner']) expectProblem(await stranger.put(memberPath(chat, stranger), { role }), 403, 'forbidden');
  expectProblem(await follower.put(memberPath(chat, follower), { role: 'admin' }), 403, 'forbidden');
  expectProblem(await follower.post(`/v1/chats/${chat.id}/links`, {}), 403, 'forbidden');
  assert.equal((await getChat(owner, chat)).member_count, 3);
});

test('those who run a channel post, edit, pin and delete; followers read', async (t) => {
  const { owner, admin, follower, chat } = await staffed();
  const stream = await streamOf(t, follower);
  const message = await postMessage(admin, chat, 'first');
  assert.equal((await stream.next('message.created')).message.id, message.id);
  expectStatus(await admin.patch(messagePath(message), { text: 'edited' }), 200);
  assert.equal((await stream.next('message.edited')).message.text, 'edited');
  expectStatus(await owner.put(`/v1/chats/${chat.id}/pins/${message.id}`), 204);
  await stream.next('message.pinned');
  const refused = await Promise.all([
    follower.post(`/v1/chats/${chat.id}/messages`, { text: 'me too' }),
    follower.post(`/v1/chats/${chat.id}/scheduled`, { text: 'later', send_at: new Date(Date.now() + DAY_MS).toISOString() }),
    follower.patch(messagePath(message), { text: 'mine' }),
    follower.delete(messagePath(message)),
    follower.put(`/v1/chats/${chat.id}/pins/${message.id}`),
    follower.patch(`/v1/chats/${chat.id}`, { title: 'mine' }),
    follower.patch(`/v1/chats/${chat.id}/me`, { draft: 'but' }),
    follower.delete(`/v1/chats/${chat.id}`),
  ]);
  for (const answer of refused) expectProblem(answer, 403, 'forbidden');
  assert.equal((await wholeHistory(follower, chat))[0].text, 'edited');
  assert.equal((await listOf(follower, `/v1/chats/${chat.id}/pins`)).length, 1);
  expectStatus(await owner.delete(messagePath(message)), 204);
  await stream.next('message.deleted');
});

test('who runs a channel no longer changes nothing more of it', async () => {
  const { owner, admin, chat } = await staffed();
  const message = await postMessage(admin, chat, 'mine');
  await scheduleMessage(admin, chat);
  expectStatus(await admin.patch(`/v1/chats/${chat.id}/me`, { draft: 'and' }), 200);
  await promote(owner, chat, admin, 'member');
  expectProblem(await admin.patch(messagePath(message), { text: 'still mine' }), 403, 'forbidden');
  expectProblem(await admin.delete(messagePath(message)), 403, 'forbidden');
  expectStatus(await admin.patch(`/v1/chats/${chat.id}/me`, { draft: null }), 200);
});

test('the members of a channel are those who run it, who come and go as in groups', async (t) => {
  const { owner, chat, followers: [one, two, three] } = await scene('one', 'two', 'three');
  const stream = await streamOf(t, three);
  for (const reader of [owner, one]) assert.deepEqual(await membersOf(reader, chat), [[owner.id, 'owner']]);
  await promote(owner, chat, one);
  await promote(owner, chat, two, 'owner');
  for (const [user, role] of [[one, 'admin'], [two, 'owner']]) {
    const event = await stream.next('member.updated');
    assert.deepEqual([event.member.user_id, event.member.role, event.chat.member_count], [user.id, role, 4]);
  }
  const roles = { [owner.id]: 'owner', [one.id]: 'admin', [two.id]: 'owner' };
  const expected = inOrder(Object.keys(roles)).map((id) => [id, roles[id]]);
  assert.deepEqual(await membersOf(three, chat), expected);
  const paged = [];
  for (let query = '?limit=1'; query; ) {
    const page = expectStatus(await three.get(`/v1/chats/${chat.id}/members${query}`), 200);
    paged.push(...page.items.map(({ user_id, role }) => [user_id, role]));
    query = page.next === null ? null : `?limit=1&cursor=${page.next}`;
  }
  assert.deepEqual(paged, expected);
  await removeMember(owner, chat, one);
  assert.equal((await stream.next('member.removed')).member.user_id, one.id);
  await promote(owner, chat, two, 'member');
  await stream.next('member.updated');
  assert.deepEqual(await membersOf(three, chat), [[owner.id, 'owner']]);
  assert.equal((await getChat(owner, chat)).member_count, 3);
});

test('a follower is removed or banned without anybody else hearing of it', async (t) => {
  const { owner, admin, follower, chat } = await staffed();
  const other = await register(server, 'other');
  await follow(other, chat);
  const [owners, others, followers] = await Promise.all([owner, other, follower].map((account) => streamOf(t, account)));
  await removeMember(admin, chat, follower);
  const left = await followers.next('channel.left');
  assert.deepEqual([left.chat_id, left.actor_id], [chat.id, admin.id]);
  await follow(follower, chat);
  await followers.next('channel.followed');
  expectStatus(await admin.put(`/v1/chats/${chat.id}/bans/${follower.id}`), 201);
  assert.equal((await followers.next('channel.left')).actor_id, admin.id);
  expectProblem(await follower.put(memberPath(chat, follower), {}), 403, 'banned');
  expectProblem(await admin.delete(memberPath(chat, owner)), 403, 'forbidden');
  await nothingElse(owner, owners);
  await nothingElse(other, others);
  assert.equal((await getChat(owner, chat)).member_count, 3);
});

test('a new follower sees what was there before, unless the channel shows it from joining', async () => {
  const owner = await register(server, 'owner');
  const [open, closed] = await Promise.all([createChannel(owner, { public: true }), createChannel(owner, { public: true, history: 'from_join' })]);
  for (const chat of [open, closed]) await postMany(owner, chat, 3);
  const late = await register(server, 'late');
  for (const chat of [open, closed]) await follow(late, chat);
  assert.equal((await wholeHistory(late, open)).length, 3);
  assert.equal((await wholeHistory(late, closed)).length, 0);
  for (const chat of [open, closed]) assert.equal((await getOwnChat(late, chat)).unread, 0);
  await postMessage(owner, open, 'new');
  const list = expectStatus(await late.get('/v1/chats'), 200);
  assert.equal(list.unread_total, 1);
  assert.deepEqual(list.items.map(({ id, unread }) => [id, unread]), [[open.id, 1], [closed.id, 0]]);
  assert.equal((await markRead(late, open, 4)).unread, 0);
});

test('a stream that comes back hears of what was followed meanwhile, and of nothing after it was left', async (t) => {
  const { owner, chat } = await scene();
  const guest = await register(server, 'guest');
  const token = (await streamOf(t, guest)).ready.frame.id;
  await postMessage(owner, chat, 'before');
  await follow(guest, chat);
  await postMessage(owner, chat, 'within');
  await removeMember(guest, chat, guest);
  await postMessage(owner, chat, 'between');
  await follow(guest, chat);
  await postMessage(owner, chat, 'again');
  const stream = await streamOf(t, guest, { lastEventId: token });
  const events = await stream.take(5);
  assert.deepEqual(events.map(({ type, message }) => message?.text ?? type), ['channel.followed', 'within', 'channel.left', 'channel.followed', 'again']);
  assert.deepEqual(events.filter(({ rev }) => rev).map(({ rev }) => rev), [3, 5]);
  await nothingElse(guest, stream);
  await postMessage(owner, chat, 'live');
  assert.equal((await stream.next('message.created')).message.text, 'live');
});

test('reactions are counted in the message and move no rev of the chat', async () => {
  const { owner, chat, followers: [one, two] } = await scene('one', 'two');
  const message = await postMessage(owner, chat, 'react');
  const before = await getChat(owner, chat);
  assert.deepEqual(await react(one, message, '👍'), { message_id: message.id, reactions: [{ emoji: '👍', count: 1 }], reactions_rev: 1 });
  await react(two, message, '👍');
  const last = await react(two, message, '🎉');
  checkReactions(last);
  assert.deepEqual([last.reactions, last.reactions_rev], [[{ emoji: '👍', count: 2 }, { emoji: '🎉', count: 1 }], 3]);
  assert.deepEqual(await react(two, message, '🎉'), last);
  expectStatus(await one.delete(reactionPath(message, '👍')), 200);
  const shown = (await historyPage(owner, chat)).items[0];
  assert.deepEqual([shown.reactions, shown.reactions_rev, shown.rev], [[{ emoji: '👍', count: 1 }, { emoji: '🎉', count: 1 }], 4, message.rev]);
  assert.deepEqual(await getChat(owner, chat), before);
  expectStatus(await owner.delete(messagePath(message)), 204);
  expectProblem(await one.put(reactionPath(message, '👍')), 409, 'already_deleted');
});

test('who reacted is for those who run the channel; a follower sees the own reaction', async () => {
  const { owner, chat, followers: [one, two, three] } = await scene('one', 'two', 'three');
  const message = await postMessage(owner, chat, 'react');
  for (const account of [one, two]) await react(account, message, '👍');
  const namesFor = async (reader, query = '') => (await listOf(reader, `${messagePath(message)}/reactions?emoji=${encodeURIComponent('👍')}${query}`)).map(({ user_id }) => user_id);
  assert.deepEqual(await namesFor(owner), inOrder([one.id, two.id]));
  assert.deepEqual(await namesFor(one), [one.id]);
  assert.deepEqual(await namesFor(two, '&cursor=1'), [two.id]);
  assert.deepEqual(await namesFor(two, `&cursor=${two.id}`), []);
  assert.deepEqual(await namesFor(three), []);
});

test('reactions are told to all, as they are by then, and not more than once a second', async (t) => {
  const { owner, chat, followers: [one, ...others] } = await scene('one', ...Array(9).fill('other'));
  const message = await postMessage(owner, chat, 'react');
  const stream = await streamOf(t, one);
  await stream.heartbeat();
  const from = Date.now();
  for (let round = 0; round < 3; round++) await Promise.all(others.map((account) => react(account, message, ['👍', '🎉', '👀'][round])));
  const final = { message_id: message.id, reactions: ['👍', '🎉', '👀'].map((emoji) => ({ emoji, count: 9 })), reactions_rev: 27 };
  const told = await stream.until((event) => event.reactions_rev === 27, 'the last count');
  const seconds = (Date.now() - from) / 1000;
  assert.ok(told.length <= 2 + seconds, `${told.length} were told in ${seconds} s`);
  for (const { type, frame, chat_id } of told) assert.deepEqual([type, frame.id, chat_id], ['reactions', undefined, chat.id]);
  const { message_id, reactions, reactions_rev } = told.at(-1);
  assert.deepEqual({ message_id, reactions: reactions.sort((a, b) => b.count - a.count), reactions_rev }, { ...final, reactions: reactions });
  assert.deepEqual(reactions.map(({ count }) => count), [9, 9, 9]);
  checkKeys(told.at(-1), ['type', 'chat_id', 'message_id', 'reactions', 'reactions_rev', 'frame']);
});

test('nobody hears who reads or types, nor sees whom they share a channel with', async (t) => {
  const { owner, chat, followers: [one, two] } = await scene('one', 'two');
  const message = await postMessage(owner, chat, 'read me');
  const [owners, others] = await Promise.all([owner, two].map((account) => streamOf(t, account)));
  for (const stream of [owners, others]) await stream.heartbeat();
  expectStatus(await one.post(`/v1/chats/${chat.id}/typing`), 204);
  expectStatus(await owner.post(`/v1/chats/${chat.id}/typing`), 204);
  expectStatus(await one.put('/v1/presence', { active: true }), 204);
  assert.equal((await markRead(one, chat, 1)).unread, 0);
  await allStored(server);
  assert.deepEqual(await listOf(owner, `/v1/chats/${chat.id}/receipts`), []);
  expectProblem(await owner.get(`${messagePath(message)}/receipts`), 403, 'forbidden');
  assert.deepEqual(expectStatus(await two.get(`/v1/presence?user_ids=${one.id},${owner.id}`), 200).items, []);
  await nothingElse(owner, owners);
  await nothingElse(two, others);
});

test('the last owner hands over to an admin, and not to a follower', async (t) => {
  const { owner, admin, follower, chat } = await staffed();
  const stream = await streamOf(t, follower);
  await removeMember(owner, chat, owner);
  assert.equal((await stream.next('member.updated')).member.role, 'owner');
  assert.equal((await stream.next('member.removed')).member.user_id, owner.id);
  expectProblem(await admin.delete(memberPath(chat, admin)), 409, 'conflict');
  await removeMember(follower, chat, follower);
  await removeMember(admin, chat, admin);
  expectProblem(await admin.get(`/v1/chats/${chat.id}`), 404);
  expectProblem(await follower.put(memberPath(chat, follower), {}), 404);
});

test('a deleted channel is gone for all who follow it, and its rows go with time', { skip: NO_CLOCK }, async (t) => {
  const own = await startManual(t, { PARLEY_RETENTION: '1d' }, true);
  const owner = await register(own, 'owner');
  const chat = await createChannel(owner, { public: true, title: 'Soon nobody knows of this' });
  const followers = await registerMany(own, 'one', 'two', 'three');
  for (const follower of followers) await follow(follower, chat);
  const stream = await openReadyFor(t, own, { token: followers[0].token });
  await postMessage(owner, chat, 'the last one');
  expectStatus(await owner.delete(`/v1/chats/${chat.id}`), 204);
  await stream.next('message.created');
  assert.equal((await stream.next('chat.deleted')).chat_id, chat.id);
  const gone = async () => {
    for (const account of [owner, ...followers]) {
      expectProblem(await account.get(`/v1/chats/${chat.id}`), 404);
      const list = expectStatus(await account.get('/v1/chats'), 200);
      assert.deepEqual([list.items, list.unread_total], [[], 0]);
    }
    expectProblem(await followers[0].put(memberPath(chat, followers[0]), {}), 404);
  };
  await gone();
  await cleanUp(own);
  await gone();
  const replay = await openReadyFor(t, own, { token: followers[1].token, lastEventId: stream.ready.frame.id });
  const [created, deleted] = await replay.take(2);
  assert.deepEqual([created.message.deleted, deleted.type], [true, 'chat.deleted']);
  own.advanceClock(2 * DAY_MS);
  await eventually(async () => {
    await cleanUp(own);
    return !own.dataContains(chat.title);
  }, 'the title is gone');
  await gone();
});

// Users without devices: their ids.
async function importUsers(target, count) {
  const lines = Array.from({ length: count }, () => `${JSON.stringify({ user: uniqueName('crowd') })}\n`).join('');
  const { code, stdout, stderr } = await target.parley(['user', 'import', '-'], { input: lines });
  assert.equal(code, 0, stderr);
  return stdout.trim().split('\n').map((line) => JSON.parse(line).id);
}

const importMembers = (target, chat, ids) => target.parley(['chat', 'import-members', chat.id], { input: ids.map((id) => `${id}\n`).join('') });

test('an import makes users follow, tells each of them, and can be begun again', async (t) => {
  const { owner, chat, followers: [already] } = await scene('already');
  const [heard, banned] = await registerMany(server, 'heard', 'banned');
  expectStatus(await owner.put(`/v1/chats/${chat.id}/bans/${banned.id}`), 201);
  const ids = await importUsers(server, 1200);
  const [stream, owners] = await Promise.all([heard, owner].map((account) => streamOf(t, account)));
  const first = await importMembers(server, chat, [...ids.slice(0, 700), heard.id, already.id]);
  assert.deepEqual([first.code, first.stdout], [0, '701 follow it now, 1 did already, 0 do not exist, 0 may not\n'], first.stderr);
  assert.equal((await stream.next('channel.followed')).chat_id, chat.id);
  const second = await importMembers(server, chat, [...ids, ids[0], banned.id, chat.id]);
  assert.deepEqual([second.code, second.stdout], [1, '500 follow it now, 701 did already, 1 do not exist, 1 may not\n'], second.stderr);
  assert.equal((await getChat(owner, chat)).member_count, 1203);
  await postMessage(owner, chat, 'to all');
  for (const listener of [stream, owners]) assert.equal((await listener.next('message.created')).message.text, 'to all');
  await nothingElse(owner, owners);
  assert.deepEqual(await membersOf(heard, chat), [[owner.id, 'owner']]);
});

test('an import refuses what is no channel, and says which lines are no ids', async () => {
  const owner = await register(server, 'owner');
  const chat = await createChannel(owner);
  const group = expectStatus(await owner.post('/v1/chats', { type: 'group', title: 'x', member_ids: [] }), 201);
  for (const target of [group, owner]) {
    const { code, stderr } = await importMembers(server, target, ['1']);
    assert.equal(code, 1);
    assert.match(stderr, /channel/);
  }
  const { code, stdout, stderr } = await importMembers(server, chat, ['alice', '', '0', owner.id]);
  assert.deepEqual([code, stdout], [1, '0 follow it now, 1 did already, 0 do not exist, 0 may not\n']);
  assert.match(stderr, /line 1: .*\n.*line 3: /);
  for (const args of [['chat'], ['chat', 'import-members'], ['chat', 'import-members', 'x'], ['chat', 'import-members', '1', 'a', 'b']]) {
    assert.equal((await server.parley(args)).code, 2, args.join(' '));
  }
});

test('an import makes a channel, too', async (t) => {
  const own = await startManual(t, {});
  const owner = await register(own, 'owner');
  const lines = [{ chat: 'channel', title: 'Imported', owner: owner.username }, { chat: 'channel', title: 'x', owner: owner.username, members: [] }];
  const { code, stdout } = await own.parley(['user', 'import', '-'], { input: lines.map((line) => `${JSON.stringify(line)}\n`).join('') });
  const [made, refused] = stdout.trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual([code, refused.error, refused.field], [1, 'unknown_field', 'members']);
  const chat = await getChat(owner, { id: made.chat });
  assert.deepEqual([chat.type, chat.history, chat.my_role, chat.permissions.post], ['channel', 'all', 'owner', 'admins']);
});
