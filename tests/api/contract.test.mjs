// What is the same for every operation of openapi.yaml: how it refuses what has nothing to do with its noun. A new operation is tried by its place in the document.
//
// That all tests keep to the document, and together show all of it, is the business of tests/support/contract.mjs and tests/contract/coverage.mjs.
import assert from 'node:assert/strict';
import { after, describe, it, test } from 'node:test';
import { operationsOf, readDocument } from '../contract/document.mjs';
import { Client, expectProblem, expectStatus, register, uniqueName, PASSWORD } from '../support/client.mjs';
import { rawRequest, requestBytes } from '../support/raw.mjs';
import { startServer, startServerFor } from '../support/server.mjs';

const STRANGER = 'https://evil.example.org';
const BEYOND_EVERY_LIMIT = '99999999999999';
const TRIES = 50;

const document = readDocument();
const operations = operationsOf(document);

const server = await startServer();
after(() => server.dispose());
const alice = await register(server, 'alice');
const anonymous = new Client(server);

const nameOf = ({ method, path }) => `${method} ${path}`;
const isWrite = ({ method }) => method !== 'GET';
const isForUsers = ({ schemes }) => schemes.length > 0;
const takesJson = ({ body }) => body !== null && 'application/json' in body.content;
const having = (status) => (operation) => operation.responses[status] !== undefined;

const exampleOf = (operation, name) => operation.parameters.find((parameter) => parameter.name === name)?.example;

// The path with the document's own examples for parameters.
function pathOf(operation, query = {}) {
  const path = operation.path.replace(/\{([^}]*)\}/g, (_, name) => encodeURIComponent(exampleOf(operation, name)));
  const required = operation.parameters.filter((parameter) => parameter.in === 'query' && parameter.required);
  const search = new URLSearchParams([...required.map((parameter) => [parameter.name, parameter.example]), ...Object.entries(query)]);
  return String(search) === '' ? path : `${path}?${search}`;
}

const bodyOf = (operation) => (takesJson(operation) ? {} : undefined);

test('every parameter of a path has an example', () => {
  const without = operations.flatMap((operation) => operation.names.filter((name) => exampleOf(operation, name) === undefined).map((name) => `${nameOf(operation)} ${name}`));
  assert.deepEqual(without, []);
});

describe('a query parameter that does not exist is refused', () => {
  for (const operation of operations) {
    it(nameOf(operation), async () => {
      expectProblem(await alice.request(operation.method, pathOf(operation, { colour: 'red' }), { body: bodyOf(operation) }), 400, 'bad_query', 'colour');
    });
  }
});

describe('without credentials the answer is 401', () => {
  for (const operation of operations.filter(isForUsers)) {
    it(nameOf(operation), async () => {
      expectProblem(await anonymous.request(operation.method, pathOf(operation), { body: bodyOf(operation) }), 401, 'unauthorized');
    });
  }
});

describe('a write by the cookie from a foreign page is refused', () => {
  let cookie;
  it('a session by the cookie', async () => {
    const answer = await anonymous.post('/v1/users', { username: uniqueName(), password: PASSWORD, cookie: true });
    expectStatus(answer, 201);
    [cookie] = answer.headers['set-cookie'][0].split(';');
  });
  for (const operation of operations.filter(isForUsers).filter(isWrite)) {
    it(nameOf(operation), async () => {
      const headers = { Cookie: cookie, Origin: STRANGER };
      expectProblem(await anonymous.request(operation.method, pathOf(operation), { body: bodyOf(operation), headers }), 403, 'csrf');
    });
  }
});

describe('a body that is not JSON is refused', () => {
  for (const operation of operations.filter(takesJson)) {
    it(nameOf(operation), async () => {
      const answer = await alice.request(operation.method, pathOf(operation), { raw: '{}', headers: { 'Content-Type': 'text/plain' } });
      expectProblem(answer, 415, 'unsupported_media_type', 'Content-Type');
    });
  }
});

describe('a body larger than any is refused before it is sent', () => {
  for (const operation of operations.filter(having(413))) {
    it(nameOf(operation), async () => {
      const headers = { Authorization: `Bearer ${alice.token}`, 'Content-Type': 'application/json', 'Content-Length': BEYOND_EVERY_LIMIT };
      const [answer] = await rawRequest(server.port, requestBytes(operation.method, pathOf(operation), headers));
      expectProblem(answer, 413, 'body_too_large');
    });
  }
});

test('each operation counts towards the limits, and says so', async (t) => {
  const limited = await startServerFor(t, { env: { PARLEY_RATE_LIMIT: 'on', PARLEY_RATE_ADDRESS: '1' } });
  for (const operation of operations.filter(having(429))) {
    expectProblem(await sendUntil(new Client(limited), operation, 429), 429, 'rate_limited');
  }
});

async function sendUntil(client, operation, status) {
  for (let i = 0; i < TRIES; i++) {
    const answer = await client.request(operation.method, pathOf(operation), { body: bodyOf(operation) });
    if (answer.status === status) return answer;
  }
  throw new Error(`${nameOf(operation)} was answered ${TRIES} times without ${status}`);
}
