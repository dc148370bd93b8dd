// The picture of a group: whose it may be, who sees it, and how long it stays.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createDirect, createGroup, createLink, expectProblem, expectStatus, getChat, postMessage, register, registerMany, removeMember } from '../support/client.mjs';
import { NO_CLOCK, cleanUp, startManual } from '../support/cleanup.mjs';
import { openReadyFor } from '../support/events.mjs';
import { announce, someBytes, upload } from '../support/media.mjs';
import { startServer } from '../support/server.mjs';
import { checkChat, checkEventChat, checkSharedMedia } from '../support/shapes.mjs';
import { eventually } from '../support/wait.mjs';

const DAY_MS = 24 * 3600_000;

const server = await startServer();
after(() => server.dispose());

const show = (account, chat, media) => account.patch(`/v1/chats/${chat.id}`, { avatar_id: media && media.id });
const look = (account, media) => account.get(`/v1/media/${media.id}`);

async function createPicturedGroup(on = server) {
  const [owner, member] = await registerMany(on, 'owner', 'member');
  const chat = await createGroup(owner, [member]);
  const bytes = someBytes();
  const media = await upload(owner, bytes);
  expectStatus(await show(owner, chat, media), 200);
  return { owner, member, chat, media, bytes };
}

test('members see the avatar, and nobody else does', async (t) => {
  const [owner, member, stranger] = await registerMany(server, 'owner', 'member', 'stranger');
  const chat = await createGroup(owner, [member]);
  assert.equal(chat.avatar_id, null);
  const bytes = someBytes();
  const media = await upload(owner, bytes);
  const stream = await openReadyFor(t, server, { token: member.token });
  expectProblem(await look(member, media), 404, 'not_found');
  const changed = expectStatus(await show(owner, chat, media), 200);
  checkChat(changed);
  assert.equal(changed.avatar_id, media.id);
  const event = await stream.next('chat.updated');
  checkEventChat(event.chat);
  assert.equal(event.chat.avatar_id, media.id);
  const seen = expectStatus(await look(member, media), 200);
  checkSharedMedia(seen);
  assert.deepEqual(Buffer.from(await (await fetch(seen.url)).arrayBuffer()), bytes);
  expectStatus(await member.get(`/v1/media/${media.id}/content`), 307);
  expectProblem(await look(stranger, media), 404, 'not_found');
  await createLink(owner, chat);
  expectProblem(await stranger.get(`/v1/media/${media.id}/content`), 404, 'not_found');
});

test('who leaves sees it no more, nor does anybody once it was taken away', async () => {
  const { owner, member, chat, media } = await createPicturedGroup();
  const other = await register(server, 'other');
  expectStatus(await owner.put(`/v1/chats/${chat.id}/members/${other.id}`, {}), 201);
  await removeMember(member, chat, member);
  expectProblem(await look(member, media), 404, 'not_found');
  expectStatus(await look(other, media), 200);
  assert.equal(expectStatus(await show(owner, chat, null), 200).avatar_id, null);
  expectProblem(await look(other, media), 404, 'not_found');
  expectStatus(await look(owner, media), 200);
});

test('an avatar is an image of one\'s own that was uploaded completely', async () => {
  const { owner, member, chat } = await createPicturedGroup();
  const before = await getChat(owner, chat);
  const theirs = await upload(member, someBytes());
  const pending = await announce(owner, someBytes());
  const film = await upload(owner, someBytes(), { content_type: 'video/mp4' });
  for (const media of [theirs, film, chat, { id: '9223372036854775807' }]) {
    expectProblem(await show(owner, chat, media), 400, 'bad_field', 'avatar_id');
  }
  for (const id of ['0', '', 'x', 7, false, []]) {
    expectProblem(await owner.patch(`/v1/chats/${chat.id}`, { avatar_id: id }), 400, 'bad_field', 'avatar_id');
  }
  expectProblem(await show(owner, chat, pending), 409, 'media_not_ready', 'avatar_id');
  assert.deepEqual(await getChat(owner, chat), before);
});

test('a refused avatar changes nothing of the rest', async () => {
  const { owner, member, chat } = await createPicturedGroup();
  const theirs = await upload(member, someBytes());
  const before = await getChat(owner, chat);
  expectProblem(await owner.patch(`/v1/chats/${chat.id}`, { title: 'New', avatar_id: theirs.id }), 400, 'bad_field', 'avatar_id');
  assert.deepEqual(await getChat(owner, chat), before);
});

test('the same avatar again changes nothing, whoever says so', async () => {
  const { owner, member, chat, media } = await createPicturedGroup();
  expectStatus(await owner.patch(`/v1/chats/${chat.id}`, { permissions: { edit: 'members' } }), 200);
  const before = await getChat(member, chat);
  assert.deepEqual(expectStatus(await show(member, chat, media), 200), before);
  const own = await upload(member, someBytes());
  assert.equal(expectStatus(await show(member, chat, own), 200).avatar_id, own.id);
});

test('a direct chat has no avatar', async () => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createDirect(alice, bob);
  expectProblem(await show(alice, chat, await upload(alice, someBytes())), 409, 'direct_chat');
  expectProblem(await show(alice, chat, null), 409, 'direct_chat');
});

test('what a chat shows is not deleted by its owner, and may be after that', async () => {
  const { owner, chat, media } = await createPicturedGroup();
  const second = await createGroup(owner);
  expectStatus(await show(owner, second, media), 200);
  await server.stop();
  await server.start();
  assert.equal((await getChat(owner, chat)).avatar_id, media.id);
  expectStatus(await show(owner, chat, null), 200);
  expectProblem(await owner.delete(`/v1/media/${media.id}`), 409, 'media_in_use');
  expectStatus(await owner.delete(`/v1/chats/${second.id}`), 204);
  expectStatus(await owner.delete(`/v1/media/${media.id}`), 204);
});

test('of avatars that change at once the last one stays, and the others are free', async () => {
  const { owner, chat } = await createPicturedGroup();
  const all = await Promise.all(Array.from({ length: 8 }, () => upload(owner, someBytes())));
  await Promise.all([...all, ...all].map((media) => show(owner, chat, media)));
  const { avatar_id } = await getChat(owner, chat);
  for (const media of all) {
    const status = media.id === avatar_id ? 409 : 204;
    expectStatus(await owner.delete(`/v1/media/${media.id}`), status);
  }
});

test('an avatar stays as long as it is shown, also when a message with it goes', { skip: NO_CLOCK }, async (t) => {
  const manual = await startManual(t, {}, true);
  const { owner, member, chat, media } = await createPicturedGroup(manual);
  const message = await postMessage(owner, chat, 'my picture', { attachments: [media.id] });
  expectStatus(await owner.delete(`/v1/chats/${chat.id}/messages/${message.id}`), 204);
  manual.advanceClock(3 * DAY_MS);
  const probe = await eventually(async () => {
    const found = await upload(owner, someBytes());
    return Date.parse(found.created_at) - Date.parse(media.created_at) > 2 * DAY_MS && found;
  }, 'the moved clock');
  assert.ok(probe.id);
  await cleanUp(manual);
  expectStatus(await look(member, media), 200);
  expectStatus(await show(owner, chat, probe), 200);
  expectStatus(await look(owner, media), 200);
  manual.advanceClock(3 * DAY_MS);
  await eventually(async () => {
    await cleanUp(manual);
    return (await look(owner, media)).status === 404;
  }, 'the end of the first avatar');
  expectStatus(await look(member, probe), 200);
});

test('a deleted group gives its avatar back', { skip: NO_CLOCK }, async (t) => {
  const manual = await startManual(t, {}, true);
  const { owner, member, chat, media, bytes } = await createPicturedGroup(manual);
  await removeMember(owner, chat, member);
  await removeMember(owner, chat, owner); // the last one: the chat ends
  expectStatus(await look(owner, media), 200);
  manual.advanceClock(3 * DAY_MS);
  await eventually(async () => {
    await cleanUp(manual);
    return (await look(owner, media)).status === 404;
  }, 'the end of the avatar');
  assert.equal(manual.dataContains(bytes), false);
});
