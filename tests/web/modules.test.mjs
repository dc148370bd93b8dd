// The modules of web/lib that need no page, run by Node as they are.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { REPOSITORY } from '../support/server.mjs';

// Node takes files that end in .js for modules where a package.json beside them says so; web/ has none, since browsers need none.
const folder = mkdtempSync(path.join(tmpdir(), 'parley-web-'));
after(() => rmSync(folder, { recursive: true, force: true }));
cpSync(path.join(REPOSITORY, 'web/lib'), path.join(folder, 'lib'), { recursive: true });
writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}');
const load = (name) => import(pathToFileURL(path.join(folder, 'lib', name)));

const { Md5, md5Of } = await load('md5.js');
const { compareIds, laterId } = await load('ids.js');
const { isOnlyEmoji, mentionsIn, piecesOf, summaryOf } = await load('text.js');
const { Timeline, mergeMessages } = await load('timeline.js');
const { readFrames } = await load('event-stream.js');
const { Receipts } = await load('receipts.js');

const bytesOf = (size) => Uint8Array.from({ length: size }, (_, index) => (index * 167 + (index >> 8)) & 255);
const md5 = (bytes) => createHash('md5').update(bytes).digest('hex');

test('MD5 is what others compute, however the bytes are cut', async () => {
  for (const size of [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 128, 1000, 70_001]) {
    const bytes = bytesOf(size);
    for (const cut of new Set([0, size >> 1, size])) {
      const digest = new Md5();
      digest.update(bytes.subarray(0, cut));
      digest.update(bytes.subarray(cut));
      assert.equal(digest.finish(), md5(bytes), `${size} bytes, cut at ${cut}`);
    }
  }
  const large = bytesOf(3_000_000);
  assert.equal(await md5Of(new Blob([large])), md5(large));
});

test('ids are compared as numbers', () => {
  assert.ok(compareIds('999', '1000') < 0);
  assert.ok(compareIds('9223372036854775807', '9223372036854775806') > 0);
  assert.equal(compareIds('5', '5'), 0);
  assert.equal(laterId('999', '1000'), '1000');
  assert.equal(laterId(null, '3'), '3');
  assert.equal(laterId(null, null), null);
});

test('the pieces of a text, joined, are the text', () => {
  const text = 'See https://example.org/a(b)?c=1, or http://x.example. <b>not</b> javascript:alert(1)';
  const pieces = piecesOf(text);
  assert.equal(pieces.map((piece) => piece.text).join(''), text);
  assert.deepEqual(pieces.filter((piece) => piece.kind === 'link').map((piece) => piece.url), ['https://example.org/a(b)?c=1', 'http://x.example']);
});

test('mentions are found, and placed by code points', () => {
  const text = '🎉 @Bob Smith and @Bob';
  const mentions = mentionsIn(text, [{ user_id: '1', name: 'Bob' }, { user_id: '2', name: 'Bob Smith' }]);
  assert.deepEqual(mentions, [{ user_id: '2', offset: 2, length: 10 }, { user_id: '1', offset: 17, length: 4 }]);
  const pieces = piecesOf(text, mentions);
  assert.deepEqual(pieces.map((piece) => [piece.kind, piece.text]), [['text', '🎉 '], ['mention', '@Bob Smith'], ['text', ' and '], ['mention', '@Bob']]);
});

test('a message in one line', () => {
  assert.equal(summaryOf({ text: 'one\n two' }), 'one two');
  assert.equal(summaryOf({ text: '', attachments: [{ content_type: 'image/png' }, { content_type: 'image/png' }] }), 'Photo and 1 more');
  assert.equal(summaryOf({ deleted: true }), 'Message deleted');
  assert.ok(isOnlyEmoji('🎉 👍🏽'));
  assert.ok(!isOnlyEmoji('🎉!'));
  assert.ok(!isOnlyEmoji('12'));
});

test('of two copies of a message the newer one stays, in whichever order they come', () => {
  const posted = { id: '7', seq: 1, rev: 2, text: 'a' };
  const edited = { ...posted, rev: 5, text: 'b' };
  const reacted = { ...posted, rev: 2, reactions: [{ emoji: '👍', count: 1 }], reactions_rev: 6 };
  for (const order of [[posted, edited, reacted], [reacted, edited, posted], [edited, posted, reacted]]) {
    const merged = order.reduce((known, fresh) => mergeMessages(known, fresh), null);
    assert.equal(merged.text, 'b');
    assert.deepEqual(merged.reactions, reacted.reactions);
  }
  const deleted = { id: '7', seq: 1, rev: 8, deleted: true };
  assert.equal(mergeMessages(deleted, edited), deleted);
  assert.equal(mergeMessages(edited, { id: '7', seq: 1, hidden: true }).hidden, true);
});

async function framesOf(pieces) {
  const body = new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(new TextEncoder().encode(piece));
      controller.close();
    },
  });
  const frames = [];
  for await (const frame of readFrames(body)) frames.push(frame);
  return frames;
}

test('frames of a stream are read wherever it is cut', async () => {
  const text = 'retry: 300\nevent: ready\nid: 12\ndata: {"a":1}\n\n: comment\nid: 13\n\ndata: Grüße\ndata: zwei\r\n\n';
  const whole = await framesOf([text]);
  assert.deepEqual(whole, [
    { event: 'ready', id: '12', data: '{"a":1}', retry: 300 },
    { event: null, id: '13', data: null, retry: null },
    { event: null, id: null, data: 'Grüße\nzwei', retry: null },
  ]);
  assert.deepEqual(await framesOf([...text]), whole);
});

// Answers pages of a history of `count` messages as the server does.
function serveHistory(count) {
  const all = Array.from({ length: count }, (_, index) => ({ id: String(1000 + index), seq: index + 1, rev: index + 2, text: `m${index + 1}` }));
  globalThis.fetch = async (url) => {
    const query = new URL(url, 'http://server').searchParams;
    const limit = Number(query.get('limit'));
    const before = query.get('before') ? all.filter((message) => Number(message.id) < Number(query.get('before'))) : all;
    const after = query.get('after') && all.filter((message) => Number(message.id) > Number(query.get('after')));
    const items = after ? after.slice(0, limit) : before.slice(-limit);
    const isLast = after ? items.length === after.length : items.length === before.length;
    return new Response(JSON.stringify({ items, next: isLast ? null : 'more', as_of: '0' }));
  };
  return all;
}

function expectWindow(timeline, all) {
  const first = timeline.items[0].seq;
  assert.deepEqual(timeline.items.map((message) => message.seq), timeline.items.map((_, index) => first + index), 'no hole');
  assert.ok(timeline.items.length <= 240, 'bounded');
  assert.equal(timeline.atStart, first === 1);
  assert.equal(timeline.atEnd, timeline.items.at(-1).seq === all.length);
}

test('a window moves through a long history without holes and stays small', async () => {
  const all = serveHistory(1000);
  const timeline = new Timeline('1', () => {});
  await timeline.openEnd();
  while (!timeline.atStart) {
    await timeline.loadBefore();
    expectWindow(timeline, all);
  }
  while (!timeline.atEnd) {
    await timeline.loadAfter();
    expectWindow(timeline, all);
  }
});

test('what comes while a page is on its way is not lost', async () => {
  const all = serveHistory(100);
  const timeline = new Timeline('1', () => {});
  const opened = timeline.openEnd();
  const edited = { ...all[99], rev: 500, text: 'edited' };
  timeline.change(edited);
  timeline.add({ id: '1100', seq: 101, rev: 501, text: 'new' }, true);
  await opened;
  assert.deepEqual(timeline.items.slice(-2).map((message) => message.text), ['edited', 'new']);
});

test('a message that is missing before another is fetched', async () => {
  serveHistory(100);
  const timeline = new Timeline('1', () => {});
  await timeline.openEnd();
  const all = serveHistory(103);
  timeline.add(all[102], true);
  assert.equal(timeline.atEnd, false);
  while (timeline.isLoading) await new Promise(setImmediate);
  assert.deepEqual(timeline.items.slice(-4).map((message) => message.seq), [100, 101, 102, 103]);
});

test('another message at the same place means that the server has lost something', async () => {
  serveHistory(10);
  const timeline = new Timeline('1', () => {});
  await timeline.openEnd();
  assert.ok(timeline.contradicts({ id: '1009000', seq: 10 }));
  assert.ok(!timeline.contradicts(timeline.items[9]));
  assert.ok(!timeline.contradicts({ id: '1009000', seq: 11 }));
});

test('ticks: all have it, all have read it', async () => {
  globalThis.fetch = async () => new Response(JSON.stringify({
    items: [{ user_id: '1', delivered_seq: 9, read_seq: 9 }, { user_id: '2', delivered_seq: 3, read_seq: 1 }, { user_id: '3', delivered_seq: 3, read_seq: 3 }], next: null,
  }));
  const receipts = new Receipts('1');
  await receipts.load('5');
  const message = { id: '1003', seq: 3 };
  assert.equal(receipts.stateOf(message), 'delivered');
  assert.equal(receipts.stateOf({ id: '1004', seq: 4 }), 'sent');
  receipts.move({ user_id: '2', delivered_id: '1004' });
  receipts.move({ user_id: '3', delivered_id: '1004' });
  assert.equal(receipts.stateOf({ id: '1004', seq: 4 }), 'delivered');
  receipts.move({ user_id: '2', read_seq: 4 });
  assert.equal(receipts.stateOf(message), 'read');
});
