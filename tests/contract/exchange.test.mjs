// That the checker notices: an exchange that is as the document says, and each way in which it is not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkEvent, checkExchange } from './exchange.mjs';

const SERVED = { 'content-type': 'application/json', 'x-request-id': '5f0c1d9a3b7e4c21', 'cache-control': 'no-store' };
const READ = { ...SERVED, etag: 'W/"5f0c1d9a3b7e4c21"' };
const PROBLEM = { ...SERVED, 'content-type': 'application/problem+json' };
const BLOCK = { user_id: '382230027682447360', blocked_at: '2026-11-21T01:31:07.614Z' };
const CONTACT = { user_id: '382230027682447360', name: 'Bobby', added_at: '2026-11-21T01:31:07.614Z' };
const NOT_FOUND = { type: 'about:blank', title: 'Not found', status: 404, code: 'not_found', detail: 'There is none.', request_id: '5f0c1d9a3b7e4c21' };

const answerOf = (status, body, headers = SERVED) => ({ status, headers, body, text: body === undefined ? '' : JSON.stringify(body) });
const requestOf = (method, path, body) => ({ method, path, headers: { 'Content-Type': 'application/json' }, payload: body && JSON.stringify(body) });

const wrongWith = (request, answer) => checkExchange(request, answer).wrong;
const assertWrong = (wrong, pattern) => assert.match(wrong.join('\n'), pattern);

const saving = requestOf('PUT', '/v1/contacts/382230027682447360', { name: 'Bobby' });
const blocking = requestOf('PUT', '/v1/blocks/382230027682447360');

test('what is as the document says is not wrong', () => {
  assert.deepEqual(wrongWith(saving, answerOf(201, CONTACT)), []);
  assert.deepEqual(wrongWith(blocking, answerOf(200, BLOCK)), []);
  assert.deepEqual(wrongWith(blocking, answerOf(404, NOT_FOUND, PROBLEM)), []);
  assert.deepEqual(wrongWith(requestOf('GET', '/v1/blocks?limit=10'), answerOf(200, { items: [BLOCK], next: null, as_of: '0' }, READ)), []);
  assert.deepEqual(wrongWith(requestOf('HEAD', '/v1/blocks'), answerOf(200, undefined, READ)), []);
});

const WRONG = [
  ['a status that is not declared', blocking, answerOf(202, BLOCK), /status 202 is not in the document/],
  ['a field that is missing', blocking, answerOf(200, { user_id: BLOCK.user_id }), /required property 'blocked_at'/],
  ['a field too many', blocking, answerOf(200, { ...BLOCK, reason: 'spam' }), /must NOT have unevaluated properties.*reason/],
  ['a field too many within a list', requestOf('GET', '/v1/blocks'), answerOf(200, { items: [{ ...BLOCK, x: 1 }], next: null, as_of: '0' }), /items\/0 must NOT have/],
  ['a value of another form', blocking, answerOf(200, { ...BLOCK, blocked_at: 'yesterday' }), /blocked_at must match/],
  ['a header that is missing', blocking, answerOf(200, BLOCK, { 'content-type': 'application/json' }), /header x-request-id is missing/],
  ['a header that is described elsewhere', blocking, answerOf(200, BLOCK, { ...SERVED, location: '/v1/blocks' }), /header location is not in the document/],
  ['another type of content', blocking, answerOf(200, BLOCK, { ...SERVED, 'content-type': 'text/html' }), /content of type "text\/html"/],
  ['a body where there is none', requestOf('DELETE', '/v1/blocks/1'), answerOf(204, BLOCK), /is not in the document for this answer/],
  ['a code that is not shown', blocking, answerOf(404, { ...NOT_FOUND, code: 'link_ended' }, PROBLEM), /shows not_found here, and not link_ended/],
  ['a problem of another status', blocking, answerOf(404, { ...NOT_FOUND, status: 410 }, PROBLEM), /the problem says 410/],
  ['a problem that is none', blocking, answerOf(404, { code: 'not_found' }, PROBLEM), /the problem: /],
  ['an accepted query parameter', { ...blocking, path: `${blocking.path}?colour=red` }, answerOf(200, BLOCK), /colour is accepted/],
  ['an accepted value of a query parameter', requestOf('GET', '/v1/blocks?limit=1000'), answerOf(200, { items: [], next: null, as_of: '0' }), /limit: the whole must be <= 100/],
  ['an accepted id', requestOf('PUT', '/v1/blocks/bob'), answerOf(200, BLOCK), /path parameter user_id/],
  ['an accepted body', requestOf('PUT', blocking.path, {}), answerOf(200, BLOCK), /a body is accepted/],
  ['an accepted field', requestOf('PUT', saving.path, { nickname: 'Bobby' }), answerOf(200, CONTACT), /the body of the request/],
  ['a body that was not sent', requestOf('PUT', saving.path), answerOf(200, CONTACT), /the body is required/],
  ['something at a path that does not exist', requestOf('POST', '/v2'), answerOf(200, {}), /that the document does not have/],
];

for (const [what, request, answer, pattern] of WRONG) {
  test(`the checker notices ${what}`, () => assertWrong(wrongWith(request, answer), pattern));
}

test('a refused request may be as wrong as it likes', () => {
  assert.deepEqual(wrongWith(requestOf('PUT', '/v1/blocks/bob', { any: 'thing' }), answerOf(404, NOT_FOUND, PROBLEM)), []);
});

test('the checker notices events that are not as the document says', () => {
  const event = { type: 'user.blocked', user_id: BLOCK.user_id };
  assert.deepEqual(checkEvent(event), []);
  assertWrong(checkEvent({ ...event, type: 'user.praised' }), /no event user.praised/);
  assertWrong(checkEvent({ ...event, reason: 'spam' }), /unevaluated/);
  assertWrong(checkEvent({ type: event.type }), /required property 'user_id'/);
});
