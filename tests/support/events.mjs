// A reader of one event stream over node:http.
import assert from 'node:assert/strict';
import http from 'node:http';
import { parseJson } from './client.mjs';
import { holdEvent, holdExchange } from './contract.mjs';
import { EventStreamParser } from './event-stream.mjs';
import { withDeadline } from './wait.mjs';

// Opens GET /v1/events and resolves once the head of the answer is there, whatever its status.
// Options: token, lastEventId (header), query (object), path (instead of /v1/events), headers.
export async function openEvents(server, options = {}) {
  const reader = new EventReader();
  await withDeadline(reader.open(server, options), 'the head of the stream');
  return reader;
}

// The same, expecting a stream that starts with `ready`, which is kept as reader.ready.
export async function openReady(server, options = {}) {
  const reader = await openEvents(server, options);
  assert.equal(reader.status, 200);
  reader.ready = await reader.next('ready');
  return reader;
}

// A test's stream: cut when the test ends.
export async function openReadyFor(t, server, options = {}) {
  const reader = await openReady(server, options);
  t.after(() => reader.cut());
  return reader;
}

export class EventReader {
  frames = []; // every frame as it came, heartbeats too
  events = []; // those with data: {...its JSON, frame}
  problem = null; // what was wrong with the bytes, if anything
  body = ''; // of an answer that is not a stream
  closed = false;
  #taken = 0;
  #wake = new Set();
  #request = null;
  #asked = null;
  #parser = new EventStreamParser((frame) => this.#take(frame));

  async open(server, { token, lastEventId, query = {}, path = '/v1/events', headers = {} }) {
    const search = new URLSearchParams(query).toString();
    const request = http.request({
      host: '127.0.0.1',
      port: server.port,
      path: search ? `${path}?${search}` : path,
      agent: false,
      headers: {
        ...(token && { Authorization: `Bearer ${token}` }),
        ...(lastEventId !== undefined && { 'Last-Event-ID': lastEventId }),
        ...headers,
      },
    });
    this.#request = request;
    const response = await new Promise((resolve, reject) => {
      request.on('response', resolve);
      request.on('error', reject);
      request.end();
    });
    this.status = response.statusCode;
    this.headers = response.headers;
    this.#asked = { method: 'GET', path: request.path, headers: request.getHeaders() };
    this.#read(response);
  }

  #read(response) {
    const isStream = (this.headers['content-type'] ?? '').startsWith('text/event-stream');
    if (isStream) this.#hold(() => holdExchange(this.#asked, { status: this.status, headers: this.headers }));
    response.on('data', (chunk) => (isStream ? this.#parse(chunk) : (this.body += chunk)));
    response.on('error', () => {});
    response.on('close', () => {
      this.closed = true;
      if (!isStream && response.complete) this.#holdAnswer();
      this.#wakeAll();
    });
  }

  #parse(chunk) {
    try {
      this.#parser.push(chunk);
    } catch (error) {
      this.problem ??= error;
    }
    this.#wakeAll();
  }

  #take(frame) {
    this.frames.push(frame);
    if (frame.data === undefined) return;
    const event = parseJson(frame.data);
    this.events.push({ ...event, frame });
    this.#hold(() => holdEvent(event));
  }

  #holdAnswer() {
    const isJson = /json/.test(this.headers['content-type'] ?? '');
    const answer = { status: this.status, headers: this.headers, text: this.body, body: isJson && this.body ? parseJson(this.body) : undefined };
    this.#hold(() => holdExchange(this.#asked, answer));
  }

  // What is not as the document says is told to whoever waits for the next event.
  #hold(check) {
    try {
      check();
    } catch (error) {
      this.problem ??= error;
    }
  }

  #wakeAll() {
    for (const wake of this.#wake) wake();
    this.#wake.clear();
  }

  // What EventSource would send when it reconnects now.
  get lastEventId() {
    return this.#parser.lastEventId;
  }

  // Resolves when something has changed: a frame, or the end.
  #change() {
    return new Promise((resolve) => this.#wake.add(resolve));
  }

  async #waitFor(condition, what, ms) {
    const wait = async () => {
      while (!condition()) {
        if (this.problem) throw this.problem;
        if (this.closed) throw new Error(`the stream ended; expected ${what}; got ${this.summary()}`);
        await this.#change();
      }
    };
    await withDeadline(wait(), what, ms).catch((error) => {
      error.message += `; the stream had ${this.summary()}`;
      throw error;
    });
  }

  // The next event. With a type: it must be of that type.
  async next(type, ms) {
    await this.#waitFor(() => this.#taken < this.events.length, `the next event${type ? ` (${type})` : ''}`, ms);
    const event = this.events[this.#taken++];
    if (type) assert.equal(event.type, type, `got ${JSON.stringify(event)}`);
    return event;
  }

  // Takes events until one satisfies `predicate`; returns all it took, that one last.
  async until(predicate, what = 'a certain event', ms) {
    const taken = [];
    for (;;) {
      await this.#waitFor(() => this.#taken < this.events.length, what, ms);
      const event = this.events[this.#taken++];
      taken.push(event);
      if (predicate(event)) return taken;
    }
  }

  async take(count) {
    const events = [];
    while (events.length < count) events.push(await this.next());
    return events;
  }

  // The next `closing` event, which must be the last, and the end of the connection.
  async closing(reason) {
    const taken = await this.until((event) => event.type === 'closing', `closing ${reason}`);
    const closing = taken.at(-1);
    assert.equal(closing.reason, reason);
    await this.end();
    assert.equal(this.#taken, this.events.length, `something came after closing: ${this.summary()}`);
    return closing;
  }

  // Waits for an id-only frame; returns the first of those that came after `fromFrame`.
  async heartbeat(fromFrame = this.frames.length) {
    const find = () => this.frames.slice(fromFrame).find((frame) => frame.data === undefined);
    await this.#waitFor(find, 'a heartbeat');
    return find();
  }

  // Waits until the server has closed the connection.
  async end(ms) {
    await this.#waitFor(() => this.closed, 'the end of the stream', ms);
  }

  // Throws the connection away abruptly, by a reset. (Node cannot reset a socket that it has begun to shut down.)
  cut() {
    const { socket } = this.#request;
    if (socket?.writable) socket.resetAndDestroy();
    this.#request.destroy();
  }

  summary() {
    const last = this.events.slice(-8).map((event) => event.type);
    return `${this.events.length} events, ending ${JSON.stringify(last)}${this.closed ? ', closed' : ''}`;
  }
}
