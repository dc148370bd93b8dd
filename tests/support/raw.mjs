// HTTP as bytes on a socket, for requests that no client library would send.
import net from 'node:net';
import { parseJson } from './client.mjs';
import { holdExchange } from './contract.mjs';
import { DEADLINE_MS, withDeadline } from './wait.mjs';

export class RawSocket {
  received = Buffer.alloc(0);
  closed = false;
  #sent = '';
  #wake = new Set();

  static async connect(port) {
    const raw = new RawSocket();
    await withDeadline(raw.#connect(port), 'a connection');
    return raw;
  }

  static async connectFor(t, port) {
    const raw = await RawSocket.connect(port);
    t.after(() => raw.destroy());
    return raw;
  }

  #connect(port) {
    this.socket = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    this.socket.on('data', (chunk) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.#wakeAll();
    });
    for (const event of ['end', 'close', 'error']) {
      this.socket.on(event, () => {
        this.closed = true;
        this.#wakeAll();
      });
    }
    return new Promise((resolve, reject) => {
      this.socket.once('connect', resolve);
      this.socket.once('error', reject);
    });
  }

  #wakeAll() {
    for (const wake of this.#wake) wake();
    this.#wake.clear();
  }

  get text() {
    return this.received.toString('latin1');
  }

  write(bytes) {
    this.#sent ||= bytes.toString('latin1');
    this.socket.write(bytes);
  }

  // Resolves true once the kernel has taken the bytes, false when the connection is gone.
  writeAll(bytes) {
    return new Promise((resolve) => this.socket.write(bytes, (error) => resolve(!error)));
  }

  // Waits for `condition(this)`. Resolves false when the connection ended before it became true.
  async until(condition, what = 'the answer', ms = DEADLINE_MS) {
    const wait = async () => {
      while (!condition(this)) {
        if (this.closed) return condition(this);
        await new Promise((resolve) => this.#wake.add(resolve));
      }
      return true;
    };
    return withDeadline(wait(), what, ms);
  }

  // Waits until `count` whole answers are there, or the connection ends, and returns what there is.
  async responses(count = 1, ms = DEADLINE_MS) {
    await this.until(() => parseResponses(this.received).length >= count, `${count} answers`, ms);
    const responses = parseResponses(this.received);
    if (responses.length > 0) this.#holdFirst(responses[0]);
    return responses;
  }

  // Which request later answers are to is not known here.
  #holdFirst(response) {
    const line = /^([A-Z]+) (\/\S*) HTTP\/1\.[01]\r\n/.exec(this.#sent);
    if (line) holdExchange({ method: line[1], path: line[2], unread: true }, response);
  }

  async end(ms = DEADLINE_MS) {
    await this.until(() => this.closed, 'the end of the connection', ms);
  }

  destroy() {
    this.socket.destroy();
  }
}

// Sends bytes and reads until the server closes or `count` answers are there.
export async function rawRequest(port, bytes, { count = 1, ms } = {}) {
  const raw = await RawSocket.connect(port);
  try {
    raw.write(bytes);
    return await raw.responses(count, ms);
  } finally {
    raw.destroy();
  }
}

// A request as bytes. `body` gets a Content-Length unless the headers have their own framing.
export function requestBytes(method, target, headers = {}, body = '') {
  const names = Object.keys(headers).map((name) => name.toLowerCase());
  const framed = names.includes('content-length') || names.includes('transfer-encoding');
  const all = { Host: '127.0.0.1', ...headers };
  if (body.length > 0 && !framed) all['Content-Length'] = Buffer.byteLength(body);
  const head = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return Buffer.concat([Buffer.from(`${method} ${target} HTTP/1.1\r\n${head}\r\n`, 'latin1'), Buffer.from(body)]);
}

// The whole answers at the start of the bytes: [{status, headers, text, body}]. "100 Continue" is skipped.
export function parseResponses(buffer) {
  const responses = [];
  let rest = buffer;
  for (;;) {
    const parsed = parseOne(rest);
    if (!parsed) return responses;
    if (parsed.status !== 100) responses.push(parsed);
    rest = rest.subarray(parsed.length);
  }
}

function parseOne(buffer) {
  const headEnd = buffer.indexOf('\r\n\r\n');
  if (headEnd < 0) return null;
  const [statusLine, ...lines] = buffer.subarray(0, headEnd).toString('latin1').split('\r\n');
  const headers = parseHeaders(lines);
  const start = headEnd + 4;
  // The length that 304 states is that of the answer which it replaces (RFC 9110, 8.6).
  const hasBody = !/^HTTP\/1\.\d 304 /.test(statusLine);
  const length = start + (hasBody ? Number(headers['content-length'] ?? 0) : 0);
  if (buffer.length < length) return null;
  const text = buffer.subarray(start, length).toString('utf8');
  const isJson = /json/.test(headers['content-type'] ?? '') && headers['content-encoding'] === undefined;
  const body = isJson && text ? parseJson(text) : undefined;
  return { method: 'raw', path: '', statusLine, status: Number(statusLine.split(' ')[1]), headers, text, body, length };
}

function parseHeaders(lines) {
  const pairs = lines.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  return Object.fromEntries(pairs);
}
