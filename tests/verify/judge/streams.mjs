// Checks of each connection by itself.

import { isEvent, isHeartbeat } from '../sse.mjs';

function* connections(records) {
  for (const reader of records.readers) {
    for (const [index, connection] of reader.connections.entries()) {
      if (connection.frames.length > 0) yield { reader, connection, where: `${reader.name} connection ${index + 1}` };
    }
  }
}

function formProblem(frame, first, named) {
  const type = frame.json?.type;
  if (frame.problem) return frame.problem;
  if (first && type !== 'ready' && type !== 'closing') return `the first frame is ${type ?? 'a heartbeat'}`;
  if (first && frame.retry === undefined) return 'the first frame has no retry line';
  if (isHeartbeat(frame)) return null;
  if ((frame.event !== undefined) !== named) return named ? 'no event line' : 'an event line with named=0';
  if (isEvent(frame)) return eventProblem(frame.json);
  return null;
}

function eventProblem(json) {
  if (json.chat_id === undefined) return json.message || json.member ? 'no chat_id' : null;
  if (!Number.isInteger(json.rev) || json.rev < 1) return `rev ${json.rev}`;
  if (typeof json.actor_id !== 'string') return 'no actor_id';
  return null;
}

/** Every frame has the promised form, and ready comes first. */
export function wellFormed({ records }, fail) {
  let frames = 0;
  for (const { reader, connection, where } of connections(records)) {
    for (const [index, frame] of connection.frames.entries()) {
      frames += 1;
      const problem = formProblem(frame, index === 0, reader.named);
      if (problem) fail(`${where}, frame ${index + 1}: ${problem}: ${JSON.stringify(frame.raw.slice(0, 200))}`);
    }
  }
  return `${frames} frames`;
}

/** A connection stands where its token says; events go up, strictly; ready and
 *  heartbeats never go back. */
export function idsIncrease({ records }, fail) {
  let seen = 0;
  for (const { connection, where } of connections(records)) {
    let last = connection.resume === null ? -1n : BigInt(connection.resume);
    for (const frame of connection.frames) {
      if (frame.position === undefined) continue;
      seen += 1;
      const back = isEvent(frame) ? frame.position <= last : frame.position < last;
      if (back) fail(`${where}: ${frame.json?.type ?? 'heartbeat'} ${frame.id} came after ${last}`);
      last = frame.position;
    }
  }
  return `${seen} ids`;
}

/** ready repeats the token that the client came with. */
export function readyAtToken({ records }, fail) {
  let resumed = 0;
  for (const { connection, where } of connections(records)) {
    const [ready] = connection.frames;
    if (connection.resume === null || ready.json?.type !== 'ready') continue;
    resumed += 1;
    if (ready.id !== connection.resume) fail(`${where} resumed at ${connection.resume}, ready says ${ready.id}`);
  }
  return `${resumed} resumptions`;
}

export function onceAConnection({ records }, fail) {
  let events = 0;
  for (const { connection, where } of connections(records)) {
    const seen = new Set();
    for (const frame of connection.frames) {
      if (frame.problem || !isEvent(frame)) continue;
      events += 1;
      if (seen.has(frame.id)) fail(`${where}: event ${frame.id} (${frame.json.type}) came twice`);
      seen.add(frame.id);
    }
  }
  return `${events} events`;
}

const EXPLAINED_CLOSINGS = new Set(['overloaded']);

/** No reset: nothing was ever removed from this log; and nothing else gave
 *  the server a reason to send a client away. */
export function noResets({ records }, fail) {
  let streams = 0;
  for (const { connection, where } of connections(records)) {
    streams += 1;
    for (const { json } of connection.frames) {
      if (json?.type === 'reset') fail(`${where}, resumed at ${connection.resume}: reset (${json.reason})`);
      if (json?.type === 'closing' && !EXPLAINED_CLOSINGS.has(json.reason)) fail(`${where}: closing (${json.reason})`);
    }
  }
  return `${streams} connections`;
}

/** While there is no database a stream may be refused, with 503. */
export function streamsAccepted({ records }, fail) {
  const expected = new Set([null, 200, ...(records.absences.database > 0 ? [503] : [])]);
  for (const reader of records.readers) {
    for (const { status } of reader.connections) {
      if (!expected.has(status)) fail(`${reader.name}: GET /v1/events was answered ${status}`);
    }
  }
  return `${records.readers.length} readers`;
}

export function everybodyCaughtUp({ records }, fail) {
  for (const behind of records.quiet.behind) fail(behind);
  if (!records.quiet.reached && records.quiet.behind.length === 0) fail('the run ended before the streams were read to the head');
  return `${records.readers.length} readers`;
}
