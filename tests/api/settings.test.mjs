// What a member sets for a chat: muted, archived, pinned, and the draft, on all of its devices.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { cleanUp } from '../support/cleanup.mjs';
import { addMember, createGroup, expectProblem, expectStatus, getOwnChat, logIn, postMessage, registerMany, removeMember } from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { startServer, startServerFor } from '../support/server.mjs';
import { TIME, checkKeys, checkSettings } from '../support/shapes.mjs';

const server = await startServer();
after(() => server.dispose());

const DRAFT = 'half a thought 7d2c';

async function change(member, chat, fields) {
  const answer = expectStatus(await member.patch(`/v1/chats/${chat.id}/me`, fields), 200);
  checkKeys(answer, ['chat_id', 'settings', 'draft']);
  checkSettings(answer.settings);
  return answer;
}

async function scene(target = server) {
  const [alice, bob] = await registerMany(target, 'alice', 'bob');
  return { alice, bob, chat: await createGroup(alice, [bob]) };
}

test('settings are one member\'s, on all of its devices', async (t) => {
  const { alice, bob, chat } = await scene();
  const tablet = await logIn(bob);
  const [own, others] = await Promise.all([openReadyFor(t, server, { token: tablet.token }), openReadyFor(t, server, { token: alice.token })]);
  const muted_until = '2031-05-06T07:08:09.120Z';
  const answer = await change(bob, chat, { muted_until, archived: true, pinned: true, draft: DRAFT });
  assert.deepEqual([answer.settings.muted_until, answer.settings.archived, answer.draft], [muted_until, true, DRAFT]);
  assert.match(answer.settings.pinned_at, TIME);
  const { type, frame, ...event } = await own.next('chat.settings');
  assert.deepEqual(event, answer);
  const { settings, draft } = await getOwnChat(tablet, chat);
  assert.deepEqual({ settings, draft }, { settings: answer.settings, draft: DRAFT });
  assert.deepEqual((await getOwnChat(alice, chat)).settings, { muted_until: null, archived: false, pinned_at: null });
  await postMessage(bob, chat, 'done');
  assert.equal((await others.next()).type, 'message.created');
});

test('what is not sent stays, and null takes away', async () => {
  const { bob, chat } = await scene();
  const first = await change(bob, chat, { muted_until: '2031-05-06T09:08:09+02:00', pinned: true, draft: DRAFT });
  assert.equal(first.settings.muted_until, '2031-05-06T07:08:09.000Z');
  assert.deepEqual(await change(bob, chat, {}), first);
  assert.deepEqual(await change(bob, chat, { pinned: true }), first);
  assert.deepEqual(await change(bob, chat, { muted_until: null, draft: null }), {
    chat_id: chat.id, settings: { muted_until: null, archived: false, pinned_at: first.settings.pinned_at }, draft: null,
  });
  assert.equal((await change(bob, chat, { pinned: false })).settings.pinned_at, null);
});

test('the log keeps no draft: a replay shows it as it is by then', async (t) => {
  const own = await startServerFor(t);
  const { bob, chat } = await scene(own);
  const { as_of } = expectStatus(await bob.get('/v1/chats'), 200);
  await change(bob, chat, { draft: DRAFT });
  await change(bob, chat, { draft: 'a whole thought' });
  await own.stop();
  await own.restart();
  const stream = await openReadyFor(t, own, { token: bob.token, lastEventId: as_of });
  for (let i = 0; i < 2; i++) assert.equal((await stream.next('chat.settings')).draft, 'a whole thought');
  await change(bob, chat, { draft: null });
  assert.equal((await stream.next('chat.settings')).draft, null);
  await own.stop();
  await own.restart();
  const later = await openReadyFor(t, own, { token: bob.token, lastEventId: as_of });
  for (let i = 0; i < 3; i++) assert.equal((await later.next('chat.settings')).draft, null);
  await cleanUp(own);
  assert.equal(own.dataContains(DRAFT), false);
});

test('settings and draft end with the stay', async () => {
  const { alice, bob, chat } = await scene();
  await change(bob, chat, { archived: true, pinned: true, draft: DRAFT });
  await removeMember(alice, chat, bob);
  expectProblem(await bob.patch(`/v1/chats/${chat.id}/me`, { archived: false }), 404, 'not_found');
  await addMember(alice, chat, bob);
  const { settings, draft } = await getOwnChat(bob, chat);
  assert.deepEqual({ settings, draft }, { settings: { muted_until: null, archived: false, pinned_at: null }, draft: null });
});

test('bad settings change nothing', async () => {
  const { bob, chat } = await scene();
  const before = await change(bob, chat, { archived: true });
  const path = `/v1/chats/${chat.id}/me`;
  for (const muted_until of ['', 'tomorrow', '2031-02-30T00:00:00Z', '2031-05-06', '2031-05-06T24:00:00Z', '1969-12-31T23:59:59Z', '2031-05-06T07:08:09', 5, true]) {
    expectProblem(await bob.patch(path, { archived: false, muted_until }), 400, 'bad_field', 'muted_until');
  }
  for (const draft of ['', 'x'.repeat(10_001), 5, []]) expectProblem(await bob.patch(path, { archived: false, draft }), 400, 'bad_field', 'draft');
  for (const field of ['archived', 'pinned']) expectProblem(await bob.patch(path, { [field]: null }), 400, 'bad_field', field);
  expectProblem(await bob.patch(path, { archived: false, colour: 'red' }), 400, 'unknown_field', 'colour');
  assert.deepEqual(await change(bob, chat, {}), before);
  assert.equal((await change(bob, chat, { draft: '😀'.repeat(10_000) })).draft.length, 20_000);
});
