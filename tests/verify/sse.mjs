// Server-sent events as Parley writes them: the bytes become frames, and a
// frame that is not exactly of the promised form says what is wrong with it.

const BLANK_LINE = Buffer.from('\n\n');
const ID = /^(0|[1-9][0-9]{0,18})$/;
const ORDER = ['retry', 'event', 'id', 'data'];

/** Splits a stream of chunks at blank lines; keeps what is not complete. */
export class FrameSplitter {
  constructor() {
    this.rest = Buffer.alloc(0);
  }

  /** Returns the text of every frame that is now complete. */
  push(chunk) {
    let bytes = this.rest.length > 0 ? Buffer.concat([this.rest, chunk]) : chunk;
    const frames = [];
    for (;;) {
      const end = bytes.indexOf(BLANK_LINE);
      if (end < 0) break;
      frames.push(bytes.toString('utf8', 0, end));
      bytes = bytes.subarray(end + 2);
    }
    this.rest = bytes;
    return frames;
  }

  /** Bytes of a frame that has begun and not ended. */
  get pending() {
    return this.rest.length;
  }
}

function readLine(frame, line) {
  const at = line.indexOf(': ');
  const name = line.slice(0, at);
  if (at < 0 || !ORDER.includes(name)) return `line ${JSON.stringify(line.slice(0, 60))}`;
  if (frame[name] !== undefined) return `two ${name} lines`;
  if (ORDER.some((later) => ORDER.indexOf(later) > ORDER.indexOf(name) && frame[later] !== undefined)) {
    return `${name} in the wrong place`;
  }
  frame[name] = line.slice(at + 2);
  return null;
}

function problemOf(frame) {
  if (frame.id !== undefined && !ID.test(frame.id)) return `id ${JSON.stringify(frame.id)}`;
  if (frame.retry !== undefined && !/^[0-9]+$/.test(frame.retry)) return 'retry is no number';
  if (frame.data === undefined) {
    return frame.event === undefined && frame.id !== undefined ? null : 'no data line';
  }
  try {
    frame.json = JSON.parse(frame.data);
  } catch {
    return 'data is not JSON';
  }
  if (typeof frame.json?.type !== 'string') return 'data has no type';
  if (frame.event !== undefined && frame.event !== frame.json.type) return 'event and type differ';
  return null;
}

/** {raw, event, id, position, retry, data, json, problem}; `position` is the
 *  id as a BigInt, `json` the parsed data; a heartbeat has an id only. */
export function parseFrame(raw) {
  const frame = { raw };
  let problem = null;
  for (const line of raw.split('\n')) problem ??= readLine(frame, line);
  frame.problem = problem ?? problemOf(frame);
  if (!frame.problem && frame.id !== undefined) frame.position = BigInt(frame.id);
  return frame;
}

export const isHeartbeat = (frame) => frame.data === undefined;

/** Everything with an id that tells of a change, so not ready, not reset. */
export const isEvent = (frame) =>
  frame.json !== undefined && frame.id !== undefined &&
  frame.json.type !== 'ready' && frame.json.type !== 'reset';
