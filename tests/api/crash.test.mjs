// kill -9, start again: everything that was answered is there, once, and streams go on.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { checkChain } from '../support/chain.mjs';
import { addMember, createDirect, createGroup, expectProblem, expectStatus, getChat, logIn, postMany, postMessage, register, registerMany, removeMember, wholeHistory } from '../support/client.mjs';
import { openReady, openReadyFor } from '../support/events.mjs';
import { startServer } from '../support/server.mjs';
import { eventually } from '../support/wait.mjs';

const server = await startServer();
after(() => server.dispose());

async function crash() {
  await server.kill();
  await server.restart();
}

test('everything answered is there after a crash', async () => {
  const [alice, bob, carol] = await registerMany(server, 'alice', 'bob', 'carol');
  const laptop = await logIn(alice);
  const loggedOut = await logIn(alice);
  const chat = await createGroup(alice, [bob]);
  const direct = await createDirect(alice, bob);
  await addMember(alice, chat, carol, { role: 'admin' });
  const [first, second, third] = await postMany(alice, chat, 3);
  const keyed = await postMessage(bob, chat, 'with a key', { key: 'key' });
  const edited = expectStatus(await alice.patch(`/v1/chats/${chat.id}/messages/${first.id}`, { text: 'edited' }), 200);
  expectStatus(await alice.delete(`/v1/chats/${chat.id}/messages/${second.id}`), 204);
  await removeMember(carol, chat, bob);
  expectStatus(await alice.patch('/v1/users/me', { display_name: 'Alice' }), 200);
  expectStatus(await loggedOut.delete('/v1/sessions/current'), 204);
  const before = await everything(alice, chat);

  await crash();

  assert.deepEqual(await everything(alice, chat), before);
  assert.equal(before.history[0].text, edited.text);
  assert.equal(before.history[2].id, third.id);
  expectStatus(await laptop.get('/v1/users/me'), 200);
  expectProblem(await loggedOut.get('/v1/users/me'), 401, 'unauthorized');
  expectProblem(await bob.get(`/v1/chats/${chat.id}`), 404, 'not_found');
  assert.equal((await getChat(carol, chat)).my_role, 'admin');
  assert.equal((await createDirect(bob, alice)).id, direct.id);
  assert.ok((await wholeHistory(bob, chat)).some((message) => message.id === keyed.id));
  expectStatus(await logIn(alice).then((account) => account.get('/v1/users/me')), 200);
  const next = await postMessage(alice, chat, 'after the crash');
  assert.deepEqual([next.seq, next.rev], [5, before.chat.last_rev + 1]);
  checkChain(await wholeHistory(alice, chat));
});

async function everything(account, chat) {
  return {
    me: expectStatus(await account.get('/v1/users/me'), 200),
    chat: await getChat(account, chat),
    members: expectStatus(await account.get(`/v1/chats/${chat.id}/members`), 200).items,
    history: await wholeHistory(account, chat),
    devices: expectStatus(await account.get('/v1/devices'), 200).items.map((device) => device.id),
  };
}

test('a key that was answered before the crash answers the same after it', async () => {
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  const message = await postMessage(alice, chat, 'once', { key: 'durable' });
  await crash();
  const headers = { 'Idempotency-Key': 'durable' };
  const again = await alice.post(`/v1/chats/${chat.id}/messages`, { text: 'once' }, { headers });
  assert.deepEqual(expectStatus(again, 200), message);
  expectProblem(await alice.post(`/v1/chats/${chat.id}/messages`, { text: 'other' }, { headers }), 409, 'idempotency_mismatch');
});

test('a stream goes on after the crash where it stood before', async (t) => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const stream = await openReady(server, { token: bob.token });
  await postMany(alice, chat, 3, 'before');
  const [, second] = await stream.take(2);
  await crash();
  await postMany(alice, chat, 2, 'after');
  const resumed = await openReadyFor(t, server, { token: bob.token, lastEventId: second.frame.id });
  const texts = (await resumed.take(3)).map((event) => event.message.text);
  assert.deepEqual(texts, ['before 3', 'after 1', 'after 2']);
});

test('crashes in the middle of many posts lose none that was answered and double none that was repeated', async () => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const { as_of } = expectStatus(await bob.get('/v1/chats'), 200);
  const acknowledged = new Map();
  for (let round = 1; round <= 4; round++) {
    const posters = Array.from({ length: 8 }, (_, poster) => postUntilCrash(alice, chat, `${round}.${poster}`, acknowledged));
    await eventually(() => acknowledged.size >= round * 60, 'posts are answered');
    await server.kill();
    const unanswered = (await Promise.all(posters)).filter(Boolean);
    await server.restart();
    for (const { text, key } of unanswered) {
      const answer = await alice.post(`/v1/chats/${chat.id}/messages`, { text }, { headers: { 'Idempotency-Key': key } });
      acknowledged.set(expectStatus(answer, 200, 201).id, text);
    }
  }

  const history = await wholeHistory(bob, chat);
  assert.deepEqual(new Map(history.map((message) => [message.id, message.text])), new Map([...acknowledged].sort(byId)));
  assert.equal(new Set(history.map((message) => message.text)).size, history.length, 'a text twice');
  assert.deepEqual(history.map((message) => message.seq), history.map((_, i) => i + 1));
  checkChain(history);
  const stream = await openReady(server, { token: bob.token, lastEventId: as_of });
  const events = await stream.take(history.length);
  stream.cut();
  assert.deepEqual(events.map((event) => event.message), history);
  assert.deepEqual(events.map((event) => event.rev), history.map((_, i) => i + 2));
});

function byId([a], [b]) {
  return BigInt(a) < BigInt(b) ? -1 : 1;
}

// Posts one after another until the connection fails; answers what was sent and not answered.
async function postUntilCrash(sender, chat, prefix, acknowledged) {
  for (let i = 1; ; i++) {
    const text = `${prefix}.${i}`;
    const answer = await sender
      .post(`/v1/chats/${chat.id}/messages`, { text }, { headers: { 'Idempotency-Key': text } })
      .catch(() => null);
    if (answer === null) return { text, key: text };
    acknowledged.set(expectStatus(answer, 201).id, text);
  }
}

test('a crash during start-up is survived, too', async () => {
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  const message = await postMessage(alice, chat, 'kept');
  await server.kill();
  for (let i = 0; i < 3; i++) {
    await server.restart();
    await server.kill();
  }
  await server.restart();
  assert.deepEqual(await wholeHistory(alice, chat), [message]);
});
