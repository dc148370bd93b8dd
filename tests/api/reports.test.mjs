// What users report, and what administrators do with it.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  Client, addMember, createDirect, createGroup, expectProblem, expectStatus, postMany, postMessage, register, registerMany, removeMember,
} from '../support/client.mjs';
import { NO_CLOCK, cleanUp, startManual } from '../support/cleanup.mjs';
import { advance } from '../support/expiring.mjs';
import { upload } from '../support/media.mjs';
import { startServer, startServerFor } from '../support/server.mjs';
import { ID, TIME, checkKeys } from '../support/shapes.mjs';

const server = await startServer();
after(() => server.dispose());

const NOBODY = '9223372036854775807';
const DAY_MS = 24 * 3600 * 1000;

const messagePath = (message) => `/v1/chats/${message.chat_id}/messages/${message.id}`;
const aboutUser = (user, fields = {}) => ({ user_id: user.id, reason: 'is not kind', ...fields });
const aboutMessage = (message, fields = {}) => ({ chat_id: message.chat_id, message_id: message.id, reason: 'is not kind', ...fields });

async function report(account, body, status = 201) {
  const answer = expectStatus(await account.post('/v1/reports', body), status);
  checkKeys(answer, ['id', 'user_id', 'category', 'reason', 'created_at'], ['chat_id', 'message_id']);
  assert.match(answer.id, ID);
  assert.match(answer.created_at, TIME);
  return answer;
}

async function parley(at, ...args) {
  const { code, stdout, stderr } = await at.parley(['report', ...args]);
  assert.equal(code, 0, stderr);
  return stdout;
}

const listed = async (at, ...args) => (await parley(at, 'list', '--json', ...args)).split('\n').filter(Boolean).map((line) => JSON.parse(line));
const shown = async (at, id) => JSON.parse(await parley(at, 'show', '--json', id));
const about = (reports, user) => reports.filter(({ user_id }) => user_id === user.id);

async function metric(at, name) {
  const { text } = await new Client(at).get('/metrics');
  return Number(text.match(new RegExp(`^${name} (\\S+)$`, 'm'))[1]);
}

// Bob has said something to Alice in a group.
async function aliceAndBob(at = server) {
  const [alice, bob] = await registerMany(at, 'alice', 'bob');
  const chat = await createGroup(bob, [alice]);
  return { alice, bob, chat, message: await postMessage(bob, chat, 'an insult') };
}

test('a message is reported with a copy of what it says, which outlives its deletion', async () => {
  const { alice, bob, message } = await aliceAndBob();
  const made = await report(alice, aboutMessage(message, { category: 'harassment' }));
  assert.deepEqual([made.user_id, made.chat_id, made.message_id], [bob.id, message.chat_id, message.id]);
  assert.deepEqual([made.category, made.reason], ['harassment', 'is not kind']);
  const [row] = about(await listed(server), bob);
  checkKeys(row, ['id', 'user_id', 'chat_id', 'message_id', 'category', 'reason', 'created_at', 'reporter_id', 'reporter', 'user', 'closed_at', 'note']);
  assert.deepEqual([row.reporter_id, row.reporter, row.user, row.closed_at], [alice.id, alice.username, bob.username, null]);
  expectStatus(await bob.patch(messagePath(message), { text: 'a kind word' }), 200);
  expectStatus(await bob.delete(messagePath(message)), 204);
  const whole = await shown(server, made.id);
  assert.deepEqual([whole.text, whole.posted_at, whole.attachments], ['an insult', message.created_at, []]);
});

test('a user is reported, once as long as that is open', async () => {
  const { alice, bob } = await aliceAndBob();
  const made = await report(alice, aboutUser(bob));
  assert.deepEqual([made.user_id, made.category, made.message_id], [bob.id, 'other', undefined]);
  assert.deepEqual(await report(alice, aboutUser(bob, { reason: 'still is not' }), 200), made);
  await parley(server, 'close', made.id, '--note', 'talked to them');
  assert.notEqual((await report(alice, aboutUser(bob))).id, made.id);
});

test('several users report the same message, and one user several messages', async () => {
  const { alice, bob, chat, message } = await aliceAndBob();
  const carol = await register(server, 'carol');
  await addMember(bob, chat, carol);
  const another = await postMessage(bob, chat, 'another insult');
  const ids = [
    await report(alice, aboutMessage(message)), await report(alice, aboutMessage(another)), await report(alice, aboutUser(bob)),
    await report(carol, aboutMessage(another)),
  ].map(({ id }) => id);
  assert.equal(new Set(ids).size, 4);
  assert.deepEqual(about(await listed(server), bob).map(({ id }) => id), ids);
  assert.deepEqual(await report(alice, aboutMessage(message), 200).then(({ id }) => id), ids[0]);
});

test('what the reporter is not shown is as if it did not exist', async () => {
  const { alice, bob, chat, message } = await aliceAndBob();
  const stranger = await register(server, 'stranger');
  const missing = async (account, body) => {
    const { detail } = expectProblem(await account.post('/v1/reports', body), 404, 'not_found');
    return detail;
  };
  const details = [
    await missing(stranger, aboutMessage(message)), await missing(stranger, aboutUser({ id: NOBODY })), await missing(alice, aboutMessage({ ...message, id: NOBODY })),
    await missing(alice, aboutMessage({ ...message, chat_id: NOBODY })), await missing(alice, aboutMessage({ ...message, chat_id: (await createGroup(alice)).id })),
  ];
  assert.equal(new Set(details).size, 1);
  expectStatus(await alice.delete(`${messagePath(message)}?for=me`), 204);
  await missing(alice, aboutMessage(message));
  await addMember(bob, chat, stranger);
  await missing(stranger, aboutMessage(message));
  assert.deepEqual(about(await listed(server), bob), []);
});

test('who was removed still reports what was said before, but not what became of it since', async () => {
  const { alice, bob, chat, message } = await aliceAndBob();
  const edited = await postMessage(bob, chat, 'edited later');
  await removeMember(bob, chat, alice);
  expectStatus(await bob.patch(messagePath(edited), { text: 'new' }), 200);
  const later = await postMessage(bob, chat, 'later');
  await report(alice, aboutMessage(message));
  for (const unseen of [edited, later]) expectProblem(await alice.post('/v1/reports', aboutMessage(unseen)), 404, 'not_found');
});

test('nobody reports themselves, a deleted message or nothing', async () => {
  const { alice, bob, chat, message } = await aliceAndBob();
  const refused = async (body, field, code = 'bad_field') => expectProblem(await alice.post('/v1/reports', body), 400, code, field);
  await refused(aboutUser(alice), 'user_id');
  await refused(aboutMessage(await postMessage(alice, chat, 'mine')), 'message_id');
  await refused({ reason: 'x' }, 'user_id', 'missing_field');
  await refused({ reason: 'x', chat_id: chat.id }, 'message_id', 'missing_field');
  await refused({ reason: 'x', message_id: message.id }, 'chat_id', 'missing_field');
  await refused({ ...aboutMessage(message), user_id: bob.id }, 'user_id');
  await refused({ user_id: bob.id }, 'reason', 'missing_field');
  await refused(aboutUser(bob, { reason: '' }), 'reason');
  await refused(aboutUser(bob, { reason: 'x'.repeat(501) }), 'reason');
  await refused(aboutUser(bob, { category: 'boredom' }), 'category');
  await refused(aboutUser(bob, { severity: 1 }), 'severity', 'unknown_field');
  await report(alice, aboutUser(bob, { reason: '\u{1F621}'.repeat(500) }));
  expectStatus(await bob.delete(messagePath(message)), 204);
  expectProblem(await alice.post('/v1/reports', aboutMessage(message)), 409, 'already_deleted');
});

test('a report of a message that is deleted since is answered as before', async () => {
  const { alice, bob, message } = await aliceAndBob();
  const made = await report(alice, aboutMessage(message));
  expectStatus(await bob.delete(messagePath(message)), 204);
  assert.deepEqual(await report(alice, aboutMessage(message), 200), made);
});

test('a user has so many open reports, and closing makes room', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const messages = await postMany(bob, chat, 25);
  const answers = await Promise.all(messages.map((message) => alice.post('/v1/reports', aboutMessage(message))));
  const made = answers.filter(({ status }) => status === 201);
  assert.equal(made.length, 20);
  const refused = answers.filter(({ status }) => status !== 201);
  for (const answer of refused) expectProblem(answer, 409, 'too_many_reports');
  await parley(server, 'close', made[0].body.id);
  await report(alice, aboutUser(bob));
});

test('the same report many times at once is one', async () => {
  const { alice, bob, message } = await aliceAndBob();
  const answers = await Promise.all(Array.from({ length: 20 }, () => alice.post('/v1/reports', aboutMessage(message))));
  assert.equal(answers.filter(({ status }) => status === 201).length, 1);
  assert.equal(new Set(answers.map(({ body }) => body.id)).size, 1);
  assert.equal(about(await listed(server), bob).length, 1);
});

test('closing takes the copy, is noted, logged and cannot be done twice', async () => {
  const { alice, bob, message } = await aliceAndBob();
  const { id } = await report(alice, aboutMessage(message));
  assert.deepEqual(JSON.parse(await parley(server, 'close', id, '--note', 'warned "Bob"', '--json')), { id, closed: true });
  const whole = await shown(server, id);
  assert.match(whole.closed_at, TIME);
  assert.deepEqual([whole.note, whole.text, whole.posted_at], ['warned "Bob"', undefined, undefined]);
  assert.deepEqual(about(await listed(server), bob), []);
  assert.equal(about(await listed(server, '--all'), bob).length, 1);
  const again = await server.parley(['report', 'close', id]);
  assert.deepEqual([again.code, /closed already \(conflict\)/.test(again.stderr)], [1, true]);
  assert.match(server.stderr.join('\n'), new RegExp(`report_closed.* report=${id}`));
});

test('what people read at a terminal cannot speak to it', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const message = await postMessage(bob, chat, 'one\u001b[2Jtwo\nreport: 1\u009b31m');
  const { id } = await report(alice, aboutMessage(message, { reason: 'bad\u001b]0;x\u0007\nsecond line' }));
  const [list, show] = [await parley(server, 'list'), await parley(server, 'show', id)];
  for (const text of [list, show]) assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  assert.match(list, new RegExp(`^${id}  .*open.*message of ${bob.username}, by ${alice.username}: bad`, 'm'));
  assert.match(show, /^ {2}\| one \[2Jtwo\n {2}\| report: 1 31m$/m);
  assert.match(show, /^ {2}\| second line$/m);
});

test('files of a reported message are named', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const media = await upload(bob, Buffer.from('a picture'));
  const message = await postMessage(bob, chat, undefined, { attachments: [media.id] });
  const { id } = await report(alice, aboutMessage(message));
  const whole = await shown(server, id);
  assert.deepEqual([whole.text, whole.attachments.map((file) => file.id)], [null, [media.id]]);
  assert.match(await parley(server, 'show', id), new RegExp(`^file: +media ${media.id}, `, 'm'));
});

test('a long text is copied as far as may be, by whole characters', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const message = await postMessage(bob, chat, `x${'\u{1F600}'.repeat(10_000)}`);
  const { id } = await report(alice, aboutMessage(message));
  const { text } = await shown(server, id);
  assert.equal(text, `x${'\u{1F600}'.repeat(4095)}`);
});

test('wrong arguments, and reports that are not there, are told', async () => {
  for (const args of [['list', 'x'], ['show'], ['show', 'x'], ['show', '1', '2'], ['close'], ['close', '1', '--note'], ['close', '1', '--note', ''],
    ['close', '1', '--note', 'x'.repeat(501)], ['close', '-1'], ['dance']]) {
    const { code, stderr } = await server.parley(['report', ...args]);
    assert.deepEqual([code, stderr !== ''], [2, true], args.join(' '));
  }
  for (const args of [['show', NOBODY], ['close', NOBODY]]) {
    const { code, stderr } = await server.parley(['report', ...args]);
    assert.deepEqual([code, /no such report \(not_found\)/.test(stderr)], [1, true], args.join(' '));
  }
});

test('all of it works on the database, too, when no server runs', async (t) => {
  const own = await startServerFor(t);
  assert.match(await parley(own, 'list'), /no open reports/);
  const { alice, bob, message } = await aliceAndBob(own);
  const { id } = await report(alice, aboutMessage(message));
  const direct = await createDirect(alice, bob);
  await report(alice, aboutMessage(await postMessage(bob, direct, 'again')));
  await own.stop();
  assert.equal((await listed(own)).length, 2);
  assert.equal((await shown(own, id)).text, 'an insult');
  const { code, stderr } = await own.parley(['report', 'close', id]);
  assert.equal(code, 0, stderr);
  assert.match(stderr, new RegExp(`report_closed.* report=${id}`));
  await own.start();
  assert.equal((await listed(own)).length, 1);
});

test('a metric says how many are open, also after a restart', async (t) => {
  const own = await startServerFor(t);
  const { alice, bob, message } = await aliceAndBob(own);
  const { id } = await report(alice, aboutMessage(message));
  await report(alice, aboutUser(bob));
  assert.equal(await metric(own, 'parley_reports_open'), 2);
  await parley(own, 'close', id);
  assert.equal(await metric(own, 'parley_reports_open'), 1);
  await own.stop();
  await own.start();
  await cleanUp(own);
  assert.equal(await metric(own, 'parley_reports_open'), 1);
});

test('the copy goes with retention, and closed reports after 90 days', { skip: NO_CLOCK }, async (t) => {
  const own = await startManual(t, { PARLEY_RETENTION: '30d', PARLEY_SESSION_IDLE: '400d' }, true);
  const { alice, bob, message } = await aliceAndBob(own);
  const open = await report(alice, aboutMessage(message));
  const closed = await report(alice, aboutUser(bob));
  await parley(own, 'close', closed.id);
  await advance(own, 31 * DAY_MS);
  assert.equal((await shown(own, open.id)).text, undefined);
  await cleanUp(own);
  assert.equal((await shown(own, open.id)).posted_at, undefined);
  assert.match(await parley(own, 'show', open.id), /The copy of the message is gone/);
  assert.equal((await listed(own, '--all')).length, 2);
  await advance(own, 60 * DAY_MS);
  await cleanUp(own);
  assert.deepEqual((await listed(own, '--all')).map(({ id }) => id), [open.id]);
});
