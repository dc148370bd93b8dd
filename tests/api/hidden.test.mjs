// Deleting a message for oneself: gone from one's own histories and replays on every device, and for nobody else.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { addMember, createGroup, expectProblem, expectStatus, getChat, historyPage, logIn, postMany, postMessage, register, registerMany, removeMember, wholeHistory } from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { startServer } from '../support/server.mjs';
import { checkHiddenMessage, checkKeys } from '../support/shapes.mjs';

const server = await startServer();
after(() => server.dispose());

const messagePath = (message) => `/v1/chats/${message.chat_id}/messages/${message.id}`;
const hide = async (account, message) => expectStatus(await account.delete(`${messagePath(message)}?for=me`), 204);
const hiddenForm = ({ id, chat_id, seq }) => ({ id, chat_id, seq, hidden: true });

async function aliceAndBob(fields = {}) {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  return { alice, bob, chat: await createGroup(alice, [bob], fields) };
}

test('what one deletes for oneself is gone from the own history alone, and numbers have no hole', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const messages = await postMany(alice, chat, 5);
  await hide(bob, messages[2]);
  const expected = messages.map((message, i) => (i === 2 ? hiddenForm(message) : message));
  assert.deepEqual(await wholeHistory(bob, chat), expected);
  checkHiddenMessage(expectStatus(await bob.get(messagePath(messages[2])), 200));
  assert.deepEqual((await historyPage(bob, chat, { around: messages[2].id, limit: 3 })).items, expected.slice(1, 4));
  assert.deepEqual((await historyPage(bob, chat, { after: messages[1].id })).items, expected.slice(2));
  assert.deepEqual(await wholeHistory(alice, chat), messages);
});

test("one's own devices are told, and nobody else is", async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const message = await postMessage(alice, chat, 'x');
  const phone = await logIn(bob);
  const [his, hers] = [await openReadyFor(t, server, { token: phone.token }), await openReadyFor(t, server, { token: alice.token })];
  const before = await getChat(alice, chat);
  await hide(bob, message);
  const event = await his.next('message.hidden');
  checkKeys(event, ['type', 'chat_id', 'message_id', 'frame']);
  assert.deepEqual([event.chat_id, event.message_id], [chat.id, message.id]);
  assert.deepEqual(await getChat(alice, chat), before);
  await postMessage(alice, chat, 'y');
  await hers.next('message.created');
});

test('deleting for oneself twice tells once', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const [first, second] = await postMany(alice, chat, 2);
  const stream = await openReadyFor(t, server, { token: bob.token });
  await hide(bob, first);
  await hide(bob, first);
  await hide(bob, second);
  assert.deepEqual((await stream.take(2)).map(({ message_id }) => message_id), [first.id, second.id]);
});

test('a replay shows it without content, also where it was edited, reacted to and deleted later', async (t) => {
  const { alice, bob, chat } = await aliceAndBob();
  const start = await postMessage(alice, chat, 'start');
  const message = await postMessage(alice, chat, 'secret');
  expectStatus(await alice.patch(messagePath(message), { text: 'secret, edited' }), 200);
  expectStatus(await alice.put(`${messagePath(message)}/reactions/${encodeURIComponent('👍')}`), 200);
  await hide(bob, message);
  expectStatus(await alice.delete(messagePath(message)), 204);
  const stream = await openReadyFor(t, server, { token: bob.token, lastEventId: start.id });
  const events = await stream.take(5);
  assert.deepEqual(events.map(({ type }) => type), ['message.created', 'message.edited', 'message.reacted', 'message.hidden', 'message.deleted']);
  for (const i of [0, 1, 4]) assert.deepEqual(events[i].message, hiddenForm(message));
  assert.equal(events[2].withheld, true);
  assert.deepEqual([0, 1, 2, 4].map((i) => events[i].rev), [0, 1, 2, 3].map((i) => message.rev + i));
});

test('messages of others, deleted ones and own ones may be deleted for oneself', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const own = await postMessage(bob, chat, 'own');
  const deleted = await postMessage(alice, chat, 'deleted');
  expectStatus(await alice.delete(messagePath(deleted)), 204);
  for (const message of [own, deleted]) {
    await hide(bob, message);
    assert.deepEqual(expectStatus(await bob.get(messagePath(message)), 200), hiddenForm(message));
  }
  expectStatus(await bob.patch(messagePath(own), { text: 'still mine' }), 200);
});

test('it is neither pinned nor reacted to for who deleted it', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const message = await postMessage(alice, chat, 'x');
  expectStatus(await alice.put(`/v1/chats/${chat.id}/pins/${message.id}`), 204);
  expectStatus(await alice.put(`${messagePath(message)}/reactions/${encodeURIComponent('👍')}`), 200);
  await hide(bob, message);
  const list = async (account, path) => expectStatus(await account.get(path), 200).items.length;
  const reactions = `${messagePath(message)}/reactions?emoji=${encodeURIComponent('👍')}`;
  assert.deepEqual([await list(bob, `/v1/chats/${chat.id}/pins`), await list(bob, reactions)], [0, 0]);
  assert.deepEqual([await list(alice, `/v1/chats/${chat.id}/pins`), await list(alice, reactions)], [1, 1]);
});

test('it stays so after leaving and coming back', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const message = await postMessage(alice, chat, 'x');
  await hide(bob, message);
  await removeMember(alice, chat, bob);
  assert.deepEqual(await wholeHistory(bob, chat), [hiddenForm(message)]);
  await addMember(alice, chat, bob);
  assert.deepEqual(await wholeHistory(bob, chat), [hiddenForm(message)]);
});

test('what one cannot see cannot be deleted for oneself', async () => {
  const { alice, bob, chat } = await aliceAndBob();
  const message = await postMessage(alice, chat, 'x');
  const carol = await register(server, 'carol');
  expectProblem(await carol.delete(`${messagePath(message)}?for=me`), 404, 'not_found');
  await addMember(alice, chat, carol);
  expectProblem(await carol.delete(`${messagePath(message)}?for=me`), 404, 'not_found');
  expectProblem(await bob.delete(`${messagePath(message)}?for=you`), 400, 'bad_query', 'for');
  expectProblem(await bob.delete(`${messagePath(message)}?for=everyone`), 403, 'forbidden');
  expectStatus(await alice.delete(`${messagePath(message)}?for=everyone`), 204);
});
