import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventStreamParser } from './event-stream.mjs';

function parse(...chunks) {
  const frames = [];
  const parser = new EventStreamParser((frame) => frames.push(frame));
  for (const chunk of chunks) parser.push(Buffer.from(chunk));
  return { frames, parser };
}

test('a frame keeps its fields and its own bytes', () => {
  const raw = 'retry: 1500\nevent: ready\nid: 65536\ndata: {"a":1}\n\n';
  const { frames, parser } = parse(raw);
  assert.deepEqual(frames, [{ raw, event: 'ready', id: '65536', data: '{"a":1}', retry: 1500, lastEventId: '65536' }]);
  assert.equal(parser.lastEventId, '65536');
  assert.equal(parser.remainder, '');
});

test('bytes may come one at a time, characters cut in the middle included', () => {
  const bytes = Buffer.from('id: 7\r\ndata: é😀\r\n\r\ndata: x\r\n\r\n');
  const { frames } = parse(...[...bytes].map((byte) => [byte]));
  assert.deepEqual(frames.map((frame) => frame.data), ['é😀', 'x']);
  assert.deepEqual(frames.map((frame) => frame.lastEventId), ['7', '7']);
});

test('all three line endings end a line, and several data lines are joined', () => {
  for (const end of ['\n', '\r', '\r\n']) {
    const { frames } = parse(`data: a${end}data: b${end}${end}`, `:${end}${end}`);
    assert.equal(frames[0].data, 'a\nb', JSON.stringify(end));
  }
});

test('a frame with an id alone has no data and moves the id', () => {
  const { frames, parser } = parse('id: 1\ndata: x\n\n', 'id: 2\n\n');
  assert.equal(frames[1].data, undefined);
  assert.equal(frames[1].raw, 'id: 2\n\n');
  assert.equal(parser.lastEventId, '2');
});

test('one space after the colon is dropped, comments and unknown fields are skipped', () => {
  const { frames } = parse(': note\ndata:  two\nother: x\ndata\n\n');
  assert.equal(frames[0].data, ' two\n');
});

test('an id with NUL and a retry that is not digits are ignored', () => {
  const { frames } = parse('id: 1\0\nretry: 1.5\ndata: x\n\n');
  assert.equal(frames[0].id, undefined);
  assert.equal(frames[0].retry, undefined);
});

test('what is not a whole frame stays behind', () => {
  const { frames, parser } = parse('data: x\n\nid: 9\ndata: cut in the mid');
  assert.equal(frames.length, 1);
  assert.equal(parser.remainder, 'id: 9\ndata: cut in the mid');
  assert.equal(parser.lastEventId, '');
});

test('bytes that are not UTF-8 are an error', () => {
  assert.throws(() => parse([0x64, 0xff, 0x0a]), TypeError);
});
