// Messages with a time of their own: hidden when it is over, erased soon afterwards, with their files.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, test } from 'node:test';
import { checkChain } from '../support/chain.mjs';
import { NO_CLOCK, cleanUp, startManual } from '../support/cleanup.mjs';
import {
  addMember, createDirect, createGroup, expectProblem, expectStatus, getChat, postMessage, register, registerMany, removeMember, wholeHistory,
} from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { DAY_MS, advance } from '../support/expiring.mjs';
import { fetchContent, getMedia, upload } from '../support/media.mjs';
import { startServer } from '../support/server.mjs';
import { checkChat, checkDeletedMessage, checkNewMessage } from '../support/shapes.mjs';
import { eventually } from '../support/wait.mjs';

const SECRET = 'vanishing-words-7a30';
const YEAR_S = 366 * 24 * 3600;
const LIFE_S = 4; // of messages with which something is done before: a machine that stands still for a moment must not be too late

const server = await startServer();
after(() => server.dispose());

async function scene(fields = {}) {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  return { alice, bob, chat: await createGroup(alice, [bob], fields) };
}

const lifetimeOf = (message) => Date.parse(message.expires_at) - Date.parse(message.created_at);
const pathOf = ({ chat_id, id }) => `/v1/chats/${chat_id}/messages/${id}`;

// Waits for the message's time and answers what is then left of it.
async function afterItsTime(reader, message) {
  return eventually(async () => {
    const shown = expectStatus(await reader.get(pathOf(message)), 200);
    return shown.deleted && shown;
  }, 'the message has disappeared');
}

// What remains: everything but the text, the files and the salt.
function checkGone(shown, message) {
  checkDeletedMessage(shown);
  assert.equal(shown.deleted_at, message.expires_at);
  for (const name of ['id', 'seq', 'rev', 'chain', 'created_at', 'sender_id']) assert.equal(shown[name], message[name], name);
}

test('a message disappears at its time, for everybody and without an event', async (t) => {
  const { alice, bob, chat } = await scene();
  const { as_of } = expectStatus(await bob.get('/v1/chats'), 200);
  const stream = await openReadyFor(t, server, { token: bob.token });
  const before = await postMessage(alice, chat, 'stays');
  const message = await postMessage(alice, chat, SECRET, { ttl_s: LIFE_S });
  checkNewMessage(message);
  assert.equal(lifetimeOf(message), LIFE_S * 1000);
  assert.deepEqual((await stream.take(2)).map((event) => event.message), [before, message]);
  assert.equal(before.expires_at, undefined);

  const gone = await afterItsTime(bob, message);
  assert.ok(Date.now() >= Date.parse(message.expires_at) - 5, 'it went too early');
  checkGone(gone, message);
  const next = await postMessage(alice, chat, 'next');
  assert.deepEqual((await stream.next('message.created')).message, next);
  assert.deepEqual(await wholeHistory(bob, chat), [before, gone, next]);
  checkChain(await wholeHistory(bob, chat));
  for (const lastEventId of [as_of, before.id]) {
    const replay = await openReadyFor(t, server, { token: bob.token, lastEventId });
    const shown = (await replay.take(lastEventId === as_of ? 3 : 2)).map((event) => event.message);
    assert.deepEqual(shown.slice(-2), [gone, next]);
  }
});

test('what has disappeared can be neither edited nor deleted', async () => {
  const { alice, chat } = await scene();
  const message = await postMessage(alice, chat, 'soon gone', { ttl_s: 2 });
  await afterItsTime(alice, message);
  expectProblem(await alice.patch(pathOf(message), { text: 'back' }), 404, 'not_found');
  expectProblem(await alice.delete(pathOf(message)), 404, 'not_found');
});

test('an edit neither prolongs nor shortens', async () => {
  const { alice, chat } = await scene();
  const message = await postMessage(alice, chat, 'first', { ttl_s: LIFE_S });
  const edited = expectStatus(await alice.patch(pathOf(message), { text: 'second' }), 200);
  assert.equal(edited.expires_at, message.expires_at);
  const gone = await afterItsTime(alice, message);
  checkDeletedMessage(gone);
  assert.equal(gone.rev, edited.rev);
  checkChain(await wholeHistory(alice, chat));
});

test('a repeated key answers the message as it is by then', async () => {
  const { alice, chat } = await scene();
  const post = () => alice.post(`/v1/chats/${chat.id}/messages`, { text: 'once', ttl_s: LIFE_S }, { headers: { 'Idempotency-Key': 'once' } });
  const message = expectStatus(await post(), 201);
  assert.deepEqual(expectStatus(await post(), 200), message);
  const gone = await afterItsTime(alice, message);
  assert.deepEqual(expectStatus(await post(), 200), gone);
});

test("a chat's time is for what is posted from then on, and the shorter one counts", async () => {
  const { alice, bob, chat } = await scene({ message_ttl_s: 3600 });
  checkChat(chat);
  assert.equal(chat.message_ttl_s, 3600);
  const lifetime = async (fields) => lifetimeOf(await postMessage(bob, chat, 'x', fields));
  assert.equal(await lifetime(), 3_600_000);
  assert.equal(await lifetime({ ttl_s: 60 }), 60_000);
  assert.equal(await lifetime({ ttl_s: 7200 }), 3_600_000);
  const changed = expectStatus(await alice.patch(`/v1/chats/${chat.id}`, { message_ttl_s: 2 }), 200);
  assert.deepEqual([changed.message_ttl_s, changed.title], [2, chat.title]);
  const short = await postMessage(bob, chat, 'short');
  expectStatus(await alice.patch(`/v1/chats/${chat.id}`, { message_ttl_s: 0 }), 200);
  assert.equal((await postMessage(bob, chat, 'for ever')).expires_at, undefined);
  checkGone(await afterItsTime(alice, short), short);
  assert.equal((await wholeHistory(alice, chat)).filter((message) => message.deleted).length, 1);
});

test('members hear of a changed time', async (t) => {
  const { alice, bob, chat } = await scene();
  const stream = await openReadyFor(t, server, { token: bob.token });
  expectStatus(await alice.patch(`/v1/chats/${chat.id}`, { message_ttl_s: 60, until_delivered: true }), 200);
  const event = await stream.next('chat.updated');
  assert.deepEqual([event.chat.message_ttl_s, event.chat.until_delivered], [60, true]);
  const shown = await getChat(bob, chat);
  assert.deepEqual([shown.message_ttl_s, shown.until_delivered, shown.title], [60, true, chat.title]);
});

test('admins and owners set the time of a group, both members that of a direct chat', async () => {
  const { alice, bob, chat } = await scene();
  const admin = await register(server, 'admin');
  await addMember(alice, chat, admin, { role: 'admin' });
  for (const body of [{ message_ttl_s: 60 }, { until_delivered: true }]) {
    expectProblem(await bob.patch(`/v1/chats/${chat.id}`, body), 403, 'forbidden');
    expectStatus(await admin.patch(`/v1/chats/${chat.id}`, body), 200);
  }
  const direct = await createDirect(alice, bob);
  assert.deepEqual([direct.message_ttl_s, direct.until_delivered], [0, false]);
  for (const [account, seconds] of [[alice, 60], [bob, 120]]) {
    const changed = expectStatus(await account.patch(`/v1/chats/${direct.id}`, { message_ttl_s: seconds, until_delivered: true }), 200);
    assert.deepEqual([changed.message_ttl_s, changed.until_delivered], [seconds, true]);
    checkChat(changed);
  }
  expectProblem(await alice.patch(`/v1/chats/${direct.id}`, { title: 'x' }), 409, 'direct_chat');
  expectProblem(await alice.patch(`/v1/chats/${direct.id}`, { title: 'x', message_ttl_s: 1 }), 409, 'direct_chat');
  assert.equal((await getChat(alice, direct)).message_ttl_s, 120);
  expectProblem(await admin.patch(`/v1/chats/${direct.id}`, { message_ttl_s: 60 }), 404, 'not_found');
});

test('a direct chat can begin with a time', async () => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const body = { type: 'direct', member_ids: [bob.id], message_ttl_s: 60, until_delivered: true };
  const chat = expectStatus(await alice.post('/v1/chats', body), 201);
  assert.deepEqual([chat.message_ttl_s, chat.until_delivered], [60, true]);
  const again = expectStatus(await bob.post('/v1/chats', { type: 'direct', member_ids: [alice.id] }), 200);
  assert.equal(again.message_ttl_s, 60);
});

test('times that make no sense are refused', async () => {
  const { alice, chat } = await scene();
  for (const ttl_s of [0, -1, 0.5, 1.5, '60', null, true, YEAR_S + 1, 2 ** 53]) {
    expectProblem(await alice.post(`/v1/chats/${chat.id}/messages`, { text: 'x', ttl_s }), 400, 'bad_field', 'ttl_s');
  }
  for (const message_ttl_s of [-1, 0.5, '60', null, true, YEAR_S + 1, 2 ** 53]) {
    expectProblem(await alice.patch(`/v1/chats/${chat.id}`, { message_ttl_s }), 400, 'bad_field', 'message_ttl_s');
    expectProblem(await alice.post('/v1/chats', { type: 'group', title: 'x', member_ids: [], message_ttl_s }), 400, 'bad_field', 'message_ttl_s');
  }
  for (const until_delivered of [0, 1, 'true', null]) {
    expectProblem(await alice.patch(`/v1/chats/${chat.id}`, { until_delivered }), 400, 'bad_field', 'until_delivered');
  }
  assert.equal(lifetimeOf(await postMessage(alice, chat, 'x', { ttl_s: YEAR_S })), YEAR_S * 1000);
});

test('a former member sees that it has disappeared', async () => {
  const { alice, bob, chat } = await scene();
  const message = await postMessage(alice, chat, 'soon gone', { ttl_s: LIFE_S });
  await removeMember(alice, chat, bob);
  assert.deepEqual(await wholeHistory(bob, chat), [message]);
  checkGone(await afterItsTime(bob, message), message);
});

test('files disappear with their message, for all but their owner', async () => {
  const { alice, bob, chat } = await scene();
  const media = await upload(alice, randomBytes(500));
  const message = expectStatus(await alice.post(`/v1/chats/${chat.id}/messages`, { attachments: [media.id], ttl_s: LIFE_S }), 201);
  await getMedia(bob, media.id);
  const gone = await afterItsTime(bob, message);
  checkGone(gone, message);
  expectProblem(await bob.get(`/v1/media/${media.id}`), 404, 'not_found');
  expectProblem(await bob.get(`/v1/media/${media.id}/content`), 404, 'not_found');
  expectProblem(await bob.post(`/v1/chats/${chat.id}/messages`, { attachments: [media.id] }), 400, 'bad_field', 'attachments');
  await getMedia(alice, media.id);
});

test('after the cleanup neither text nor file is on the disk, and what is shown is the same', async (t) => {
  const own = await startManual(t, { PARLEY_MEDIA_GRACE: '0', PARLEY_MEDIA_UPLOAD_TTL: '4s' });
  const [alice, bob] = await registerMany(own, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const { as_of } = expectStatus(await bob.get('/v1/chats'), 200);
  const [marker, kept] = [Buffer.concat([Buffer.from('vanishing-file-19c2'), randomBytes(500)]), randomBytes(500)];
  const [media, other] = [await upload(alice, marker, { file_name: 'vanishing-name-5b.png' }), await upload(alice, kept)];
  const message = await postMessage(alice, chat, SECRET, { attachments: [media.id, other.id], ttl_s: 2 });
  const staying = await postMessage(alice, chat, 'harmless', { attachments: [other.id] });
  assert.ok(own.dataContains(SECRET) && own.dataContains(marker));
  const gone = await afterItsTime(bob, message);
  const shown = await wholeHistory(bob, chat);
  assert.deepEqual(shown, [gone, staying]);

  await eventually(async () => {
    await cleanUp(own);
    return !own.dataContains(marker);
  }, 'the file is gone from the disk');
  assert.equal(own.dataContains(SECRET), false);
  await eventually(async () => {
    await cleanUp(own);
    return !own.dataContains('vanishing-name-5b');
  }, 'the row is gone when no upload URL works any more');
  assert.deepEqual(await wholeHistory(bob, chat), shown);
  const stream = await openReadyFor(t, own, { token: bob.token, lastEventId: as_of });
  assert.deepEqual((await stream.take(2)).map((event) => event.message), shown);
  expectProblem(await alice.get(`/v1/media/${media.id}`), 404, 'not_found');
  assert.deepEqual((await fetchContent(bob, other.id)).bytes, kept);
  expectProblem(await alice.delete(pathOf(message)), 404, 'not_found');
});

test('a deleted chat takes its files along', async (t) => {
  const own = await startManual(t, { PARLEY_MEDIA_GRACE: '0', PARLEY_MEDIA_UPLOAD_TTL: '4s' });
  const alice = await register(own, 'alice');
  const chat = await createGroup(alice);
  const marker = randomBytes(500);
  const media = await upload(alice, marker);
  await postMessage(alice, chat, 'x', { attachments: [media.id] });
  assert.ok(own.dataContains(marker));
  expectStatus(await alice.delete(`/v1/chats/${chat.id}`), 204);
  await eventually(async () => {
    await cleanUp(own);
    return !own.dataContains(marker);
  }, 'the file is gone from the disk');
  expectProblem(await alice.get(`/v1/media/${media.id}`), 404, 'not_found');
});

test('days pass: what is due goes, what is not stays', { skip: NO_CLOCK }, async (t) => {
  const own = await startManual(t, { PARLEY_RETENTION: 'forever' }, true);
  const [alice, bob] = await registerMany(own, 'alice', 'bob');
  const chat = await createGroup(alice, [bob], { message_ttl_s: 7 * 24 * 3600 });
  const week = await postMessage(alice, chat, SECRET);
  const day = await postMessage(alice, chat, SECRET, { ttl_s: 24 * 3600 });
  await advance(own, 2 * DAY_MS);
  const [first, second] = await wholeHistory(bob, chat);
  assert.deepEqual(first, week);
  checkGone(second, day);
  await cleanUp(own);
  assert.deepEqual(await wholeHistory(bob, chat), [first, second]);
  await advance(own, 6 * DAY_MS);
  await cleanUp(own);
  assert.equal(own.dataContains(SECRET), false);
  checkGone((await wholeHistory(bob, chat))[0], week);
  checkChain(await wholeHistory(bob, chat));
});

test("the server's retention ends before a longer time does", { skip: NO_CLOCK }, async (t) => {
  const own = await startManual(t, { PARLEY_RETENTION: '10d' }, true);
  const alice = await register(own, 'alice');
  const chat = await createGroup(alice);
  const message = await postMessage(alice, chat, SECRET, { ttl_s: 100 * 24 * 3600 });
  await advance(own, 11 * DAY_MS);
  expectProblem(await alice.get(pathOf(message)), 404, 'not_found');
  await cleanUp(own);
  assert.equal(own.dataContains(SECRET), false);
});
