// Several nodes that hear of each other through Redis: at once while it is there, and by looking at the database when it is not.
//
// Needs a MariaDB server, which PARLEY_TEST_DB names, and redis-server.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import net from 'node:net';
import {
  addMember, createGroup, expectStatus, logIn, markRead, postMany, postMessage, register, wholeHistory, Client,
} from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { startNodesFor } from '../support/nodes.mjs';
import { startRedisFor } from '../support/redis.mjs';
import { eventually } from '../support/wait.mjs';

const skip = process.env.PARLEY_TEST_DB ? false : 'PARLEY_TEST_DB names no MariaDB server';

// So long that what arrives has not been waited for.
const NEVER = '60s';

// The same account, asking another node.
const on = (node, account) => Object.assign(new Client(node, account.token), { id: account.id, user: account.user, device: account.device });

const channels = (redis) => redis.command(['pubsub', 'channels', 'parley:*:log']);

// Waits until so many nodes hear what is said.
async function heardBy(redis, count) {
  await eventually(() => {
    const [channel] = channels(redis);
    return channel && redis.command(['pubsub', 'numsub', channel])[1] === String(count);
  }, `${count} nodes have subscribed`);
}

async function startTalking(t, count, env = {}) {
  const redis = startRedisFor(t);
  const nodes = await startNodesFor(t, count, { PARLEY_REDIS: redis.url, PARLEY_POLL_INTERVAL: NEVER, ...env });
  await heardBy(redis, count);
  return { redis, nodes };
}

async function metric(node, name) {
  const { text } = await new Client(node).get('/metrics');
  const found = new RegExp(`^${name} (\\S+)$`, 'm').exec(text);
  assert.ok(found, `${name} is not among the metrics`);
  return Number(found[1]);
}

const used = (node) => metric(node, 'parley_envelopes_used_total');
const filled = (node) => metric(node, 'parley_log_holes_filled_total');

async function expectNext(streams, message) {
  for (const stream of streams) assert.equal((await stream.next('message.created')).message.id, message.id);
}

// A group of two on two nodes or more, each with a stream of the second one's.
async function settle(t, nodes) {
  const alice = await register(nodes[0], 'alice');
  const bob = await register(nodes[1], 'bob');
  const chat = await createGroup(alice, [bob]);
  const streams = await Promise.all(nodes.map((node) => openReadyFor(t, node, { token: bob.token })));
  return { alice, bob, chat, streams };
}

test('what is posted on one node is heard by the others, who read nothing', { skip }, async (t) => {
  const { nodes } = await startTalking(t, 3);
  const { alice, bob, chat, streams } = await settle(t, nodes);
  const messages = [await postMessage(alice, chat, 'heard by all, and all before it')];
  await expectNext(streams, messages[0]);
  const before = await Promise.all(nodes.map(async (node) => ({ used: await used(node), filled: await filled(node) })));
  for (let i = 0; i < 30; i++) {
    messages.push(await postMessage(on(nodes[i % 3], alice), chat, `message ${i}`));
    await expectNext(streams, messages.at(-1));
  }
  for (const [i, node] of nodes.entries()) {
    assert.equal(await used(node), before[i].used + 20);
    assert.equal(await filled(node), before[i].filled);
    await eventually(async () => (await metric(node, 'parley_log_behind_positions')) === 0, 'the node is not behind');
    assert.deepEqual(await wholeHistory(on(node, bob), chat), messages);
  }
});

test('what members add to messages is heard by the others, whole or withheld, who read nothing', { skip }, async (t) => {
  const { nodes } = await startTalking(t, 2);
  const { alice, bob, chat, streams } = await settle(t, nodes);
  const message = await postMessage(alice, chat, 'a message');
  const carol = await register(nodes[1], 'carol');
  await addMember(alice, chat, carol);
  const late = await openReadyFor(t, nodes[1], { token: carol.token });
  const before = await filled(nodes[1]);
  const path = `/v1/chats/${chat.id}`;
  const { reactions } = expectStatus(await alice.put(`${path}/messages/${message.id}/reactions/${encodeURIComponent('👍')}`), 200);
  expectStatus(await alice.put(`${path}/pins/${message.id}`), 204);
  expectStatus(await on(nodes[0], bob).delete(`${path}/messages/${message.id}?for=me`), 204);
  const types = ['message.created', 'member.added', 'message.reacted', 'message.pinned', 'message.hidden'];
  const events = await streams[1].take(types.length);
  assert.deepEqual(events.map(({ type }) => type), types);
  assert.deepEqual(events[2].reactions, reactions);
  assert.equal((await late.next('message.reacted')).withheld, true);
  await late.next('message.pinned');
  assert.equal(await filled(nodes[1]), before);
});

test('nodes that post at the same time: every stream has all, once and in order', { skip }, async (t) => {
  const { nodes } = await startTalking(t, 4);
  const { alice, chat, streams } = await settle(t, nodes);
  await Promise.all(nodes.map((node, i) => postMany(on(node, alice), chat, 50, `node ${i} message`)));
  for (const stream of streams) {
    for (let seq = 1; seq <= 200; seq++) assert.equal((await stream.next('message.created')).message.seq, seq);
  }
});

test('a message too large for an envelope arrives all the same, and so does what follows', { skip }, async (t) => {
  const { nodes } = await startTalking(t, 2);
  const { alice, chat, streams } = await settle(t, nodes);
  const large = await postMessage(alice, chat, '\u{1F30D}'.repeat(100_000));
  await expectNext(streams, large);
  await expectNext(streams, await postMessage(alice, chat, 'small'));
});

test('edits, new chats and members come as they do on one node', { skip }, async (t) => {
  const { nodes } = await startTalking(t, 2);
  const { alice, bob, chat, streams } = await settle(t, nodes);
  const message = await postMessage(alice, chat, 'first');
  expectStatus(await alice.patch(`/v1/chats/${chat.id}/messages/${message.id}`, { text: 'second' }), 200);
  const carol = await register(nodes[0], 'carol');
  const hers = await openReadyFor(t, nodes[1], { token: carol.token });
  expectStatus(await alice.put(`/v1/chats/${chat.id}/members/${carol.id}`, {}), 200, 201);
  const [here, there] = await Promise.all(streams.map(async (stream) => {
    const events = [];
    while (events.length < 3) events.push(await stream.next());
    return events.map(({ frame, ...event }) => event);
  }));
  assert.deepEqual(there, here);
  assert.deepEqual(there.map((event) => event.type), ['message.created', 'message.edited', 'member.added']);
  assert.equal((await hers.next('member.added')).chat_id, chat.id);
  const other = await createGroup(on(nodes[1], bob), [carol]);
  assert.equal((await hers.next('chat.created')).chat_id, other.id);
});

test('a device that is removed on one node is out on all at once', { skip }, async (t) => {
  const { nodes } = await startTalking(t, 2);
  const alice = await register(nodes[0], 'alice');
  const phone = await logIn(alice);
  const elsewhere = on(nodes[1], phone);
  expectStatus(await elsewhere.get('/v1/users/me'), 200);
  const stream = await openReadyFor(t, nodes[1], { token: phone.token });
  expectStatus(await alice.delete(`/v1/devices/${phone.device.id}`), 204);
  await eventually(() => stream.closed, 'the stream on the other node ends');
  expectStatus(await elsewhere.get('/v1/users/me'), 401);
});

for (const [name, away, back] of [['is killed', 'kill', 'restart'], ['no longer answers', 'freeze', 'thaw']]) {
  test(`a Redis that ${name}: nodes look for themselves, until it is back`, { skip }, async (t) => {
    const { redis, nodes } = await startTalking(t, 2, { PARLEY_POLL_INTERVAL: '200ms' });
    const { alice, chat, streams } = await settle(t, nodes);
    await expectNext(streams, await postMessage(alice, chat, 'heard by both, and all before it'));
    const heard = await used(nodes[1]);
    redis[away]();
    for (let i = 0; i < 10; i++) await expectNext(streams, await postMessage(alice, chat, `alone ${i}`));
    assert.equal(await used(nodes[1]), heard);
    await eventually(() => nodes[1].stderr.some((line) => line.includes('event=redis_lost')), 'the log says so');
    redis[back]();
    await heardBy(redis, 2);
    let i = 0;
    await eventually(async () => {
      await expectNext(streams, await postMessage(alice, chat, `together ${i++}`));
      return (await used(nodes[1])) > heard;
    }, 'envelopes are used again');
  });
}

test('nodes that start without Redis begin to hear when it comes', { skip }, async (t) => {
  const redis = startRedisFor(t);
  redis.stop();
  const nodes = await startNodesFor(t, 2, { PARLEY_REDIS: redis.url, PARLEY_POLL_INTERVAL: '200ms' });
  const { alice, chat, streams } = await settle(t, nodes);
  await expectNext(streams, await postMessage(alice, chat, 'alone'));
  assert.equal(await used(nodes[1]), 0);
  redis.restart();
  await heardBy(redis, 2);
  let i = 0;
  await eventually(async () => {
    await expectNext(streams, await postMessage(alice, chat, `together ${i++}`));
    return (await used(nodes[1])) > 0;
  }, 'envelopes are used');
});

// Everything that is published to a channel from now on, as bytes.
async function eavesdrop(t, redis, channel) {
  const messages = [];
  const socket = net.connect(redis.port, '127.0.0.1', () => socket.write(`SUBSCRIBE ${channel}\r\n`));
  const head = Buffer.from(`*3\r\n$7\r\nmessage\r\n$${channel.length}\r\n${channel}\r\n$`);
  let bytes = Buffer.alloc(0);
  const subscribed = new Promise((resolve) => {
    socket.on('data', (data) => {
      resolve();
      bytes = Buffer.concat([bytes, data]);
      for (;;) {
        const start = bytes.indexOf(head);
        const end = start < 0 ? -1 : bytes.indexOf('\r\n', start + head.length);
        const size = end < 0 ? Infinity : Number(bytes.subarray(start + head.length, end));
        if (end + 2 + size > bytes.length) return;
        messages.push(bytes.subarray(end + 2, end + 2 + size));
        bytes = bytes.subarray(end + 2 + size);
      }
    });
  });
  t.after(() => socket.destroy());
  await subscribed;
  return messages;
}

test('whoever can write to Redis can neither make events up nor repeat them', { skip }, async (t) => {
  const { redis, nodes } = await startTalking(t, 2);
  const { alice, chat, streams } = await settle(t, nodes);
  const [channel] = channels(redis);
  const overheard = await eavesdrop(t, redis, channel);
  const messages = [await postMessage(alice, chat, 'the first of all'), await postMessage(alice, chat, 'the second of all')];
  await eventually(() => overheard.length >= 2, 'both envelopes were overheard');
  const refused = await metric(nodes[1], 'parley_envelopes_refused_total');
  const forged = overheard.map((bytes) => Buffer.from(bytes.toString('latin1').replace('of all', 'or not'), 'latin1'));
  const garbage = [Buffer.alloc(1), Buffer.from('garbage'), Buffer.alloc(300_000, 0x55), overheard[0].subarray(0, -1), ...forged];
  for (const bytes of garbage) redis.command(['publish', channel], bytes);
  for (const bytes of [...overheard].reverse()) redis.command(['publish', channel], bytes);
  await eventually(async () => (await metric(nodes[1], 'parley_envelopes_refused_total')) === refused + garbage.length, 'all of it was heard');
  messages.push(await postMessage(alice, chat, 'the last of all'));
  for (const message of messages) await expectNext(streams, message);
  for (const stream of streams) {
    const got = stream.events.filter((event) => event.type === 'message.created');
    assert.deepEqual(got.map((event) => event.message.text), messages.map((message) => message.text));
  }
  assert.deepEqual(await wholeHistory(on(nodes[1], alice), chat), messages);
});

test('nothing that was said can be read in Redis afterwards, and installations share it', { skip }, async (t) => {
  const { redis, nodes } = await startTalking(t, 2);
  const others = await startNodesFor(t, 2, { PARLEY_REDIS: redis.url, PARLEY_POLL_INTERVAL: NEVER });
  await eventually(() => channels(redis).length === 2, 'each has a channel of its own');
  await eventually(() => channels(redis).every((channel) => redis.command(['pubsub', 'numsub', channel])[1] === '2'), 'all have subscribed');
  for (const installation of [nodes, others]) {
    const { alice, chat, streams } = await settle(t, installation);
    await expectNext(streams, await postMessage(alice, chat, 'hello'));
    for (const node of installation) assert.equal(await metric(node, 'parley_envelopes_refused_total'), 0);
  }
  assert.deepEqual(redis.command(['--scan']), []);
});

test('who types on one node is seen on the others, and what was not said by a node is not', { skip }, async (t) => {
  const { redis, nodes } = await startTalking(t, 3, { PARLEY_HEARTBEAT: '100ms' });
  const { alice, bob, chat, streams } = await settle(t, nodes);
  const [channel] = redis.command(['pubsub', 'channels', 'parley:*:whispers']);
  const overheard = await eavesdrop(t, redis, channel);
  await Promise.all(streams.map((stream) => stream.heartbeat()));
  expectStatus(await on(nodes[1], alice).post(`/v1/chats/${chat.id}/typing`), 204);
  for (const stream of streams) assert.equal((await stream.next('typing')).user_id, alice.id);
  await eventually(() => overheard.length === 1, 'what was whispered');
  const [bytes] = overheard;
  const refused = await metric(nodes[0], 'parley_envelopes_refused_total');
  const forged = Buffer.from(bytes);
  forged[forged.length - 3] ^= 1;
  for (const garbage of [forged, Buffer.from('{"type":"typing"}'), bytes.subarray(0, bytes.length - 1)]) redis.command(['publish', channel], garbage);
  await eventually(async () => (await metric(nodes[0], 'parley_envelopes_refused_total')) === refused + 3, 'three are refused');
  const message = await postMessage(on(nodes[2], bob), chat, 'nothing in between');
  await expectNext(streams, message);
});

test('without Redis who types is seen on their node, and what others would have been told counts as dropped', { skip }, async (t) => {
  const { redis, nodes } = await startTalking(t, 2, { PARLEY_HEARTBEAT: '100ms', PARLEY_POLL_INTERVAL: '50ms' });
  const { alice, chat, streams } = await settle(t, nodes);
  await Promise.all(streams.map((stream) => stream.heartbeat()));
  redis.stop();
  expectStatus(await on(nodes[0], alice).post(`/v1/chats/${chat.id}/typing`), 204);
  await streams[0].next('typing');
  await eventually(async () => (await metric(nodes[0], 'parley_whispers_dropped_total{type="typing"}')) === 1, 'it counts');
  await expectNext(streams, await postMessage(alice, chat, 'nothing in between'));
});

test('what is read on one device clears the others, on whatever node, and its sender learns of it there', { skip }, async (t) => {
  const { nodes } = await startTalking(t, 3, { PARLEY_HEARTBEAT: '100ms' });
  const { alice, bob, chat, streams } = await settle(t, nodes);
  const tablet = await logIn(bob);
  const sender = await openReadyFor(t, nodes[2], { token: alice.token });
  const second = await openReadyFor(t, nodes[2], { token: tablet.token });
  const messages = await postMany(alice, chat, 5);
  await Promise.all([...streams, sender, second].map((stream) => stream.heartbeat()));
  const nextReceipt = async (stream) => {
    const { frame, type, ...receipt } = (await stream.until((event) => event.type === 'receipt')).at(-1);
    return receipt;
  };
  expectStatus(await on(nodes[1], bob).post('/v1/events/ack', { id: messages[4].id }), 204);
  assert.deepEqual(await nextReceipt(sender), { chat_id: chat.id, user_id: bob.id, delivered_id: messages[4].id });
  await markRead(on(nodes[0], bob), chat, 3);
  const read = { chat_id: chat.id, user_id: bob.id, read_seq: 3 };
  for (const stream of [...streams, second]) assert.deepEqual(await nextReceipt(stream), { ...read, unread_total: 2 });
  assert.deepEqual(await nextReceipt(sender), read);
  for (const node of nodes) {
    const { read_seq, unread } = expectStatus(await on(node, bob).get(`/v1/chats/${chat.id}`), 200);
    assert.deepEqual([read_seq, unread], [3, 2]);
    const { items } = expectStatus(await on(node, alice).get(`/v1/chats/${chat.id}/receipts`), 200);
    assert.deepEqual(items.find((item) => item.user_id === bob.id), { user_id: bob.id, delivered_seq: 5, read_seq: 3 });
  }
  await markRead(on(nodes[2], tablet), chat, 1);
  assert.equal((await markRead(on(nodes[1], bob), chat, 5)).unread_total, 0);
  assert.deepEqual(await nextReceipt(second), { ...read, read_seq: 5, unread_total: 0 });
});

test('who has left on one node hears no receipts on another, and nobody hears theirs', { skip }, async (t) => {
  const { nodes } = await startTalking(t, 2, { PARLEY_HEARTBEAT: '100ms' });
  const { alice, bob, chat, streams } = await settle(t, nodes);
  const carol = await register(nodes[0], 'carol');
  await addMember(alice, chat, carol);
  const sender = await openReadyFor(t, nodes[0], { token: alice.token });
  const [message] = await postMany(alice, chat, 1);
  await Promise.all([...streams, sender].map((stream) => stream.heartbeat()));
  await markRead(on(nodes[1], bob), chat, 1);
  expectStatus(await on(nodes[0], bob).delete(`/v1/chats/${chat.id}/members/${bob.id}`), 204);
  for (const stream of streams) await stream.until((event) => event.type === 'member.removed');
  expectStatus(await on(nodes[1], bob).post('/v1/events/ack', { id: message.id }), 204);
  await markRead(on(nodes[0], carol), chat, 1);
  const heard = await sender.until((event) => event.type === 'receipt' && event.user_id === carol.id);
  assert.deepEqual(heard.filter((event) => event.type === 'receipt' && event.delivered_id && event.user_id === bob.id), []);
  const other = await createGroup(alice, [bob]);
  for (const stream of streams) {
    const events = await stream.until((event) => event.type === 'chat.created' && event.chat.id === other.id);
    assert.deepEqual(events.filter((event) => event.type === 'receipt' && event.user_id !== bob.id), []);
  }
});

test('who comes while a node has not heard yet of a subscription is told all the same', { skip }, async (t) => {
  const { nodes } = await startTalking(t, 2, { PARLEY_HEARTBEAT: '100ms' });
  const { alice, bob, streams } = await settle(t, nodes);
  await Promise.all(streams.map((stream) => stream.heartbeat()));
  expectStatus(await alice.put('/v1/presence', { active: true }), 204);
  const isOnline = async () => expectStatus(await on(nodes[1], bob).get(`/v1/presence?user_ids=${alice.id}`), 200).items[0].online;
  await eventually(isOnline, 'the other node knows');
  expectStatus(await on(nodes[0], bob).put('/v1/presence/subscriptions', { user_ids: [alice.id] }), 200);
  assert.equal((await streams[1].next('presence')).online, true);
});

test('who is there is known on every node, and told where the stream is, whichever node was asked', { skip }, async (t) => {
  const { nodes } = await startTalking(t, 3, { PARLEY_HEARTBEAT: '100ms', PARLEY_PRESENCE_TTL: '4s' });
  const { alice, bob, chat, streams } = await settle(t, nodes);
  await Promise.all(streams.map((stream) => stream.heartbeat()));
  const ids = { user_ids: [alice.id] };
  expectStatus(await on(nodes[1], bob).put('/v1/presence/subscriptions', ids), 200);
  const beThere = async (node) => expectStatus(await on(node, alice).put('/v1/presence', { active: true }), 204);
  const isOnline = async (node) => expectStatus(await on(node, bob).get(`/v1/presence?user_ids=${alice.id}`), 200).items[0].online;
  const sameEverywhere = async (online) =>
    eventually(async () => (await Promise.all(nodes.map(isOnline))).every((it) => it === online), online ? 'online' : 'offline');
  await beThere(nodes[2]);
  for (const stream of streams) assert.equal((await stream.next('presence')).online, true);
  await sameEverywhere(true);
  for (const stream of streams) assert.equal((await stream.next('presence')).online, false);
  await sameEverywhere(false);
  expectStatus(await alice.delete(`/v1/chats/${chat.id}/members/${alice.id}`), 204);
  for (const stream of streams) await stream.until((event) => event.type === 'member.removed');
  await beThere(nodes[0]);
  const message = await postMessage(on(nodes[2], bob), chat, 'nothing in between');
  await expectNext(streams, message);
  assert.deepEqual(expectStatus(await on(nodes[1], bob).get(`/v1/presence?user_ids=${alice.id}`), 200).items, []);
});
