// PARLEY_DB with several hosts: doors of this test stand for them, which lead to one MariaDB server, and can be closed.
//
// Needs a MariaDB server, which PARLEY_TEST_DB names.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { createGroup, expectProblem, historyPage, postMessage, register } from '../support/client.mjs';
import { createDatabase } from '../support/database.mjs';
import { startServerFor } from '../support/server.mjs';
import { eventually } from '../support/wait.mjs';

const skip = process.env.PARLEY_TEST_DB ? false : 'PARLEY_TEST_DB names no MariaDB server';

// A port that leads to the server, or nowhere.
class Door {
  sockets = new Set();
  accepted = 0;
  isMute = false;
  cutsNext = false; // once it has said something
  #listener = null;

  constructor(target) {
    this.target = target;
    this.port = 0;
  }

  async open() {
    this.#listener = net.createServer((client) => this.#take(client)).listen(this.port, '127.0.0.1');
    await once(this.#listener, 'listening');
    this.port = this.#listener.address().port;
  }

  #take(client) {
    this.accepted++;
    this.#keep(client);
    if (this.isMute) return;
    if (this.cutsNext) {
      this.cutsNext = false;
      client.once('data', () => client.destroy());
    }
    const server = this.#keep(net.connect(this.target));
    client.pipe(server).pipe(client);
    client.on('close', () => server.destroy());
    server.on('close', () => client.destroy());
  }

  #keep(socket) {
    this.sockets.add(socket);
    socket.on('error', () => {});
    return socket.on('close', () => this.sockets.delete(socket));
  }

  cut() {
    for (const socket of this.sockets) socket.destroy();
  }

  // From now on connections are refused, and those that were open are cut.
  async close() {
    if (!this.#listener) return;
    const closed = once(this.#listener, 'close');
    this.#listener.close();
    this.cut();
    await closed;
    this.#listener = null;
  }

  // From now on connections are taken, and nothing is ever said.
  mute() {
    this.isMute = true;
    for (const socket of this.sockets) socket.unpipe().pause();
  }
}

// Two open doors to a database of the test's own.
async function openDoorsFor(t) {
  const database = createDatabase();
  const { user, host, port, socket } = /\/\/(?<user>[^/]*)@(?<host>[^:/?]*)(:(?<port>\d+))?\/[^?]*(\?socket=(?<socket>.*))?$/.exec(database.url).groups;
  const target = socket ? { path: decodeURIComponent(socket) } : { host, port: Number(port ?? 3306) };
  const doors = [new Door(target), new Door(target)];
  for (const door of doors) await door.open();
  t.after(async () => {
    await Promise.all(doors.map((door) => door.close()));
    database.drop();
  });
  return { doors, url: `mariadb://${user}@${doors.map((door) => `127.0.0.1:${door.port}`).join(',')}/${database.name}` };
}

async function chatOn(server) {
  const alice = await register(server, 'alice');
  return { alice, chat: await createGroup(alice) };
}

const tryPost = (alice, chat, key) => alice.post(`/v1/chats/${chat.id}/messages`, { text: key }, { headers: { 'Idempotency-Key': key } });
const isPosted = async (alice, chat, key) => [200, 201].includes((await tryPost(alice, chat, key)).status);

test('the first of several hosts is used, by all connections', { skip }, async (t) => {
  const { doors, url } = await openDoorsFor(t);
  const { alice, chat } = await chatOn(await startServerFor(t, { env: { PARLEY_DB: url } }));
  await postMessage(alice, chat, 'one');
  assert.ok(doors[0].accepted > 1);
  assert.equal(doors[1].accepted, 0);
});

test('a dead first host is passed over', { skip }, async (t) => {
  const { doors, url } = await openDoorsFor(t);
  await doors[0].close();
  const server = await startServerFor(t, { env: { PARLEY_DB: url } });
  const { alice, chat } = await chatOn(server);
  await postMessage(alice, chat, 'one');
  const move = `event=database_server from=127.0.0.1:${doors[0].port} to=127.0.0.1:${doors[1].port}`;
  assert.equal(server.stderr.filter((line) => line.includes(move)).length, 1, server.stderrTail());
});

test('a first host that never says a word is passed over', { skip }, async (t) => {
  const { doors, url } = await openDoorsFor(t);
  doors[0].mute();
  const { alice, chat } = await chatOn(await startServerFor(t, { env: { PARLEY_DB: url } }));
  await postMessage(alice, chat, 'one');
});

test('when the host in use is lost, writer and readers go on with the next, and stay there', { skip }, async (t) => {
  const { doors, url } = await openDoorsFor(t);
  const { alice, chat } = await chatOn(await startServerFor(t, { env: { PARLEY_DB: url } }));
  await postMessage(alice, chat, 'before');
  await doors[0].close();
  await eventually(() => isPosted(alice, chat, 'after'), 'a post goes through the other door');
  assert.deepEqual((await historyPage(alice, chat)).items.map((message) => message.text), ['before', 'after']);

  // What is no cluster may come back without what was written since: it is looked at, and not used.
  const looks = doors[0].accepted;
  await doors[0].open();
  await eventually(() => doors[0].accepted > looks && doors[0].sockets.size === 0, 'the first host was looked at');
  await postMessage(alice, chat, 'later');
  assert.equal(doors[0].sockets.size, 0);
});

test('while no host answers, posts are refused; then they are taken', { skip }, async (t) => {
  const { doors, url } = await openDoorsFor(t);
  const { alice, chat } = await chatOn(await startServerFor(t, { env: { PARLEY_DB: url } }));
  for (const door of doors) await door.close();
  expectProblem(await tryPost(alice, chat, 'one'), 503);
  await doors[1].open();
  await eventually(() => isPosted(alice, chat, 'one'), 'a post goes through the second door');
  assert.deepEqual((await historyPage(alice, chat)).items.map((message) => message.text), ['one']);
});

test('a connection that is cut does not move anybody while its host still answers', { skip }, async (t) => {
  const { doors, url } = await openDoorsFor(t);
  const { alice, chat } = await chatOn(await startServerFor(t, { env: { PARLEY_DB: url } }));
  doors[0].cut();
  await eventually(() => isPosted(alice, chat, 'one'), 'a post');
  assert.equal(doors[1].accepted, 0);
});

test('nor does one that is cut while it is set up', { skip }, async (t) => {
  const { doors, url } = await openDoorsFor(t);
  doors[0].cutsNext = true;
  await chatOn(await startServerFor(t, { env: { PARLEY_DB: url } }));
  assert.equal(doors[0].cutsNext, false);
  assert.equal(doors[1].accepted, 0);
});
