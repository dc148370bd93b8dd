// Devices that read their stream, lose it in the middle of an event, and come
// back with the last id that they received completely.

import http from 'node:http';
import { isFromBalancer } from '../support/haproxy.mjs';
import { FrameSplitter, isEvent } from './sse.mjs';
import { sleep } from './timing.mjs';

const MEAN_LIFE_MS = 4000;
const UNCUT_SHARE = 0.2; // of the connections: these end with the server only
const OLDER_SHARE = 0.06; // of the returns: from an id that was passed before
const STALL_SHARE = 0.1; // of the connections: stop reading for a while
const REMEMBERED_IDS = 200;
const CUT_PATIENCE_MS = 800; // for a chunk to cut in two, then cut anyway
const CONNECT_DEADLINE_MS = 10_000;
const SILENCE_MS = 10_000; // heartbeats come every second

/** Reads from `from` (null: the head) on behalf of one device. `calm()` true:
 *  no more cuts. */
export class Reader {
  constructor({ name, user, device, token, from = null, named = true, ticketUrl = null, port,
    records, random, calm, collapse }) {
    Object.assign(this, { token, named, ticketUrl, port, records, random, calm, collapse });
    this.lastId = from;
    this.recent = [];
    this.timers = [];
    this.stopped = false;
    this.record = { name, user, device, named, from, connections: [] };
    records.readers.push(this.record);
  }

  start() {
    this.done = this.run();
  }

  async stop() {
    this.stopped = true;
    this.request?.destroy();
    await this.done;
  }

  get position() {
    return this.lastId === null ? -1n : BigInt(this.lastId);
  }

  async run() {
    while (!this.stopped) {
      const ending = await this.connectOnce();
      if (!this.stopped) await sleep(this.absence(ending));
    }
  }

  absence(ending) {
    if (ending === 'no node') return this.random.between(50, 200);
    if (ending === 'unreachable' || this.calm()) return this.random.between(10, 40);
    if (this.random.chance(0.6)) return this.random.between(0, 30);
    return this.random.chance(0.75) ? this.random.between(100, 500) : this.random.between(1000, 3000);
  }

  /** Sometimes from further back: what came since must come again. */
  resumeId() {
    if (this.recent.length > 0 && !this.calm() && this.random.chance(OLDER_SHARE)) {
      this.lastId = this.random.pick(this.recent);
    }
    return this.lastId;
  }

  target(resume) {
    const headers = {};
    const query = this.named ? [] : ['named=0'];
    if (resume !== null && this.random.chance(0.5)) headers['Last-Event-ID'] = resume;
    else if (resume !== null) query.push(`last_event_id=${resume}`);
    if (!this.ticketUrl) headers.Authorization = `Bearer ${this.token}`;
    const path = this.ticketUrl ?? '/v1/events';
    if (query.length === 0) return { path, headers };
    return { path: `${path}${path.includes('?') ? '&' : '?'}${query.join('&')}`, headers };
  }

  /** One connection from open to end; returns how it ended. */
  connectOnce() {
    const resume = this.resumeId();
    const connection = {
      resume, start: this.records.tick(), end: null, status: null, node: undefined, frames: [], ending: 'stopped',
    };
    this.record.connections.push(connection);
    return new Promise((resolve) => {
      const request = http.get({
        host: '127.0.0.1', port: this.port, agent: false, ...this.target(resume),
        timeout: CONNECT_DEADLINE_MS,
      });
      this.request = request;
      const finish = (ending) => {
        if (connection.end !== null) return;
        connection.end = this.records.tick();
        if (!this.stopped) connection.ending = ending;
        this.timers.forEach(clearTimeout);
        request.destroy();
        resolve(ending);
      };
      request.on('timeout', () => finish('silent'));
      request.on('error', () => finish(connection.status === null ? 'unreachable' : 'broken'));
      request.on('response', (response) => this.readStream(connection, response, finish));
      if (this.stopped) finish('stopped');
    });
  }

  readStream(connection, response, finish) {
    if (isFromBalancer(response.headers)) return finish('no node');
    connection.status = response.statusCode;
    connection.node = response.headers['x-served-by'];
    if (response.statusCode !== 200) {
      if (response.statusCode === 401) this.collapse(`the stream of ${this.record.name} was answered 401`);
      return finish('refused');
    }
    const splitter = new FrameSplitter();
    const cutter = new Cutter(this.random, this.calm);
    const cut = (midEvent) => {
      this.records.cuts[midEvent ? 'midEvent' : 'other'] += 1;
      finish(midEvent ? 'cut in the middle of an event' : 'cut');
    };
    this.timers = this.startTimers(response, cutter, () => cut(false));
    response.socket.setTimeout(SILENCE_MS);
    response.on('data', (chunk) => {
      if (connection.end !== null) return;
      const cutAt = cutter.place(chunk);
      for (const raw of splitter.push(chunk.subarray(0, cutAt))) this.receive(connection, raw);
      if (cutAt < chunk.length) cut(splitter.pending > 0);
    });
    response.on('error', () => finish('broken'));
    response.on('aborted', () => finish('broken'));
    response.on('end', () => finish('ended'));
    response.on('close', () => finish('broken'));
  }

  startTimers(response, cutter, cutNow) {
    const timers = [];
    if (!this.random.chance(UNCUT_SHARE)) {
      const life = this.random.waiting(MEAN_LIFE_MS);
      timers.push(setTimeout(() => cutter.arm(), life));
      timers.push(setTimeout(() => { if (!this.calm()) cutNow(); }, life + CUT_PATIENCE_MS));
    }
    if (this.random.chance(STALL_SHARE)) {
      const begin = this.random.between(0, 1500);
      timers.push(setTimeout(() => response.pause(), begin));
      timers.push(setTimeout(() => response.resume(), begin + this.random.between(200, 1500)));
    }
    return timers;
  }

  receive(connection, raw) {
    const frame = this.records.frame(raw);
    connection.frames.push(frame);
    if (frame.position === undefined) return;
    this.lastId = frame.id;
    if (!isEvent(frame)) return;
    this.recent.push(frame.id);
    if (this.recent.length > REMEMBERED_IDS) this.recent.shift();
  }
}

/** Once armed, cuts the next chunk at a random byte before its end. */
class Cutter {
  constructor(random, calm) {
    this.random = random;
    this.calm = calm;
    this.armed = false;
  }

  arm() {
    this.armed = true;
  }

  /** How many of the chunk's bytes arrive. */
  place(chunk) {
    if (!this.armed || this.calm() || chunk.length < 2) return chunk.length;
    return this.random.between(1, chunk.length - 1);
  }
}
