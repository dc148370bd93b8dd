// A server full of what expires, beside what must stay.
import assert from 'node:assert/strict';
import { bucketOf } from './bucket.mjs';
import { addMember, createDirect, createGroup, expectStatus, logIn, postMessage, register, registerMany } from './client.mjs';
import { announce, complete, getMedia, fetchUrl, sendOk, sendParts, upload } from './media.mjs';
import { eventually } from './wait.mjs';

export const DAY_MS = 24 * 3600 * 1000;
const TICKET_MS = 120_000; // a ticket that was not used is gone

const PART_ABOVE = 1000;
const FILE = { content_type: 'application/octet-stream' };

// A completed file that begins with the text, small or in parts.
export const uploadText = (account, text) => upload(account, Buffer.from(text), FILE);
export const inParts = (text) => Buffer.from(text.padEnd(2 * PART_ABOVE, '.'));

export async function postFile(account, chat, media, fields = {}) {
  return postMessage(account, chat, `with ${media.id}`, { attachments: [media.id], ...fields });
}

// Moves the clock of a server started with `clock: true`, and waits until it has seen it.
export async function advance(server, ms) {
  server.advanceClock(ms);
  const due = Date.now() + server.clockOffset - 1000;
  await eventually(async () => Date.parse((await register(server, 'clock')).user.created_at) >= due, 'the server sees the clock move');
}

export const GONE_TEXT = 'words-that-expire-0f6b';
export const GONE_FILE = 'bytes-that-expire-93d4';
export const KEPT_TEXT = 'words-that-stay-c27a';
export const KEPT_FILE = 'bytes-that-stay-51e8';

// What such a server is started with; the clock moves by 33 days in all.
export const EXPIRING_SETTINGS = {
  PARLEY_CLEANUP_INTERVAL: '0',
  PARLEY_MEDIA_GRACE: '0',
  PARLEY_MEDIA_PART_ABOVE: `${PART_ABOVE}B`,
  PARLEY_SESSION_IDLE: '10d',
};

// Fills the server (with a clock that moves) with one or more of everything that a cleanup takes away, and with what looks like it and must stay. Answers
// what a check needs.
export async function fillExpiring(server) {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const shared = await fillOld(server, { alice, bob, chat });
  await advance(server, 20 * DAY_MS);
  const young = { alice: await logIn(alice), bob: await logIn(bob) };
  const forwarded = await postFile(young.alice, chat, shared);
  await advance(server, 13 * DAY_MS);
  const kept = await fillKept({ alice: await logIn(alice), bob: await logIn(bob), chat });
  await advance(server, TICKET_MS);
  return { alice, bob, chat, forwarded, ...kept };
}

// Answers the file that is forwarded later.
async function fillOld(server, { alice, bob, chat }) {
  for (let i = 0; i < 5; i++) await postMessage(alice, chat, `${GONE_TEXT} ${i}`, { key: `key-${i}` });
  for (let i = 0; i < 3; i++) await postFile(alice, chat, await uploadText(alice, `${GONE_FILE} ${i}`));
  const shared = await uploadText(alice, `${KEPT_FILE} shared`);
  await postFile(alice, chat, shared);
  await upload(alice, inParts(`${GONE_FILE} in parts`), FILE);
  await uploadText(bob, `${GONE_FILE} never used`);
  await abandonUploads(bob);
  const invite = await server.parley(['user', 'invite', '--days', '1']);
  assert.equal(invite.code, 0, invite.stderr);
  return shared;
}

// One that was sent and not completed, one in parts, and one that was never sent.
async function abandonUploads(account) {
  const sent = Buffer.from(`${GONE_FILE} not completed`);
  await sendOk((await announce(account, sent, FILE)).upload, sent);
  const half = inParts(`${GONE_FILE} half`);
  await sendParts(account, await announce(account, half, FILE), half);
  await announce(account, Buffer.from(`${GONE_FILE} never sent`), FILE);
}

async function fillKept({ alice, bob, chat }) {
  const file = await uploadText(alice, `${KEPT_FILE} new`);
  const messages = [await postMessage(alice, chat, `${KEPT_TEXT} 1`), await postFile(bob, chat, await uploadText(bob, `${KEPT_FILE} of bob`))];
  messages.push(await postFile(alice, chat, file, { ttl_s: 366 * 24 * 3600 }));
  await fillOwnTimes({ alice, bob, chat });
  expectStatus(await alice.post('/v1/events/ticket'), 201);
  const half = inParts(`${KEPT_FILE} half`);
  const unfinished = await announce(bob, half, FILE);
  await sendParts(bob, unfinished, half);
  return { messages, unfinished };
}

// What goes long before the server's retention: messages with a time of their own, delivered ones, and those of a deleted chat.
async function fillOwnTimes({ alice, bob, chat }) {
  const short = await postFile(alice, chat, await uploadText(alice, `${GONE_FILE} of seconds`), { ttl_s: 1, text: `${GONE_TEXT} of seconds` });
  const direct = await createDirect(alice, bob);
  expectStatus(await alice.patch(`/v1/chats/${direct.id}`, { until_delivered: true }), 200);
  const delivered = await postMessage(alice, direct, `${GONE_TEXT} delivered`);
  const deleted = await createGroup(alice, [], { title: `${GONE_TEXT} title` });
  await addMember(alice, deleted, bob);
  await postFile(alice, deleted, await uploadText(alice, `${GONE_FILE} of a deleted chat`), { text: `${GONE_TEXT} deleted` });
  expectStatus(await alice.delete(`/v1/chats/${deleted.id}`), 204);
  for (const account of [alice, bob]) expectStatus(await account.post('/v1/events/ack', { id: delivered.id }), 204);
  await eventually(() => Date.parse(short.expires_at) < Date.now() + alice.server.clockOffset, 'its second is over');
}

// Nothing that is expired is left, neither in the database nor in the storage, and all that stays is there.
export async function checkSwept(server, filled) {
  assert.equal(server.dataContains(GONE_TEXT), false, 'an expired text is on the disk');
  assert.equal(server.dataContains(GONE_FILE), false, 'an expired file is on the disk');
  assert.ok(server.dataContains(KEPT_TEXT), 'a text that stays is gone');
  const { stdout } = await server.parley(['cleanup', '--once', '--dry-run']);
  assert.match(stdout, /^0 rows and 0 objects/m);
  const bucket = bucketOf(server);
  assert.equal(await bucket.contains(GONE_FILE), false, 'an expired file is in the storage');
  assert.equal((await bucket.keys()).length, 3, 'one object for each file that stays');
  assert.equal((await bucket.uploads()).length, 1, 'the upload that goes on');
  const fsck = await server.parley(['fsck']);
  assert.equal(fsck.code, 0, `${fsck.stdout}${fsck.stderr}`);
  assert.ok(filled.messages.length > 0);
}

// The same through the API of the running server: what stays can be read, and the upload can be finished.
export async function checkReadable(server, filled) {
  const alice = await logIn({ ...filled.alice, server });
  const bob = await logIn({ ...filled.bob, server });
  const expected = [filled.forwarded, ...filled.messages];
  const { items } = expectStatus(await alice.get(`/v1/chats/${filled.chat.id}/messages?limit=100`), 200);
  assert.deepEqual(items.filter((message) => !message.deleted_at).map((message) => message.id), expected.map((message) => message.id));
  for (const message of items.filter((item) => item.attachments)) {
    const { url } = await getMedia(alice, message.attachments[0].id);
    const { bytes } = await fetchUrl(url);
    assert.ok(bytes.includes(KEPT_FILE), bytes.toString());
  }
  await complete(bob, filled.unfinished);
}
