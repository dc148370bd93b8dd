// curl, over HTTP/2 and TLS: what comes out of a proxy as one of its clients sees it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { parseJson } from './client.mjs';
import { EventStreamParser } from './event-stream.mjs';
import { withDeadline } from './wait.mjs';

// What curl says of an answer, on its standard error.
const REPORT = '%{stderr}{"status":%{http_code},"version":"%{http_version}","headers":%{header_json}}';

// One request to its end: {status, version, headers, bytes, text, body}. Options: method, token, headers, body (sent as JSON), file (sent as it is), from (the address on loopback).
export async function curl(proxy, route, options = {}) {
  const args = ['-s', '-w', REPORT, ...argumentsOf(proxy, options), urlOf(proxy, route)];
  const child = spawn('curl', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const [output, report] = [[], []];
  child.stdout.on('data', (chunk) => output.push(chunk));
  child.stderr.on('data', (chunk) => report.push(chunk));
  const code = await withDeadline(new Promise((resolve) => child.once('close', resolve)), `curl ${route}`);
  assert.equal(code, 0, `curl ${args.join(' ')}: exit status ${code}`);
  return parseAnswer(parseJson(Buffer.concat(report).toString('utf8')), Buffer.concat(output));
}

const urlOf = (proxy, route) => (route.startsWith('http') ? route : proxy.origin + route);

function argumentsOf(proxy, { method, token, headers = {}, body, file, from }) {
  const all = { ...(token && { Authorization: `Bearer ${token}` }), ...(body !== undefined && { 'Content-Type': 'application/json' }), ...headers };
  return [
    '--http2', '--cacert', proxy.certificate,
    ...(method ? ['-X', method] : []),
    ...(from ? ['--interface', from] : []),
    ...(body !== undefined ? ['--data-binary', JSON.stringify(body)] : []),
    ...(file ? ['-T', file] : []),
    ...Object.entries(all).flatMap(([name, value]) => ['-H', `${name}: ${value}`]),
  ];
}

function parseAnswer({ status, version, headers: lists }, bytes) {
  const headers = Object.fromEntries(Object.entries(lists).map(([name, values]) => [name, values.at(-1)]));
  const text = bytes.toString('utf8');
  const body = /json/.test(headers['content-type'] ?? '') ? parseJson(text) : undefined;
  return { status, version, headers, bytes, text, body };
}

// A stream. frames: each as EventStreamParser makes it, with at_ms, when its last byte came.
export class CurlStream {
  frames = [];
  closed = false;
  #taken = 0;
  #wake = new Set();
  #parser = new EventStreamParser((frame) => this.frames.push({ ...frame, at_ms: Date.now() }));

  constructor(proxy, options) {
    const { lastEventId, ...others } = options;
    const headers = { Accept: 'text/event-stream', ...(lastEventId && { 'Last-Event-ID': lastEventId }) };
    this.child = spawn('curl', ['-sN', ...argumentsOf(proxy, { ...others, headers }), urlOf(proxy, '/v1/events')], { stdio: ['ignore', 'pipe', 'ignore'] });
    this.child.stdout.on('data', (chunk) => {
      this.#parser.push(chunk);
      this.#changed();
    });
    this.child.once('close', () => {
      this.closed = true;
      this.#changed();
    });
  }

  #changed() {
    for (const wake of this.#wake) wake();
    this.#wake.clear();
  }

  get lastEventId() {
    return this.#parser.lastEventId;
  }

  // The next frame of that type, or without data where the type is null; others are passed over.
  next(type, ms) {
    const find = async () => {
      for (;;) {
        while (this.#taken < this.frames.length) {
          const frame = this.frames[this.#taken++];
          if (type === null ? frame.data === undefined : frame.event === type) return { ...frame, json: frame.data && parseJson(frame.data) };
        }
        if (this.closed) throw new Error(`the stream ended before ${type}`);
        await new Promise((resolve) => this.#wake.add(resolve));
      }
    };
    return withDeadline(find(), `${type} on the stream`, ms);
  }

  async end() {
    while (!this.closed) await withDeadline(new Promise((resolve) => this.#wake.add(resolve)), 'the end of the stream');
  }

  cut() {
    this.child.kill('SIGKILL');
  }
}

// A stream that has begun; cut when the test ends.
export async function openCurlStream(t, proxy, options) {
  const stream = new CurlStream(proxy, options);
  t.after(() => stream.cut());
  stream.ready = await stream.next('ready');
  return stream;
}
