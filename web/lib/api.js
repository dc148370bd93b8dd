// Requests to the server. The session is in a cookie that scripts cannot read; the browser adds it.
//
// `send` asks once. `call` repeats what may be repeated (everything but a POST without an idempotency key) after a lost connection, 429 and 503.

const REPEATS_MAX = 5;
const PAUSE_FIRST_MS = 400;
const PAUSE_MAX_MS = 15_000;
const REQUEST_TIMEOUT_MS = 30_000;

// What the server answered instead of what was wanted: RFC 9457, with `code` to decide by.
export class Problem extends Error {
  constructor(status, body, retryAfterMs) {
    super(body?.detail ?? `The server answered ${status}.`);
    this.status = status;
    this.code = body?.code ?? 'internal';
    this.title = body?.title ?? '';
    this.field = body?.field ?? null;
    this.retryAfterMs = retryAfterMs;
  }

  get mayPass() {
    return this.status === 429 || this.status >= 500;
  }
}

// No answer came: the server or the network is away.
export class Unreachable extends Error {
  constructor() {
    super('The server cannot be reached.');
    this.code = 'unreachable';
    this.retryAfterMs = null;
  }

  get mayPass() {
    return true;
  }
}

let whenUnauthorized = () => {};
// What to do when an answer says that the session is over.
export function onUnauthorized(action) {
  whenUnauthorized = action;
}

// Options: body, key (Idempotency-Key), signal, anonymous (a 401 is no end of a session).
export async function send(method, path, { body, key, signal, anonymous = false } = {}) {
  const response = await exchange(method, path, { body, key, signal });
  if (response.ok) return answerOf(response);
  const problem = await problemOf(response);
  if (problem.status === 401 && !anonymous) whenUnauthorized();
  throw problem;
}

// The same, repeated until it is answered; gives up after some tries.
export async function call(method, path, options = {}) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await send(method, path, options);
    } catch (error) {
      if (!error.mayPass || attempt > REPEATS_MAX || (method === 'POST' && !options.key)) throw error;
      await pause(pauseAfter(error, attempt), options.signal);
    }
  }
}

export const get = (path, options) => call('GET', path, options);
export const post = (path, body, options) => call('POST', path, { ...options, body });
export const put = (path, body, options) => call('PUT', path, { ...options, body });
export const patch = (path, body, options) => call('PATCH', path, { ...options, body });
export const remove = (path, options) => call('DELETE', path, options);

// All items of a list, page by page, up to `most` of them.
export async function getAll(path, most = 1000) {
  const items = [];
  let cursor = null;
  do {
    const page = await get(withQuery(path, { limit: 100, cursor }));
    items.push(...page.items);
    cursor = page.next;
  } while (cursor && items.length < most);
  return items;
}

export function withQuery(path, values) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== null && value !== undefined) query.set(name, value);
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

// How long to wait before try number `attempt` + 1: as the server says, else longer each time, never all clients at once.
export function pauseAfter(error, attempt) {
  if (error.retryAfterMs !== null && error.retryAfterMs !== undefined) return error.retryAfterMs + Math.random() * 300;
  return Math.min(PAUSE_MAX_MS, PAUSE_FIRST_MS * 2 ** (attempt - 1)) * (0.75 + Math.random() / 2);
}

export function pause(duration_ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, duration_ms);
    signal?.addEventListener('abort', () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });
}

async function exchange(method, path, { body, key, signal }) {
  const headers = {};
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (key) headers['Idempotency-Key'] = key;
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(), REQUEST_TIMEOUT_MS);
  signal?.addEventListener('abort', () => timeout.abort(), { once: true });
  try {
    return await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal: timeout.signal, cache: 'no-store' });
  } catch {
    if (signal?.aborted) throw signal.reason;
    throw new Unreachable();
  } finally {
    clearTimeout(timer);
  }
}

async function answerOf(response) {
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch {
    throw new Unreachable();
  }
}

async function problemOf(response) {
  const retry_s = Number(response.headers.get('Retry-After'));
  const body = await response.json().catch(() => null);
  return new Problem(response.status, body, retry_s > 0 ? retry_s * 1000 : null);
}
