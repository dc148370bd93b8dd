// A small client of the API, and the users, chats and messages that tests need.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import { holdExchange } from './contract.mjs';
import { DEADLINE_MS } from './wait.mjs';

const TEXT_SHOWN = 2000;
export const PASSWORD = 'correct horse battery';

export class Client {
  constructor(server, token = null) {
    this.server = server;
    this.token = token;
  }

  // Options: body (sent as JSON), raw (sent as it is), headers, token (instead of the client's).
  request(method, path, options = {}) {
    const { body, raw, headers = {}, token = this.token } = options;
    const payload = raw ?? (body === undefined ? undefined : JSON.stringify(body));
    const allHeaders = {
      ...(token && { Authorization: `Bearer ${token}` }),
      ...(payload !== undefined && { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(payload) }),
      ...headers,
    };
    for (const name of Object.keys(allHeaders)) if (allHeaders[name] === null) delete allHeaders[name];
    return exchange(this.server, method, path, allHeaders, payload);
  }

  get(path, options) {
    return this.request('GET', path, options);
  }

  post(path, body, options) {
    return this.request('POST', path, { body, ...options });
  }

  put(path, body, options) {
    return this.request('PUT', path, { body, ...options });
  }

  patch(path, body, options) {
    return this.request('PATCH', path, { body, ...options });
  }

  delete(path, options) {
    return this.request('DELETE', path, options);
  }
}

function exchange(server, method, path, headers, payload) {
  const { port, agent } = server;
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port, agent, method, path, headers, timeout: DEADLINE_MS });
    request.on('response', (response) => {
      readAnswer({ method, path, headers, payload }, response).then(resolve, reject);
    });
    request.on('timeout', () => request.destroy(new Error(`no answer to ${method} ${path}`)));
    request.on('error', reject);
    request.end(payload);
  });
}

async function readAnswer(request, response) {
  const answer = parseResponse(request.method, request.path, response, await readBody(response));
  holdExchange(request, answer);
  return answer;
}

async function readBody(response) {
  const chunks = [];
  for await (const chunk of response) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

function parseResponse(method, path, response, text) {
  const isJson = /json/.test(response.headers['content-type'] ?? '');
  return {
    method,
    path,
    status: response.statusCode,
    headers: response.headers,
    text,
    body: isJson && text ? parseJson(text) : undefined,
  };
}

// JSON.parse, with an error that shows what was parsed.
export function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${error.message}: ${text.slice(0, TEXT_SHOWN)}`);
  }
}

// The answer's body, after checking its status.
export function expectStatus(response, ...allowed) {
  const { method, path, status, text } = response;
  assert.ok(allowed.includes(status), `${method} ${path}: ${status} instead of ${allowed}: ${text}`);
  return response.body;
}

// Checks everything a problem answer promises. `field` undefined: not looked at.
export function expectProblem(response, status, code, field) {
  const problem = expectStatus(response, status);
  const where = `${response.method} ${response.path}: ${response.text}`;
  assert.match(response.headers['content-type'] ?? '', /^application\/problem\+json/, where);
  assert.equal(problem.status, status, where);
  if (code !== undefined) assert.ok([code].flat().includes(problem.code), `expected ${code}: ${where}`);
  if (field !== undefined) assert.equal(problem.field, field, where);
  for (const member of ['type', 'title', 'code', 'detail', 'request_id']) assert.equal(typeof problem[member], 'string', `${member}: ${where}`);
  assert.equal(problem.request_id, response.headers['x-request-id'], where);
  expectProblemHeaders(response, status, where);
  return problem;
}

function expectProblemHeaders({ headers }, status, where) {
  if (status === 401) assert.match(headers['www-authenticate'] ?? '', /^Bearer/, where);
  if (status === 405) assert.ok(headers.allow, where);
  if (status === 429 || status === 503) assert.match(headers['retry-after'] ?? '', /^[1-9]\d*$/, where);
}

export function uniqueName(prefix = 'user') {
  return `${prefix}-${randomBytes(6).toString('hex')}`;
}

// A registered user: a Client with its user, device, username and password.
export async function register(server, prefix = 'user', fields = {}) {
  const anonymous = new Client(server);
  const username = uniqueName(prefix);
  const answer = await anonymous.post('/v1/users', { username, password: PASSWORD, ...fields });
  return signedIn(server, expectStatus(answer, 201), fields.password ?? PASSWORD);
}

// Another device of the same user.
export async function logIn(account, fields = {}) {
  const { server, username, password } = account;
  const answer = await new Client(server).post('/v1/sessions', { username, password, ...fields });
  return signedIn(server, expectStatus(answer, 201), password);
}

function signedIn(server, { access_token, user, device }, password) {
  const account = new Client(server, access_token);
  return Object.assign(account, { user, device, id: user.id, username: user.username, password });
}

export async function registerMany(server, ...prefixes) {
  return Promise.all(prefixes.map((prefix) => register(server, prefix)));
}

export async function createGroup(owner, members = [], fields = {}) {
  const body = { type: 'group', title: 'A group', member_ids: members.map((member) => member.id), ...fields };
  return expectStatus(await owner.post('/v1/chats', body), 201);
}

export async function createDirect(one, other) {
  const body = { type: 'direct', member_ids: [other.id] };
  return expectStatus(await one.post('/v1/chats', body), 201, 200);
}

export async function createChannel(owner, fields = {}) {
  return expectStatus(await owner.post('/v1/chats', { type: 'channel', title: 'A channel', ...fields }), 201);
}

// Follows a public channel; answers the follower as a member.
export async function follow(account, chat) {
  return expectStatus(await account.put(`/v1/chats/${chat.id}/members/${account.id}`, {}), 201);
}

export async function addMember(owner, chat, account, fields = {}) {
  const answer = await owner.put(`/v1/chats/${chat.id}/members/${account.id}`, fields);
  return expectStatus(answer, 201, 200);
}

export async function removeMember(actor, chat, account) {
  expectStatus(await actor.delete(`/v1/chats/${chat.id}/members/${account.id}`), 204);
}

// An invitation link, with its token.
export async function createLink(account, chat, fields = {}) {
  return expectStatus(await account.post(`/v1/chats/${chat.id}/links`, fields), 201);
}

// Posts and answers the message. `key` becomes the Idempotency-Key.
export async function postMessage(sender, chat, text, { key, ...fields } = {}) {
  const headers = key === undefined ? {} : { 'Idempotency-Key': key };
  return expectStatus(await sender.post(`/v1/chats/${chat.id}/messages`, { text, ...fields }, { headers }), 201);
}

// In a day, unless `fields` say otherwise.
export async function scheduleMessage(sender, chat, fields = {}) {
  const send_at = new Date(Date.now() + 24 * 3600 * 1000).toISOString();
  return expectStatus(await sender.post(`/v1/chats/${chat.id}/scheduled`, { text: 'later', send_at, ...fields }), 201);
}

export async function postMany(sender, chat, count, prefix = 'message') {
  const messages = [];
  for (let i = 1; i <= count; i++) messages.push(await postMessage(sender, chat, `${prefix} ${i}`));
  return messages;
}

// A chat without what is the reader's own of it.
export function sharedPart(chat) {
  const { read_seq, unread, mentioned, settings, draft, last_message, ...shared } = chat;
  return shared;
}

export async function getChat(reader, chat) {
  return sharedPart(await getOwnChat(reader, chat));
}

export async function getOwnChat(reader, chat) {
  return expectStatus(await reader.get(`/v1/chats/${chat.id}`), 200);
}

// {read_seq, unread, unread_total}.
export async function markRead(reader, chat, seq) {
  return expectStatus(await reader.put(`/v1/chats/${chat.id}/read`, { seq }), 200);
}

// One page: {items, next, as_of}.
export async function historyPage(reader, chat, query = {}) {
  const search = new URLSearchParams(query).toString();
  return expectStatus(await reader.get(`/v1/chats/${chat.id}/messages?${search}`), 200);
}

// The whole history the reader may see, oldest first.
export async function wholeHistory(reader, chat) {
  let page = await historyPage(reader, chat, { limit: 100 });
  let items = page.items;
  while (page.next !== null) {
    page = await historyPage(reader, chat, { limit: 100, before: page.next });
    items = [...page.items, ...items];
  }
  return items;
}
