// The judge is worth what it notices: a good run passes, and every kind of
// broken promise fails by the check that is named after it.

import assert from 'node:assert/strict';
import test from 'node:test';
import { bodyHash } from './judge/chain.mjs';
import { CHECKS, judge } from './judge.mjs';
import { FrameSplitter, parseFrame } from './sse.mjs';
import { ANN, BOB, CHAT, CID, frameText, goodRecords } from './story.mjs';

const failing = (records) => judge(records).filter((check) => !check.passed);
const names = (records) => failing(records).map((check) => check.name);

const proven = new Set();

/** `spoil(records)` must make the check `name` fail, with a witness. */
function notices(name, what, spoil) {
  proven.add(name);
  test(`${name}: ${what}`, () => {
    const records = goodRecords();
    spoil(records, tools(records));
    const found = failing(records);
    const check = found.find((candidate) => candidate.name === name);
    assert.ok(check, `failed instead: ${found.map((other) => other.name).join(', ') || 'nothing'}`);
    assert.ok(check.witnesses[0].length > 10);
    assert.doesNotMatch(check.witnesses[0], /the check itself broke/);
  });
}

/** Ways to find and replace what the readers received. */
function tools(records) {
  const reader = (name) => records.readers.find((candidate) => candidate.name === name);
  const places = (name, type) => reader(name).connections.flatMap(({ frames }) =>
    frames.map((frame, index) => ({ frames, index, frame })).filter(({ frame }) => frame.json?.type === type));
  const changed = (frame, change) => {
    const json = JSON.parse(frame.data);
    const more = change(json) ?? {};
    return records.frame(frameText({ type: json.type, id: frame.id, retry: frame.retry, ...more, json }));
  };
  return {
    reader,
    places,
    first: (name, type) => places(name, type)[0],
    last: (name, type) => places(name, type).at(-1),
    drop: ({ frames, index }) => frames.splice(index, 1)[0],
    alter: ({ frames, index, frame }, change) => { frames[index] = changed(frame, change); },
    everywhere: (type, nth, change) => {
      const id = places('ann/1', type)[nth].frame.id;
      for (const { connections } of records.readers) {
        for (const { frames } of connections) {
          for (const [i, frame] of frames.entries()) if (frame.id === id && frame.json?.type === type) frames[i] = changed(frame, change);
        }
      }
    },
    dropEverywhere: (type, nth) => {
      const id = places('ann/1', type)[nth].frame.id;
      for (const { connections } of records.readers) {
        for (const connection of connections) {
          connection.frames = connection.frames.filter((frame) => frame.id !== id || frame.json?.type !== type);
        }
      }
    },
  };
}

test('a good run passes every check', () => {
  assert.deepEqual(failing(goodRecords()), []);
});

test('the judge changes nothing and says the same again', () => {
  const records = goodRecords();
  assert.deepEqual(judge(records), judge(records));
});

test('an event that is only told again on another connection is no duplicate', () => {
  const records = goodRecords();
  const [one, two] = records.readers[0].connections;
  two.resume = one.frames[1].id;
  two.frames = [...goodRecords().readers[0].connections[1].frames];
  two.frames[0] = records.frame(frameText({ type: 'ready', id: two.resume, retry: 1, json: {} }));
  two.frames.splice(1, 0, ...one.frames.slice(2));
  assert.deepEqual(names(records), []);
});

test('a message may be told in a later state', () => {
  const records = goodRecords();
  const { places, first, alter } = tools(records);
  const edited = places('ann/1', 'message.edited')[0].frame.json.message;
  alter(first('ann/2', 'message.created'), (json) => { json.message = edited; });
  assert.deepEqual(names(records), []);
});

test('a post that was never answered may be there once', () => {
  const records = goodRecords();
  const [post] = records.posts;
  post.attempts = [{ start: 1, end: 2, status: null, error: 'ECONNRESET' }];
  assert.deepEqual(names(records), ['answers']);
});

/** Ann deletes the chat; afterwards Cid reads everything once more, and each
 *  message is as `told` says. */
function afterDeletion(told) {
  const records = goodRecords();
  const cid = records.readers.find(({ name }) => name === 'cid/1');
  const { last_id: lastId, last_rev: lastRev } = records.heads[0].body;
  const gone = {
    type: 'chat.deleted', id: String(BigInt(lastId) + 65536n), json: { chat_id: CHAT, rev: lastRev + 1, actor_id: ANN },
  };
  for (const { name, connections } of records.readers) {
    if (name !== 'bob/1') connections[1].frames.splice(-1, 1, records.frame(frameText(gone)));
  }
  const events = cid.connections.flatMap(({ frames }) => frames.filter(({ json }) => json && json.type !== 'ready'));
  const again = events.map((frame) => {
    const json = JSON.parse(frame.data);
    if (json.message) json.message = told(json.message);
    return records.frame(frameText({ type: json.type, id: frame.id, json }));
  });
  const ready = records.frame(frameText({ type: 'ready', id: '1', retry: 1, json: {} }));
  records.readers.push({ ...cid, name: 'cid/again', from: '1', connections: [{ ...cid.connections[0], resume: '1', frames: [ready, ...again] }] });
  Object.assign(records, { walks: [], heads: [], snapshots: [] });
  return records;
}

function blank({ text, client_key: key, salt, edited_at: edited, ...rest }) {
  return { ...rest, body_hash: rest.body_hash ?? bodyHash(salt, text), deleted: true, deleted_at: '2026-11-21T01:02:04.000Z' };
}

test('the messages of a deleted chat are blank', () => {
  assert.deepEqual(names(afterDeletion(blank)), []);
});

test('the messages of a deleted chat may not keep their text', () => {
  assert.ok(names(afterDeletion((message) => ({ ...blank(message), text: message.text }))).includes('same_content'));
});

// ---- the run

notices('enough_happened', 'too few messages', (records) => {
  records.settings.minimum['messages acknowledged'] = 5;
});
notices('server_returned', 'a crash', (records) => {
  records.server.failures.push('start 3 ended by itself: signal SIGSEGV');
});
notices('answers', 'an internal error', (records) => {
  records.posts[0].attempts.unshift({ start: 0, end: 0, status: 500, body: { code: 'internal' } });
});
notices('answers', 'a member who is told that the chat is not there', (records) => {
  records.posts[0].attempts.push({ start: 1e6, end: 1e6, status: 404 });
});
notices('answers', 'a request without an answer', (records) => {
  records.memberships[0].attempts = [{ start: 1, end: 2, status: null, error: 'ECONNRESET' }];
});
notices('streams_accepted', 'a stream that was refused', (records, { reader }) => {
  reader('ann/1').connections.push({ resume: null, start: 1, end: 2, status: 401, frames: [] });
});
notices('streams_accepted', 'a stream that was refused for want of a database that is there', (records, { reader }) => {
  reader('ann/1').connections.push({ resume: null, start: 1, end: 2, status: 503, frames: [] });
});
test('streams_accepted: a stream may be refused while there is no database', () => {
  const records = goodRecords();
  records.absences.database = 1;
  records.readers[0].connections.push({ resume: null, start: 1, end: 2, status: 503, frames: [] });
  assert.deepEqual(names(records), []);
});
notices('enough_happened', 'a node that never answered', (records) => {
  records.settings.minimum['nodes that answered posts'] = 2;
});
notices('caught_up', 'a device that stands still', (records) => {
  records.quiet.behind.push('ann/1 stands at 3, the head is 4');
});

// ---- connections

notices('frames', 'a broken line', (records, { reader }) => {
  reader('ann/1').connections[0].frames.push(records.frame('event: x\nid: 1'));
});
notices('frames', 'no ready at first', (records, { first, drop }) => drop(first('ann/1', 'ready')));
notices('frames', 'no retry at first', (records, { first }) => {
  const { frames, frame } = first('bob/1', 'ready');
  frames[0] = records.frame(frameText({ type: 'ready', id: frame.id, json: {} }));
});
notices('frames', 'a chat event without rev', (records, { last, alter }) => {
  alter(last('ann/1', 'message.created'), (json) => { delete json.rev; });
});
notices('frames', 'event lines although named=0', (records, { reader }) => { reader('ann/1').named = false; });
notices('no_resets', 'a reset', (records, { reader }) => {
  reader('cid/1').connections[1].frames.push(records.frame(frameText({ type: 'reset', id: '999999999', json: { reason: 'fork' } })));
});
notices('no_resets', 'a device that is sent away', (records, { reader }) => {
  reader('cid/1').connections[1].frames.push(records.frame(frameText({ type: 'closing', retry: 5, json: { reason: 'device_revoked' } })));
});
notices('ready_at_token', 'a stream that begins elsewhere', (records, { places, alter }) => {
  const [, second] = places('ann/1', 'ready');
  second.frame = records.frame(second.frame.raw.replace(/id: \d+/, 'id: 1'));
  alter(second, () => {});
});
notices('ids_increase', 'a reordered pair', (records, { reader }) => {
  const { frames } = reader('ann/1').connections[1];
  [frames[1], frames[2]] = [frames[2], frames[1]];
});
notices('ids_increase', 'an event behind the token', (records, { reader }) => {
  const [one, two] = reader('ann/1').connections;
  two.frames.splice(1, 0, one.frames[1]);
});
notices('ids_increase', 'a heartbeat that goes back', (records, { reader }) => {
  reader('ann/1').connections[1].frames.push(records.frame('id: 2'));
});
notices('once_a_connection', 'an event told twice', (records, { reader }) => {
  const { frames } = reader('ann/1').connections[1];
  frames.splice(2, 0, frames[1]);
});

// ---- events and memberships

notices('same_events', 'one id, two events', (records, { last, alter }) => {
  alter(last('ann/2', 'message.created'), (json) => { json.actor_id = BOB; });
});
notices('same_events', 'a user event for another user', (records, { places, reader }) => {
  reader('bob/1').connections[1].frames.splice(-1, 0, places('ann/1', 'device.added')[0].frame);
});
notices('same_events', 'a chat that nobody made', (records) => { records.chats = []; });
notices('acknowledged', 'an event lost at resume', (records, { reader }) => {
  const { frames } = reader('ann/2').connections[1];
  const index = frames.findIndex(({ json }) => json?.type === 'message.created');
  frames.splice(index, 1);
});
notices('acknowledged', 'a message that no device ever received', (records, { dropEverywhere }) => {
  dropEverywhere('message.created', 3);
});
notices('everything', 'a lost edit', (records, { first, drop }) => drop(first('ann/2', 'message.edited')));
notices('everything', 'a lost event of the user itself', (records, { first, drop }) => drop(first('ann/2', 'device.added')));
notices('within_stays', 'an event from before the membership', (records, { reader, places }) => {
  reader('cid/1').connections[0].frames.splice(1, 0, places('ann/1', 'message.created')[1].frame);
});
notices('within_stays', 'an event after the leaving', (records, { reader, last }) => {
  reader('bob/1').connections[1].frames.splice(-1, 0, last('ann/1', 'message.created').frame);
});
notices('within_stays', 'a stream that reaches behind its beginning', (records, { reader }) => {
  reader('ann/1').from = '66000';
});
notices('no_later_text', 'a text from after the leaving', (records, { places, alter }) => {
  const later = places('ann/1', 'message.edited')[1].frame.json.message;
  alter(places('bob/1', 'message.created')[2], (json) => { json.message = later; });
});
notices('dense_chats', 'a rev that is missing', (records, { dropEverywhere }) => dropEverywhere('message.edited', 0));
notices('dense_chats', 'a seq that was skipped', (records, { everywhere }) => {
  everywhere('message.created', 3, (json) => { json.message.seq = 5; });
});
notices('dense_chats', 'a chat that does not begin at 1', (records, { dropEverywhere }) => dropEverywhere('chat.created', 0));
notices('dense_stays', 'a hole on one device', (records, { first, drop }) => drop(first('cid/1', 'message.edited')));
notices('wall_order', 'a later post with a smaller id', (records) => {
  const [one, two] = records.posts;
  [one.attempts, two.attempts] = [two.attempts, one.attempts];
  [one.attempts[0].start, one.attempts[0].end] = [two.attempts[0].start, two.attempts[0].end];
  [two.attempts[0].start, two.attempts[0].end] = [two.attempts[0].end + 1, two.attempts[0].end + 2];
});
notices('memberships', 'a join that no answer explains', (records) => { records.memberships[0].attempts[0].status = 404; records.memberships[0].kind = 'remove'; });
notices('memberships', 'a leave that was answered and did not happen', (records, { dropEverywhere, reader }) => {
  dropEverywhere('member.removed', 0);
  const bob = reader('bob/1').connections[1];
  bob.frames = bob.frames.filter(({ json }) => json?.type !== 'member.removed');
});

// ---- messages

notices('last_state', 'an edit that shows the message before it', (records, { places, first, alter }) => {
  const before = places('ann/1', 'message.created')[0].frame.json.message;
  alter(first('ann/2', 'message.edited'), (json) => { json.message = before; });
});
notices('same_content', 'two texts of one rev', (records, { last, alter }) => {
  alter(last('ann/2', 'message.created'), (json) => { json.message.text = 'other'; });
});
notices('same_content', 'history that differs', (records) => {
  records.walks[0].items[0] = { ...records.walks[0].items[0], text: 'other' };
});
notices('same_content', 'a rev that no event gave', (records) => {
  records.walks[0].items[0] = { ...records.walks[0].items[0], rev: 77 };
});
notices('same_content', 'a withheld text that is shown', (records) => {
  records.walks[2].items[2] = { ...records.walks[2].items[2], text: 'tres' };
});
notices('posts_once', 'one key, two messages', (records) => {
  const [post] = records.posts;
  post.attempts.push({ ...post.attempts[0], status: 200, body: { ...post.attempts[0].body, id: '999999' } });
});
notices('posts_once', 'a refused post that is there', (records) => {
  records.posts[0].attempts = [{ start: 1, end: 2, status: 404 }];
});
notices('posts_once', 'a message that nobody posted', (records) => { records.posts.pop(); });
notices('posts_as_sent', 'another sender', (records, { everywhere }) => {
  everywhere('message.created', 3, (json) => { json.message.sender_id = BOB; });
});
notices('posts_as_sent', 'another text', (records) => { records.posts[3].text = 'five'; });
notices('changes', 'an edit that was answered and lost', (records, { dropEverywhere }) => dropEverywhere('message.edited', 1));
notices('changes', 'a deletion that was answered and lost', (records, { dropEverywhere }) => dropEverywhere('message.deleted', 0));
notices('changes', 'a deletion that nobody asked for', (records) => {
  records.changes = records.changes.filter((change) => change.kind !== 'delete');
});
notices('changes', 'a text that nobody wrote', (records, { everywhere }) => {
  everywhere('message.edited', 0, (json) => { json.message.text = 'eins'; });
  records.walks.forEach((walk) => { walk.items = walk.items.map((item) => (item.text === 'uno' ? { ...item, text: 'eins' } : item)); });
});
notices('chain', 'a wrong link', (records, { everywhere }) => {
  everywhere('message.created', 1, (json) => { json.message.chain = 'f'.repeat(32); });
});
notices('chain', 'a body hash that does not fit', (records, { everywhere }) => {
  everywhere('message.edited', 0, (json) => { json.message.body_hash = 'f'.repeat(32); });
});

// ---- history and lists

notices('pages_during', 'a page out of order', (records) => { records.walks[4].items.reverse(); });
notices('pages_during', 'a page with a hole', (records) => {
  const [whole] = records.walks;
  records.walks.push({ ...whole, during: true, how: 'before', items: [whole.items[0], whole.items[2]] });
});
notices('pages_during', 'a page without what was answered before', (records) => { records.walks[4].items.pop(); });
notices('snapshots', 'a list without a chat', (records) => { records.snapshots[0].items = []; });
notices('snapshots', 'a list behind its as_of', (records) => { records.snapshots[0].items[0].last_id = '66000'; });
notices('final_history', 'a message that is missing', (records) => { records.walks[0].items.splice(1, 1); });
notices('final_history', 'a message from before the membership', (records) => {
  records.walks[3].items.unshift(records.walks[0].items[1]);
});
notices('final_history', 'a refused reader', (records) => { records.walks[0].status = 401; records.walks[0].items = []; });
notices('final_history', 'a state that is past', (records) => {
  records.walks[0].items[0] = records.posts[0].attempts[0].body;
});
notices('final_history', 'a text withheld from a member', (records) => {
  records.walks[3].items[0] = records.walks[2].items[2];
});
notices('final_history', 'a text shown to who had left', (records) => {
  records.walks[2].items[2] = records.walks[0].items[2];
});
notices('final_heads', 'another last_id', (records) => { records.heads[0].body.last_id = '1'; });
notices('final_heads', 'a member who had left', (records) => { records.heads[0].members.push({ user_id: BOB, role: 'member' }); });
notices('final_heads', 'another role', (records) => { records.heads[0].members.find(({ user_id: id }) => id === CID).role = 'admin'; });

test('every check is proven by a failure', () => {
  assert.deepEqual(CHECKS.map(([name]) => name).filter((name) => !proven.has(name)), []);
});

// ---- frames

test('a frame that was cut is kept until it is complete', () => {
  const splitter = new FrameSplitter();
  const bytes = Buffer.from('id: 1\n\nevent: x\nid: 2\ndata: {"type":"x","text":"ü"}\n\n');
  const frames = [...bytes].flatMap((byte) => splitter.push(Buffer.from([byte])));
  assert.equal(frames.length, 2);
  assert.equal(splitter.pending, 0);
  assert.equal(parseFrame(frames[1]).json.text, 'ü');
  splitter.push(Buffer.from('id: 3\n'));
  assert.equal(splitter.pending, 6);
});

test('only the promised form of a frame is accepted', () => {
  const problem = (raw) => parseFrame(raw).problem;
  assert.equal(problem('id: 12'), null);
  assert.equal(problem('retry: 5\nevent: x\nid: 1\ndata: {"type":"x"}'), null);
  assert.equal(problem('data: {"type":"x"}'), null);
  for (const raw of ['id: 012', 'id: -1', 'id:1', 'event: x', ': comment', 'data: {', 'data: {}', 'data: 1',
    'event: y\ndata: {"type":"x"}', 'id: 1\nevent: x\ndata: {"type":"x"}', 'id: 1\nid: 2', 'retry: x\nid: 1', '']) {
    assert.notEqual(problem(raw), null, raw);
  }
});
