// What bad input gets: a problem that names the field, nothing changed, and a server that lives on.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Client, createGroup, expectProblem, expectStatus, getChat, postMessage, register, registerMany } from '../support/client.mjs';
import { RawSocket, rawRequest, requestBytes } from '../support/raw.mjs';
import { readRoutes, startServer } from '../support/server.mjs';

const server = await startServer();
after(() => server.dispose());

const NOBODY = '9223372036854775807';
const MESSAGE_BODY_LIMIT = 1_300_000;
const OTHER_BODY_LIMIT = 64 * 1024;
const CHUNK_BYTES = 65_536;
const ENDLESS_BYTES = 256 * 1024 * 1024; // far more than the kernel holds for both ends of a connection

const anonymous = new Client(server);
const alice = await register(server, 'alice');
const chat = await createGroup(alice);
const message = await postMessage(alice, chat, 'untouched');
const messagesPath = `/v1/chats/${chat.id}/messages`;
const bearer = { Authorization: `Bearer ${alice.token}` };
const json = { ...bearer, 'Content-Type': 'application/json' };

const bytes = (...parts) => Buffer.concat(parts.map((part) => Buffer.from(part)));
const inText = (...codes) => bytes('{"text":"', codes, '"}');

const BAD_JSON = [
  ['nothing', ''],
  ['white space', '  \n'],
  ['half an object', '{"text":"x"'],
  ['a trailing comma', '{"text":"x",}'],
  ['single quotes', "{'text':'x'}"],
  ['a name without quotes', '{text:"x"}'],
  ['a comment', '{"text":"x"} // y'],
  ['a second value', '{"text":"x"} {"text":"y"}'],
  ['a closing brace too many', '{"text":"x"}}'],
  ['a NUL after the object', '{"text":"x"}\0'],
  ['a key twice', '{"text":"x","text":"x"}'],
  ['a key twice, once in escapes', '{"text":"x","te\\u0078t":"y"}'],
  ['NaN', '{"text":NaN}'],
  ['a number beyond every range', '{"text":1e99999}'],
  ['a NUL byte in a text', inText([0])],
  ['an escaped NUL', '{"text":"a\\u0000b"}'],
  ['an escaped NUL in a key', '{"te\\u0000xt":"x"}'],
  ['a raw line feed in a text', '{"text":"a\nb"}'],
  ['an unknown escape', '{"text":"\\x41"}'],
  ['half a unicode escape', '{"text":"\\u00"}'],
  ['a lone high surrogate', '{"text":"\\ud83d"}'],
  ['a lone low surrogate', '{"text":"\\ude00"}'],
  ['surrogates the wrong way round', '{"text":"\\ude00\\ud83d"}'],
  ['a byte that is no UTF-8', inText([0xff])],
  ['a cut UTF-8 character', inText([0xe2, 0x82])],
  ['a lone continuation byte', inText([0x80])],
  ['an overlong slash', inText([0xc0, 0xaf])],
  ['an overlong NUL', inText([0xc0, 0x80])],
  ['a surrogate in UTF-8', inText([0xed, 0xa0, 0x80])],
  ['a character beyond the last', inText([0xf4, 0x90, 0x80, 0x80])],
  ['broken UTF-8 in a key', bytes('{"te', [0xff], 'xt":"x"}')],
  ['deep nesting', '['.repeat(30_000)],
  ['deep nesting of objects', '{"a":'.repeat(10_000)],
  ['UTF-16', Buffer.from('{"text":"x"}', 'utf16le')],
];

for (const [what, raw] of BAD_JSON) {
  test(`a body of ${what} is bad JSON`, async () => {
    const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(raw) };
    expectProblem(await alice.post(messagesPath, undefined, { raw, headers }), 400, 'bad_json');
  });
}

for (const raw of ['[]', '"text"', '1', 'null', 'true', '[{"text":"x"}]']) {
  test(`a body of ${raw} is no object`, async () => {
    expectProblem(await alice.post(messagesPath, undefined, { raw }), 400, ['bad_json', 'bad_field']);
  });
}

// Every request with a body, as it should be: one more field, or a field of the wrong type, spoils it.
const REQUESTS_WITH_BODY = [
  ['POST', '/v1/users', { username: 'somebody', password: 'long enough' }],
  ['POST', '/v1/sessions', { username: alice.username, password: 'long enough' }],
  ['PATCH', '/v1/users/me', { display_name: 'x' }],
  ['PUT', '/v1/users/me/password', { current_password: 'x', new_password: 'long enough' }],
  ['POST', '/v1/chats', { type: 'group', title: 'x', member_ids: [] }],
  ['PATCH', `/v1/chats/${chat.id}`, { title: 'x' }],
  ['PUT', `/v1/chats/${chat.id}/members/${alice.id}`, { role: 'owner' }],
  ['POST', messagesPath, { text: 'x' }],
  ['PATCH', `${messagesPath}/${message.id}`, { text: 'x' }],
];

for (const [method, path, body] of REQUESTS_WITH_BODY) {
  const name = `${method} ${path.replace(/\d+/g, '{}')}`;

  test(`${name} refuses an unknown field`, async () => {
    for (const field of ['surprise', '', 'Text', '__proto__']) {
      const raw = JSON.stringify(body).replace(/}$/, `,${JSON.stringify(field)}:1}`);
      expectProblem(await alice.request(method, path, { raw }), 400, 'unknown_field', field);
    }
  });

  test(`${name} refuses each field with the wrong type`, async () => {
    for (const field of Object.keys(body)) {
      for (const value of [null, 7, true, {}, [[]]]) {
        expectProblem(await alice.request(method, path, { body: { ...body, [field]: value } }), 400, 'bad_field', field);
      }
    }
  });

  test(`${name} wants JSON and says so`, async () => {
    for (const type of [null, 'text/plain', 'application/x-www-form-urlencoded', 'application/jsonp', 'multipart/form-data; boundary=x']) {
      const answer = await alice.request(method, path, { body, headers: { 'Content-Type': type } });
      expectProblem(answer, 415, 'unsupported_media_type');
    }
  });

  test(`${name} refuses a query it does not know`, async () => {
    expectProblem(await alice.request(method, `${path}?surprise=1`, { body }), 400, 'bad_query', 'surprise');
  });
}

test('JSON may be announced with a charset and in any case', async () => {
  for (const type of ['application/json; charset=utf-8', 'Application/JSON', 'application/json;charset="UTF-8"']) {
    expectStatus(await alice.patch('/v1/users/me', { display_name: 'x' }, { headers: { 'Content-Type': type } }), 200);
  }
});

test('a field in the body of another request is still unknown', async () => {
  expectProblem(await alice.post(messagesPath, { text: 'x', member_ids: [] }), 400, 'unknown_field', 'member_ids');
});

const GETS = ['/v1/users/me', '/v1/devices', '/v1/chats', `/v1/chats/${chat.id}`, `/v1/chats/${chat.id}/members`, messagesPath, `${messagesPath}/${message.id}`, `/v1/users/${alice.id}`];

for (const path of GETS) {
  test(`GET ${path.replace(/\d+/g, '{}')} refuses a query it does not know`, async () => {
    expectProblem(await alice.get(`${path}?surprise=1`), 400, 'bad_query', 'surprise');
    expectProblem(await alice.get(`${path}?Limit=1`), 400, 'bad_query', 'Limit');
  });
}

for (const [path, most] of [['/v1/chats', 100], [`/v1/chats/${chat.id}/members`, 1000], [messagesPath, 100]]) {
  test(`the limit of ${path.replace(/\d+/g, '{}')} is a number from 1 to ${most}`, async () => {
    for (const limit of ['1', `${most}`]) expectStatus(await alice.get(`${path}?limit=${limit}`), 200);
    for (const limit of ['0', '-1', `${most + 1}`, '1.5', '1e1', 'x', '', '%00', '18446744073709551617', '4294967297']) {
      expectProblem(await alice.get(`${path}?limit=${limit}`), 400, 'bad_query', 'limit');
    }
    expectProblem(await alice.get(`${path}?limit=1&limit=2`), 400, 'bad_query', 'limit');
  });
}

const BAD_IDS = ['0', '01', '-1', '+1', '1.0', '1e3', 'abc', '9223372036854775808', '18446744073709551617', '99999999999999999999', '%31%00', '1%20', '%201', '0x1', '%D9%A1', '..', '%2e%2e'];

for (const id of BAD_IDS) {
  test(`an id ${id} in the path is not found`, async () => {
    for (const path of [`/v1/chats/${id}`, `/v1/users/${id}`, `/v1/chats/${id}/messages`, `${messagesPath}/${id}`]) {
      expectProblem({ ...(await rawGet(path)), path }, 404, 'not_found');
    }
    for (const path of [`/v1/devices/${id}`, `/v1/chats/${chat.id}/members/${id}`]) {
      const [removed] = await rawRequest(server.port, requestBytes('DELETE', path, bearer));
      expectProblem({ ...removed, path }, 404, 'not_found');
    }
  });
}

async function rawGet(path) {
  const [answer] = await rawRequest(server.port, requestBytes('GET', path, bearer));
  assert.ok(answer, `no answer to ${path}`);
  return answer;
}

const UNKNOWN_PATHS = ['/v1', '/v1/', '/v2/users/me', '/v1/nothing', '/V1/users/me', '/v1/users/me/', '/v1//users/me', '//v1/users/me', '/v1/users/me/password/x', '/favicon.ico', '/../etc/passwd', '/v1/%00'];

for (const path of UNKNOWN_PATHS) {
  test(`the path ${path} is not found`, async () => {
    expectProblem(await rawGet(path), 404, 'not_found');
  });
}

test("somebody else's chat looks exactly like one that does not exist", async () => {
  const bob = await register(server, 'bob');
  const requests = [
    ['GET', (id) => `/v1/chats/${id}`],
    ['PATCH', (id) => `/v1/chats/${id}`, { title: 'x' }],
    ['DELETE', (id) => `/v1/chats/${id}`],
    ['GET', (id) => `/v1/chats/${id}/members`],
    ['PUT', (id) => `/v1/chats/${id}/members/${bob.id}`, {}],
    ['DELETE', (id) => `/v1/chats/${id}/members/${bob.id}`],
    ['DELETE', (id) => `/v1/chats/${id}/members/${alice.id}`],
    ['GET', (id) => `/v1/chats/${id}/messages`],
    ['POST', (id) => `/v1/chats/${id}/messages`, { text: 'x' }],
    ['GET', (id) => `/v1/chats/${id}/messages/${message.id}`],
    ['PATCH', (id) => `/v1/chats/${id}/messages/${message.id}`, { text: 'x' }],
    ['DELETE', (id) => `/v1/chats/${id}/messages/${message.id}`],
  ];
  for (const [method, path, body] of requests) {
    const theirs = await bob.request(method, path(chat.id), { body });
    const nobodys = await bob.request(method, path(NOBODY), { body });
    expectProblem(theirs, 404, 'not_found');
    assert.deepEqual(comparable(theirs), comparable(nobodys), `${method} ${theirs.path}`);
  }
});

// Everything of an answer except what differs each time.
function comparable({ status, headers, body }) {
  const { date, 'x-request-id': id, ...rest } = headers;
  return { status, headers: rest, body: { ...body, request_id: '' } };
}

test('refusals do not tell whether a chat exists, whatever else is wrong', async () => {
  const bob = await register(server, 'bob');
  for (const body of [{ text: '' }, { surprise: 1 }, {}]) {
    const theirs = await bob.post(`/v1/chats/${chat.id}/messages`, body);
    const nobodys = await bob.post(`/v1/chats/${NOBODY}/messages`, body);
    assert.deepEqual(comparable(theirs), comparable(nobodys));
  }
});

test('every path refuses the methods it does not have, with Allow', async () => {
  const byPath = new Map();
  for (const { method, path } of await readRoutes()) byPath.set(path, [...(byPath.get(path) ?? []), method]);
  for (const [route, methods] of byPath) {
    const path = route.replace('{page}', 'docs').replace(/\{[^}]*\}/g, '1');
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].filter((name) => !methods.includes(name))) {
      const answer = await alice.request(method, path, method === 'GET' ? {} : { body: {} });
      expectProblem(answer, 405, 'method_not_allowed');
      const allowed = answer.headers.allow.split(/,\s*/);
      for (const name of methods) assert.ok(allowed.includes(name), `${method} ${route}: Allow: ${answer.headers.allow}`);
      assert.ok(!allowed.includes(method), `${method} ${route}: Allow: ${answer.headers.allow}`);
    }
  }
});

test('an unknown method is refused', async () => {
  for (const method of ['BREW', 'get', 'TRACE', 'CONNECT', 'PROPFIND']) {
    const [answer] = await rawRequest(server.port, requestBytes(method, '/v1/users/me', bearer));
    assert.ok(answer && [400, 405, 501].includes(answer.status), `${method}: ${answer?.statusLine}`);
  }
});

test('HEAD works where GET works, without a body', async () => {
  for (const path of ['/healthz', '/v1/users/me', '/v1/chats', messagesPath, '/openapi.yaml']) {
    const [head, get] = [await alice.request('HEAD', path), await alice.get(path)];
    assert.equal(head.status, 200, path);
    assert.equal(head.text, '');
    assert.equal(head.headers['content-type'], get.headers['content-type'], path);
  }
  assert.equal((await alice.request('HEAD', `/v1/chats/${NOBODY}`)).status, 404);
});

test('no token, a bad token and a token in the wrong place are a 401', async () => {
  for (const path of GETS) {
    expectProblem(await anonymous.get(path), 401, 'unauthorized');
    expectProblem(await anonymous.get(path, { token: 'x'.repeat(43) }), 401, 'unauthorized');
  }
  const inQuery = await anonymous.get(`/v1/users/me?access_token=${alice.token}`);
  assert.ok([400, 401].includes(inQuery.status));
});

test('who is not logged in learns nothing about what exists', async () => {
  const [exists, not] = [await anonymous.get(`/v1/chats/${chat.id}`), await anonymous.get(`/v1/chats/${NOBODY}`)];
  assert.deepEqual(comparable(exists), comparable(not));
});

// --- bodies that are too large

// Sends chunks until `enough()`, the connection is gone, or it is clear that there is no end; returns how many bytes.
async function sendChunks(raw, enough) {
  const chunk = `${CHUNK_BYTES.toString(16)}\r\n${' '.repeat(CHUNK_BYTES)}\r\n`;
  let sent = 0;
  while (!raw.socket.destroyed && !enough() && sent < ENDLESS_BYTES) {
    if (!(await raw.writeAll(chunk))) break;
    sent += CHUNK_BYTES;
    await new Promise(setImmediate); // so that an answer is noticed while there is still room to write
  }
  return sent;
}

for (const [what, path, limit] of [['a message', messagesPath, MESSAGE_BODY_LIMIT], ['any other body', '/v1/chats', OTHER_BODY_LIMIT]]) {
  test(`${what} announced as too large is refused before it is sent`, async (t) => {
    const raw = await RawSocket.connectFor(t, server.port);
    raw.write(requestBytes('POST', path, { ...json, 'Content-Length': limit * 2 }));
    const [answer] = await raw.responses(1);
    expectProblem(answer, 413, 'body_too_large');
  });

  test(`${what} announced as absurdly large is refused`, async () => {
    for (const length of ['9223372036854775807', '18446744073709551615', '99999999999999999999999']) {
      const [answer] = await rawRequest(server.port, requestBytes('POST', path, { ...json, 'Content-Length': length }));
      assert.ok(!answer || [400, 413].includes(answer.status), `${length}: ${answer?.statusLine}`);
    }
  });

  test(`${what} that grows too large in chunks is refused and not read further`, async (t) => {
    const raw = await RawSocket.connectFor(t, server.port);
    raw.write(requestBytes('POST', path, { ...json, 'Transfer-Encoding': 'chunked' }));
    const untilAnswer = await sendChunks(raw, () => raw.received.length > 0);
    const [answer] = await raw.responses(1);
    assert.ok(answer, `no answer after ${untilAnswer} bytes`);
    expectProblem(answer, 413, 'body_too_large');
    const afterwards = await sendChunks(raw, () => false);
    assert.ok(afterwards < ENDLESS_BYTES, 'the server takes whatever comes');
  });

  test(`${what} of just the limit is read`, async () => {
    const body = `{"text":"x","title":"x"${' '.repeat(limit - 50)}}`;
    const answer = await alice.post(path, undefined, { raw: body });
    expectProblem(answer, 400, ['unknown_field', 'missing_field']);
  });
}

test('a client that announces too large a body and waits is told before sending it', async (t) => {
  const raw = await RawSocket.connectFor(t, server.port);
  raw.write(requestBytes('POST', messagesPath, { ...json, Expect: '100-continue', 'Content-Length': 5_000_000 }));
  const [answer] = await raw.responses(1);
  expectProblem(answer, 413, 'body_too_large');
  assert.doesNotMatch(raw.text, /100 Continue/);
});

test('after a body too large the connection is closed or goes on with the next request', async (t) => {
  const raw = await RawSocket.connectFor(t, server.port);
  raw.write(requestBytes('POST', '/v1/chats', json, 'x'.repeat(OTHER_BODY_LIMIT * 2)));
  const [answer] = await raw.responses(1);
  expectProblem(answer, 413, 'body_too_large');
  raw.write(requestBytes('GET', '/healthz'));
  const answers = await raw.responses(2);
  assert.ok(raw.closed || answers[1].status === 200, raw.text);
});

// --- HTTP itself

test('after a refused request the connection serves the next', async (t) => {
  const raw = await RawSocket.connectFor(t, server.port);
  const requests = [
    [requestBytes('POST', messagesPath, json, '{"text":'), 400],
    [requestBytes('GET', '/v1/nothing'), 404],
    [requestBytes('DELETE', '/healthz'), 405],
    [requestBytes('GET', '/v1/users/me'), 401],
    [requestBytes('POST', messagesPath, { ...bearer, 'Content-Type': 'text/plain' }, 'hello'), 415],
    [requestBytes('GET', '/v1/users/me', bearer), 200],
  ];
  for (const [index, [request, status]] of requests.entries()) {
    raw.write(request);
    const answers = await raw.responses(index + 1);
    assert.equal(answers[index]?.status, status, raw.text);
  }
});

test('requests sent at once on one connection are answered in order', async (t) => {
  const raw = await RawSocket.connectFor(t, server.port);
  const paths = ['/healthz', '/v1/nothing', '/v1/users/me', '/v1/chats', '/healthz'];
  raw.write(Buffer.concat(paths.map((path) => requestBytes('GET', path, bearer))));
  const answers = await raw.responses(paths.length);
  assert.deepEqual(answers.map((answer) => answer.status), [200, 404, 200, 200, 200]);
});

test('writes sent at once on one connection happen in order', async (t) => {
  const own = await createGroup(alice);
  const raw = await RawSocket.connectFor(t, server.port);
  const texts = Array.from({ length: 8 }, (_, i) => `pipelined ${i}`);
  raw.write(Buffer.concat(texts.map((text) => requestBytes('POST', `/v1/chats/${own.id}/messages`, json, JSON.stringify({ text })))));
  const answers = await raw.responses(texts.length);
  assert.deepEqual(answers.map((answer) => answer.body.text), texts);
  assert.deepEqual(answers.map((answer) => answer.body.seq), texts.map((_, i) => i + 1));
});

const BROKEN_HTTP = [
  ['no HTTP at all', 'hello\r\n\r\n'],
  ['binary', Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 13, 10, 13, 10])],
  ['an unknown version', 'GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n'],
  ['no Host', 'GET /healthz HTTP/1.1\r\n\r\n'],
  ['a header without colon', 'GET /healthz HTTP/1.1\r\nHost: x\r\nbroken\r\n\r\n'],
  ['a NUL in a header', 'GET /v1/users/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bea\0rer x\r\n\r\n'],
  ['a negative length', 'POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n'],
  ['a length that is no number', 'POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n'],
  ['two lengths', 'POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x'],
  ['a length and chunks', 'POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n'],
  ['a folded length', 'POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n 2\r\n\r\n{}'],
  ['two hosts', 'GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n'],
  ['a chunk size that is no number', 'POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n'],
  ['a chunk size beyond every range', 'POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}\r\n0\r\n\r\n'],
  ['a path of 100 KB', `GET /${'x'.repeat(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`],
  ['a header of 100 KB', `GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(100_000)}\r\n\r\n`],
  ['5,000 headers', `GET /healthz HTTP/1.1\r\nHost: x\r\n${'X-A: 1\r\n'.repeat(5000)}\r\n`],
];

for (const [what, request] of BROKEN_HTTP) {
  test(`broken HTTP: ${what} is refused or cut off`, async () => {
    const answers = await rawRequest(server.port, request);
    for (const answer of answers) assert.ok(answer.status >= 400 && answer.status < 600, `${answer.statusLine} ${answer.text}`);
    expectStatus(await anonymous.get('/healthz'), 200);
  });
}

test('a request smuggled behind a length is not served', async () => {
  const inner = requestBytes('DELETE', '/v1/sessions/current', bearer).toString();
  const bob = await register(server, 'bob');
  const smuggled = inner.replace(alice.token, bob.token);
  const request = `POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`;
  await rawRequest(server.port, request, { count: 2, ms: 3000 }).catch(() => []);
  expectStatus(await bob.get('/v1/users/me'), 200);
});

test('every answer has its own request id', async () => {
  const answers = [await alice.get('/v1/users/me'), await anonymous.get('/v1/nothing'), await anonymous.get('/healthz'), await anonymous.get('/v1/chats')];
  const ids = answers.map((answer) => answer.headers['x-request-id']);
  assert.ok(ids.every(Boolean), JSON.stringify(ids));
  assert.equal(new Set(ids).size, ids.length);
});

test('answers are not stored by caches and not guessed at by browsers', async () => {
  const answer = await alice.get('/v1/users/me');
  assert.match(answer.headers['cache-control'] ?? '', /no-store/);
  assert.equal(answer.headers['x-content-type-options'], 'nosniff');
  assert.match(answer.headers['content-type'], /^application\/json/);
});

test('many broken requests at once leave the server as it was', async () => {
  const [carol] = await registerMany(server, 'carol');
  const storm = Array.from({ length: 60 }, (_, i) => rawRequest(server.port, BROKEN_HTTP[i % 6][1]).catch(() => []));
  await Promise.all([...storm, carol.get('/v1/users/me').then((answer) => expectStatus(answer, 200))]);
  expectStatus(await carol.get('/v1/chats'), 200);
});

test('nothing of all that has changed the chat', async () => {
  assert.equal((await getChat(alice, chat)).last_rev, message.rev);
  assert.deepEqual(expectStatus(await alice.get(`${messagesPath}/${message.id}`), 200), message);
});
