// A real browser: pages need fetch and EventSource and nothing else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BROWSER_DEADLINE_MS, openPage, skip, startSite } from '../support/browser.mjs';
import { PASSWORD, createGroup, expectStatus, postMessage, register, uniqueName } from '../support/client.mjs';
import { startServerFor } from '../support/server.mjs';
import { eventually } from '../support/wait.mjs';

// --- what runs inside the page

// Registers, takes a ticket and listens; the page keeps what it gets in window.got.
async function listenInPage({ server, username, password }) {
  const post = async (route, body, token) => {
    const headers = { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) };
    const answer = await fetch(server + route, { method: 'POST', headers, body: body && JSON.stringify(body) });
    return answer.json();
  };
  const account = await post('/v1/users', { username, password });
  const ticket = await post('/v1/events/ticket', undefined, account.access_token);
  window.got = { messages: [], opened: 0, errors: 0 };
  window.source = new EventSource(server + ticket.url);
  window.source.onopen = () => (window.got.opened += 1);
  window.source.onerror = () => (window.got.errors += 1);
  window.source.addEventListener('message.created', (event) => {
    window.got.messages.push({ id: event.lastEventId, text: JSON.parse(event.data).message.text });
  });
  await new Promise((resolve) => window.source.addEventListener('ready', resolve, { once: true }));
  return { id: account.user.id, token: account.access_token };
}

function callFromPage({ url, method, body, headers, credentials, mode }) {
  const all = { ...(body && { 'Content-Type': 'application/json' }), ...headers };
  return fetch(url, { method, headers: all, credentials, mode, body: body && JSON.stringify(body) })
    .then(async (answer) => ({ status: answer.status, body: await answer.json().catch(() => null) }))
    .catch((error) => ({ error: String(error) }));
}

const textsOf = async (page) => (await page.evaluate(() => window.got.messages)).map((message) => message.text);

async function untilTexts(page, wanted) {
  await eventually(async () => (await textsOf(page)).length >= wanted.length, `${wanted.length} messages in the page`, BROWSER_DEADLINE_MS);
  assert.deepEqual(await textsOf(page), wanted);
}

test('a page of another origin listens through a crash of the server and misses nothing', { skip }, async (t) => {
  const site = await startSite(t);
  const server = await startServerFor(t, { env: { PARLEY_CORS_ORIGINS: site, PARLEY_STREAM_RETRY: '500ms' } });
  const alice = await register(server, 'alice');
  const page = await openPage(t, site);
  const bob = await page.evaluate(listenInPage, { server: server.origin, username: uniqueName('bob'), password: PASSWORD });
  const chat = await createGroup(alice, [bob]);
  await postMessage(alice, chat, 'before the crash');
  await untilTexts(page, ['before the crash']);

  await server.kill();
  await eventually(() => page.evaluate(() => window.got.errors > 0), 'the page notices');
  await server.restart();
  await postMessage(alice, chat, 'meanwhile 1');
  await postMessage(alice, chat, 'meanwhile 2');
  await eventually(() => page.evaluate(() => window.got.opened >= 2), 'EventSource reconnects by itself', BROWSER_DEADLINE_MS);
  await postMessage(alice, chat, 'afterwards');
  await untilTexts(page, ['before the crash', 'meanwhile 1', 'meanwhile 2', 'afterwards']);
  assert.equal(await page.evaluate(() => window.source.readyState), 1);
});

test('a page of another origin posts and reads with a Bearer token', { skip }, async (t) => {
  const site = await startSite(t);
  const server = await startServerFor(t, { env: { PARLEY_CORS_ORIGINS: site } });
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  const page = await openPage(t, site);
  const headers = { Authorization: `Bearer ${alice.token}`, 'Idempotency-Key': 'from-the-page' };
  const url = `${server.origin}/v1/chats/${chat.id}/messages`;
  const posted = await page.evaluate(callFromPage, { url, method: 'POST', body: { text: 'from a page' }, headers });
  assert.equal(posted.status, 201, JSON.stringify(posted));
  const again = await page.evaluate(callFromPage, { url, method: 'POST', body: { text: 'from a page' }, headers });
  assert.equal(again.status, 200, JSON.stringify(again));
  const edited = await page.evaluate(callFromPage, { url: `${url}/${posted.body.id}`, method: 'PATCH', body: { text: 'edited' }, headers: { Authorization: headers.Authorization } });
  assert.equal(edited.status, 200, JSON.stringify(edited));
  const refused = await page.evaluate(callFromPage, { url, method: 'POST', body: { text: '' }, headers });
  assert.equal(refused.body.code, 'bad_field', 'the page can read why it was refused');
});

test('EventSource stops for good when its session has ended', { skip }, async (t) => {
  const site = await startSite(t);
  const server = await startServerFor(t, { env: { PARLEY_CORS_ORIGINS: site, PARLEY_STREAM_RETRY: '200ms' } });
  const page = await openPage(t, site);
  const bob = await page.evaluate(listenInPage, { server: server.origin, username: uniqueName('bob'), password: PASSWORD });
  const headers = { Authorization: `Bearer ${bob.token}` };
  const out = await page.evaluate(callFromPage, { url: `${server.origin}/v1/sessions/current`, method: 'DELETE', headers });
  assert.equal(out.status, 204, JSON.stringify(out));
  await eventually(() => page.evaluate(() => window.source.readyState === EventSource.CLOSED), 'it gives up', BROWSER_DEADLINE_MS);
});

test('a page of an origin that is not configured can do nothing', { skip }, async (t) => {
  const site = await startSite(t);
  const server = await startServerFor(t);
  const alice = await register(server, 'alice');
  const page = await openPage(t, site);
  const headers = { Authorization: `Bearer ${alice.token}` };
  const result = await page.evaluate(callFromPage, { url: `${server.origin}/v1/users/me`, method: 'GET', headers });
  assert.ok(result.error, JSON.stringify(result));
});

test('a page of the same origin lives by its cookie, and no other page can use it', { skip }, async (t) => {
  const site = await startSite(t);
  const server = await startServerFor(t);
  const alice = await register(server, 'alice');
  const page = await openPage(t, `${server.origin}/healthz`);
  const username = uniqueName('bob');
  const registered = await page.evaluate(callFromPage, { url: '/v1/users', method: 'POST', body: { username, password: PASSWORD, cookie: true } });
  assert.equal(registered.status, 201, JSON.stringify(registered));
  assert.equal(registered.body.access_token, null);
  assert.equal(await page.evaluate(() => document.cookie), '', 'scripts cannot read the cookie');

  await page.evaluate(listenByCookie);
  const chat = await createGroup(alice, [registered.body.user]);
  await postMessage(alice, chat, 'by cookie');
  await untilTexts(page, ['by cookie']);
  const url = `/v1/chats/${chat.id}/messages`;
  const posted = await page.evaluate(callFromPage, { url, method: 'POST', body: { text: 'mine' } });
  assert.equal(posted.status, 201, JSON.stringify(posted));
  await untilTexts(page, ['by cookie', 'mine']);

  await checkOtherPageIsRefused(t, { site, server, chat, alice });
  const out = await page.evaluate(callFromPage, { url: '/v1/sessions/current', method: 'DELETE' });
  assert.equal(out.status, 204, JSON.stringify(out));
  assert.equal((await page.evaluate(callFromPage, { url: '/v1/users/me', method: 'GET' })).status, 401);
});

function listenByCookie() {
  window.got = { messages: [] };
  window.source = new EventSource('/v1/events?named=0');
  return new Promise((resolve) => {
    window.source.onmessage = (event) => {
      const data = JSON.parse(event.data);
      if (data.type === 'ready') resolve();
      if (data.type === 'message.created') window.got.messages.push({ id: event.lastEventId, text: data.message.text });
    };
  });
}

// Another port of the same host is the same site, so the browser sends the cookie along; the server must refuse.
async function checkOtherPageIsRefused(t, { site, server, chat, alice }) {
  const evil = await openPage(t, site);
  const answered = evil.waitForResponse((response) => response.url().endsWith('/messages'));
  const target = `${server.origin}/v1/chats/${chat.id}/messages`;
  await evil.evaluate(({ url }) => fetch(url, { method: 'POST', mode: 'no-cors', credentials: 'include', body: '{"text":"forged"}' }).catch(() => null), { url: target });
  assert.ok([403, 415].includes((await answered).status()));
  await evil.evaluate(callFromPage, { url: target, method: 'POST', credentials: 'include', body: { text: 'forged' } });
  const { items } = expectStatus(await alice.get(`/v1/chats/${chat.id}/messages`), 200);
  assert.ok(items.every((message) => message.text !== 'forged'));
}
