// What pages in a browser need: the cookie and its CSRF defence, and CORS.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Client, PASSWORD, createGroup, expectProblem, expectStatus, register, uniqueName } from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { startServer, startServerFor } from '../support/server.mjs';

const FRIEND = 'https://chat.example.org';
const STRANGER = 'https://evil.example.org';

const server = await startServer({ env: { PARLEY_CORS_ORIGINS: `${FRIEND},http://localhost:3000` } });
after(() => server.dispose());
const anonymous = new Client(server);

// Registers with `cookie: true`; answers the raw answer and the cookie as a browser would send it.
async function registerByCookie(target) {
  const body = { username: uniqueName(), password: PASSWORD, cookie: true };
  const answer = await new Client(target).post('/v1/users', body);
  expectStatus(answer, 201);
  const [setCookie] = answer.headers['set-cookie'];
  return { answer, setCookie, cookie: setCookie.split(';')[0], username: body.username };
}

function attributes(setCookie) {
  return setCookie.split(';').slice(1).map((part) => part.trim().toLowerCase()).sort();
}

// Renames the user by cookie from where `headers` say; answers the response.
function renameByCookie(session, headers) {
  return anonymous.patch('/v1/users/me', { display_name: 'Renamed' }, { headers: { Cookie: session.cookie, ...headers } });
}

test('with cookie: true the token is only in a cookie that scripts cannot read', async () => {
  const { answer, setCookie } = await registerByCookie(server);
  assert.equal(answer.body.access_token, null);
  assert.match(setCookie, /^parley_session=[A-Za-z0-9_-]{43};/);
  const found = attributes(setCookie);
  for (const wanted of ['httponly', 'path=/', 'samesite=lax']) assert.ok(found.includes(wanted), setCookie);
  assert.ok(!found.includes('secure'), 'not over plain http');
  assert.ok(!found.some((attribute) => attribute.startsWith('domain')), setCookie);
});

test('logging in gives the cookie as well', async () => {
  const alice = await register(server, 'alice');
  const answer = await anonymous.post('/v1/sessions', { username: alice.username, password: PASSWORD, cookie: true });
  assert.equal(expectStatus(answer, 201).access_token, null);
  assert.match(answer.headers['set-cookie'][0], /^parley_session=/);
});

test('the cookie is Secure when the public URL is https', async (t) => {
  const secure = await startServerFor(t, { env: { PARLEY_PUBLIC_URL: 'https://parley.example.org' } });
  const session = await registerByCookie(secure);
  assert.ok(attributes(session.setCookie).includes('secure'));
  const rename = (origin) => new Client(secure).patch('/v1/users/me', { display_name: 'x' }, { headers: { Cookie: session.cookie, Origin: origin } });
  expectStatus(await rename('https://parley.example.org'), 200);
  expectProblem(await rename('https://parley.example.org.evil.example'), 403, 'csrf');
});

test('the cookie authenticates reads and streams', async (t) => {
  const session = await registerByCookie(server);
  const headers = { Cookie: `other=1; ${session.cookie}; more=2` };
  const me = expectStatus(await anonymous.get('/v1/users/me', { headers }), 200);
  assert.equal(me.username, session.username);
  const stream = await openReadyFor(t, server, { headers });
  assert.equal(stream.ready.user_id, me.id);
});

test('the Authorization header wins over the cookie, even when it is wrong', async () => {
  const session = await registerByCookie(server);
  const bob = await register(server, 'bob');
  const headers = { Cookie: session.cookie };
  assert.equal(expectStatus(await bob.get('/v1/users/me', { headers }), 200).id, bob.id);
  expectProblem(await anonymous.get('/v1/users/me', { headers, token: 'A'.repeat(43) }), 401, 'unauthorized');
});

const ALLOWED_SOURCES = [
  ['the same origin', () => ({ Origin: server.origin })],
  ['the same host over https, behind a proxy', () => ({ Origin: server.origin.replace('http:', 'https:') })],
  ['a configured origin', () => ({ Origin: FRIEND })],
  ['no Origin but Sec-Fetch-Site same-origin', () => ({ 'Sec-Fetch-Site': 'same-origin' })],
];

for (const [what, headers] of ALLOWED_SOURCES) {
  test(`a write by cookie is allowed from ${what}`, async () => {
    expectStatus(await renameByCookie(await registerByCookie(server), headers()), 200);
  });
}

const FORBIDDEN_SOURCES = [
  ['nowhere said', () => ({})],
  ['another origin', () => ({ Origin: STRANGER })],
  ['the origin "null"', () => ({ Origin: 'null' })],
  ['an origin that begins like ours', () => ({ Origin: `${server.origin}.evil.example` })],
  ['an origin that begins like a configured one', () => ({ Origin: `${FRIEND}.evil.example` })],
  ['another port of the same host', () => ({ Origin: 'http://127.0.0.1:1' })],
  ['Sec-Fetch-Site cross-site', () => ({ 'Sec-Fetch-Site': 'cross-site' })],
  ['Sec-Fetch-Site same-site', () => ({ 'Sec-Fetch-Site': 'same-site' })],
  ['another origin that claims Sec-Fetch-Site same-origin', () => ({ Origin: STRANGER, 'Sec-Fetch-Site': 'same-origin' })],
];

for (const [what, headers] of FORBIDDEN_SOURCES) {
  test(`a write by cookie is refused from ${what}`, async () => {
    const session = await registerByCookie(server);
    expectProblem(await renameByCookie(session, headers()), 403, 'csrf');
    const me = expectStatus(await anonymous.get('/v1/users/me', { headers: { Cookie: session.cookie } }), 200);
    assert.equal(me.display_name, session.username);
  });
}

test('every unsafe method by cookie is defended', async () => {
  const session = await registerByCookie(server);
  const headers = { Cookie: session.cookie, Origin: STRANGER };
  const requests = [
    ['POST', '/v1/chats', { type: 'group', title: 'x', member_ids: [] }],
    ['POST', '/v1/events/ticket', undefined],
    ['PUT', '/v1/users/me/password', { current_password: PASSWORD, new_password: 'a new password' }],
    ['PATCH', '/v1/users/me', { display_name: 'x' }],
    ['DELETE', '/v1/sessions/current', undefined],
  ];
  for (const [method, path, body] of requests) {
    expectProblem(await anonymous.request(method, path, { body, headers }), 403, 'csrf');
  }
  expectStatus(await anonymous.get('/v1/users/me', { headers: { Cookie: session.cookie } }), 200);
});

test('a write with a Bearer token needs no Origin and may have any', async () => {
  const alice = await register(server, 'alice');
  expectStatus(await alice.patch('/v1/users/me', { display_name: 'x' }), 200);
  expectStatus(await alice.patch('/v1/users/me', { display_name: 'y' }, { headers: { Origin: STRANGER } }), 200);
});

test('logging out clears the cookie', async () => {
  const session = await registerByCookie(server);
  const headers = { Cookie: session.cookie, Origin: server.origin };
  const answer = await anonymous.delete('/v1/sessions/current', { headers });
  expectStatus(answer, 204);
  const [cleared] = answer.headers['set-cookie'];
  assert.match(cleared, /^parley_session=;/);
  assert.ok(attributes(cleared).includes('max-age=0') || /expires=thu, 01 jan 1970/i.test(cleared), cleared);
  assert.ok(attributes(cleared).includes('path=/'), 'only the same path replaces the cookie');
  expectProblem(await anonymous.get('/v1/users/me', { headers }), 401, 'unauthorized');
});

test('a preflight from a configured origin allows what clients send', async () => {
  const preflight = await anonymous.request('OPTIONS', '/v1/chats', {
    headers: {
      Origin: FRIEND,
      'Access-Control-Request-Method': 'POST',
      'Access-Control-Request-Headers': 'authorization,content-type,idempotency-key',
    },
  });
  expectStatus(preflight, 204);
  const { headers } = preflight;
  assert.equal(headers['access-control-allow-origin'], FRIEND);
  assert.match(headers.vary ?? '', /origin/i);
  const methods = headers['access-control-allow-methods'].split(/,\s*/);
  for (const method of ['GET', 'POST']) assert.ok(methods.includes(method), headers['access-control-allow-methods']);
  const allowed = headers['access-control-allow-headers'].toLowerCase().split(/,\s*/);
  for (const name of ['authorization', 'content-type', 'idempotency-key', 'last-event-id']) {
    assert.ok(allowed.includes(name), headers['access-control-allow-headers']);
  }
});

test('answers, errors and streams for a configured origin can be read by its page', async (t) => {
  const alice = await register(server, 'alice');
  const headers = { Origin: FRIEND };
  const good = await alice.get('/v1/users/me', { headers });
  const refused = await anonymous.get('/v1/users/me', { headers });
  const stream = await openReadyFor(t, server, { token: alice.token, headers });
  for (const answer of [good, refused, stream]) {
    assert.equal(answer.headers['access-control-allow-origin'], FRIEND, `status ${answer.status}`);
    assert.match(answer.headers.vary ?? '', /origin/i);
  }
  const exposed = (good.headers['access-control-expose-headers'] ?? '').toLowerCase().split(/,\s*/);
  for (const name of ['location', 'retry-after', 'x-request-id']) assert.ok(exposed.includes(name), name);
});

test('each configured origin is answered with itself', async () => {
  const answer = await anonymous.get('/healthz', { headers: { Origin: 'http://localhost:3000' } });
  assert.equal(answer.headers['access-control-allow-origin'], 'http://localhost:3000');
});

test('an origin that is not configured gets no permission', async () => {
  const alice = await register(server, 'alice');
  for (const origin of [STRANGER, 'null', `${FRIEND}.evil.example`, 'http://localhost:30000', 'https://localhost:3000']) {
    const headers = { Origin: origin, 'Access-Control-Request-Method': 'POST' };
    for (const answer of [await alice.get('/v1/users/me', { headers }), await anonymous.request('OPTIONS', '/v1/chats', { headers })]) {
      assert.equal(answer.headers['access-control-allow-origin'], undefined, origin);
    }
  }
});

test('OPTIONS names the methods of a path and needs no token', async () => {
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  const answer = await anonymous.request('OPTIONS', `/v1/chats/${chat.id}`);
  expectStatus(answer, 204);
  const methods = answer.headers.allow.split(/,\s*/);
  for (const method of ['GET', 'HEAD', 'PATCH', 'DELETE']) assert.ok(methods.includes(method), answer.headers.allow);
  assert.ok(!methods.includes('PUT'), answer.headers.allow);
  expectProblem(await anonymous.request('OPTIONS', '/v1/nothing'), 404, 'not_found');
});
