// What the verifier itself saw: the only thing the judge is given.
//
// Every request's attempts and every stream's frames carry numbers from one
// counter, the wall order: a request that ended at 7 was answered before one
// that started at 8 was sent.

import { parseFrame } from './sse.mjs';

export class Records {
  constructor(settings = {}) {
    this.settings = settings;
    this.wall = 0;
    this.users = []; // {id, name}
    this.chats = []; // {id, type, title, history, owner, members, attempts}
    this.posts = []; // {tag, user, chat, text, attempts}
    this.changes = []; // {kind: edit|delete, user, chat, message, text, attempts}
    this.memberships = []; // {kind: add|remove|role, chat, user, by, role, attempts}
    this.others = []; // {kind, user, chat, attempts}
    this.readers = []; // {name, user, device, named, connections}
    this.walks = []; // history read over REST: {user, chat, how, during, start, end, status, items}
    this.snapshots = []; // GET /v1/chats: {user, start, status, asOf, items}
    this.heads = []; // at the end: {chat, user, status, body, members}
    this.server = { kills: 0, starts: 0, failures: [] };
    this.absences = { database: 0, redis: 0, frozen: 0 };
    this.cuts = { midEvent: 0, other: 0 };
    this.quiet = { reached: false, behind: [] };
    this.frames = new Map(); // raw text -> the one parsed frame, shared by all streams
    this.messages = new Map();
  }

  tick() {
    this.wall += 1;
    return this.wall;
  }

  /** The same bytes are the same frame, however many devices received them. */
  frame(raw) {
    let frame = this.frames.get(raw);
    if (!frame) {
      frame = parseFrame(raw);
      this.frames.set(raw, frame);
    }
    return frame;
  }

  /** One object for equal messages of many history pages. */
  message(object) {
    const text = JSON.stringify(object);
    if (!this.messages.has(text)) this.messages.set(text, object);
    return this.messages.get(text);
  }
}

/** The first attempt that was answered with 2xx, or undefined. */
export function acknowledged(operation) {
  return operation.attempts.find((attempt) => attempt.status >= 200 && attempt.status < 300);
}

/** The last attempt's status; null when it was never answered. */
export function outcome(operation) {
  return operation.attempts.at(-1)?.status ?? null;
}

export function startedAt(operation) {
  return operation.attempts[0]?.start ?? Infinity;
}

export function endedAt(operation) {
  return operation.attempts.at(-1)?.end ?? Infinity;
}
