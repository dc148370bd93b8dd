// Requests over kept-alive connections, and the patience of a good client:
// the same request again until the server has answered it.

import http from 'node:http';
import { isFromBalancer } from '../support/haproxy.mjs';
import { sleep } from './timing.mjs';

const ANSWER_DEADLINE_MS = 15_000;
const PATIENCE_MS = 45_000;
const AGAIN = new Set([429, 503]);
const NO_NODE = 'no node answered the balancer';

export class Http {
  constructor({ port, records, random }) {
    this.port = port;
    this.records = records;
    this.random = random;
    this.agent = new http.Agent({ keepAlive: true, maxSockets: 200 });
    this.collapse = () => {}; // the run is over: nobody knows us any more
    this.stopped = false;
  }

  close() {
    this.stopped = true;
    this.agent.destroy();
  }

  /** One request: {status, headers, body}; rejects when no whole answer came. */
  send({ method, path, token, body, headers = {} }) {
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const all = { ...headers };
    if (token) all.Authorization = `Bearer ${token}`;
    if (payload) {
      all['Content-Type'] = 'application/json';
      all['Content-Length'] = payload.length;
    }
    return new Promise((resolve, reject) => {
      const request = http.request({
        host: '127.0.0.1', port: this.port, agent: this.agent, method, path, headers: all,
        timeout: ANSWER_DEADLINE_MS,
      });
      request.on('timeout', () => request.destroy(new Error('no answer in time')));
      request.on('error', reject);
      request.on('response', (response) => readAnswer(response, resolve, reject));
      request.end(payload);
    });
  }

  /** One attempt as the records keep it. */
  async attempt(request) {
    const start = this.records.tick();
    try {
      const { status, headers, body } = await this.send(request);
      return {
        start, end: this.records.tick(), status, retryAfter: headers['retry-after'], node: headers['x-served-by'], body,
      };
    } catch (error) {
      return { start, end: this.records.tick(), status: null, error: error.code ?? error.message };
    }
  }

  /** Attempts until one is answered for good; they are added to
   *  `operation.attempts` as they end. `each(attempt)` is told of every one.
   *  Returns the last attempt. */
  async perform(operation, request, each = () => {}) {
    const deadline = Date.now() + PATIENCE_MS;
    operation.attempts ??= [];
    for (;;) {
      const attempt = await this.attempt(typeof request === 'function' ? request() : request);
      operation.attempts.push(attempt);
      each(attempt);
      if (attempt.status === 401) this.collapse(`${describe(request)} was answered 401`);
      if (attempt.status !== null && !AGAIN.has(attempt.status)) return attempt;
      if (this.stopped || Date.now() > deadline) return attempt;
      await sleep(this.pause(attempt));
    }
  }

  pause(attempt) {
    if (attempt.error === NO_NODE) return this.random.between(50, 200);
    if (attempt.status === null) return this.random.between(5, 40);
    return Math.min(1000, 1000 * (Number(attempt.retryAfter) || 0.05));
  }
}

function describe(request) {
  const { method, path } = typeof request === 'function' ? request() : request;
  return `${method} ${path}`;
}

function readAnswer(response, resolve, reject) {
  const chunks = [];
  response.on('data', (chunk) => chunks.push(chunk));
  response.on('error', reject);
  if (isFromBalancer(response.headers)) {
    response.resume();
    return reject(new Error(NO_NODE));
  }
  response.on('aborted', () => reject(new Error('the answer was cut off')));
  response.on('end', () => {
    const text = Buffer.concat(chunks).toString('utf8');
    let body;
    try {
      body = text === '' ? undefined : JSON.parse(text);
    } catch {
      return reject(new Error('the answer is not JSON'));
    }
    resolve({ status: response.statusCode, headers: response.headers, body });
  });
}
