// The files that are part of the server: the browser client, the documentation, the contract.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { Client, expectProblem, expectStatus } from '../support/client.mjs';
import { REPOSITORY, startServer, startServerFor } from '../support/server.mjs';

const server = await startServer();
after(() => server.dispose());
const anonymous = new Client(server);

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.md': 'text/markdown; charset=utf-8',
  '.yaml': 'application/yaml',
  '.svg': 'image/svg+xml',
  '.webmanifest': 'application/manifest+json',
};

// What is served: {path, file}.
function* served(folder, prefix) {
  for (const name of readdirSync(path.join(REPOSITORY, folder))) {
    const file = path.join(folder, name);
    if (statSync(path.join(REPOSITORY, file)).isDirectory()) yield* served(file, `${prefix}${name}/`);
    else if (name === 'index.html') yield { path: prefix === '/' ? '/' : prefix.slice(0, -1), file };
    else yield { path: prefix + name, file };
  }
}
const GUIDES = readdirSync(path.join(REPOSITORY, 'docs')).filter((name) => name.endsWith('.md')).map((name) => ({ path: `/docs/${name}`, file: `docs/${name}` }));
const PAGES = [...served('web', '/'), ...served('docs/site', '/docs/'), ...GUIDES, { path: '/openapi.yaml', file: 'openapi.yaml' }];
const source = ({ file }) => readFileSync(path.join(REPOSITORY, file));

// The answer with its body as bytes.
function fetchBytes(target, { method = 'GET', headers = {} } = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port: server.port, method, path: target, headers }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, bytes: Buffer.concat(chunks) }));
    });
    request.on('error', reject);
    request.end();
  });
}

test('every file is served as it is, with its type', async () => {
  assert.ok(PAGES.length > 2);
  for (const page of PAGES) {
    expectStatus(await anonymous.get(page.path), 200);
    const { headers, bytes } = await fetchBytes(page.path);
    assert.ok(bytes.equals(source(page)), page.path);
    assert.equal(headers['content-encoding'], undefined);
    assert.equal(headers['content-length'], String(bytes.length));
    const type = TYPES[path.extname(page.file)];
    if (type) assert.equal(headers['content-type'], type, page.path);
  }
});

test('whoever takes gzip gets it, under another tag', async () => {
  for (const page of PAGES) {
    const plain = await fetchBytes(page.path);
    const { headers, bytes } = await fetchBytes(page.path, { headers: { 'Accept-Encoding': 'br, gzip;q=0.8' } });
    assert.match(headers.vary, /\bAccept-Encoding\b/);
    assert.equal(headers['content-length'], String(bytes.length));
    if (headers['content-encoding'] === undefined) continue;
    assert.equal(headers['content-encoding'], 'gzip');
    assert.ok(gunzipSync(bytes).equals(source(page)), page.path);
    assert.notEqual(headers.etag, plain.headers.etag);
  }
  const { headers } = await fetchBytes('/openapi.yaml', { headers: { 'Accept-Encoding': 'gzip' } });
  assert.equal(headers['content-encoding'], 'gzip');
  assert.ok(Number(headers['content-length']) < source(PAGES.at(-1)).length / 3);
});

test('what a client has already is not sent again', async () => {
  for (const encoding of ['identity', 'gzip']) {
    const headers = { 'Accept-Encoding': encoding };
    const first = await fetchBytes('/docs', { headers });
    assert.match(first.headers.etag, /^"[^"]+"$/);
    const second = await fetchBytes('/docs', { headers: { ...headers, 'If-None-Match': `"other", W/${first.headers.etag}` } });
    assert.equal(second.status, 304);
    assert.equal(second.bytes.length, 0);
    for (const name of ['etag', 'cache-control', 'vary']) assert.equal(second.headers[name], first.headers[name], name);
    const changed = await fetchBytes('/docs', { headers: { ...headers, 'If-None-Match': '"other"' } });
    assert.equal(changed.status, 200);
    expectStatus(await anonymous.get('/docs', { headers: { ...headers, 'If-None-Match': first.headers.etag } }), 304);
  }
});

test('HEAD says what GET would, and OPTIONS what there is', async () => {
  const get = await fetchBytes('/');
  const head = await fetchBytes('/', { method: 'HEAD' });
  assert.equal(head.bytes.length, 0);
  for (const name of ['etag', 'content-type', 'content-length']) assert.equal(head.headers[name], get.headers[name], name);
  const options = await fetchBytes('/docs', { method: 'OPTIONS' });
  assert.equal(options.status, 204);
  assert.equal(options.headers.allow, 'GET, HEAD, OPTIONS');
  expectProblem(await anonymous.post('/docs', {}), 405, 'method_not_allowed');
});

const directives = (policy) => Object.fromEntries(policy.split('; ').map((text) => [text.split(' ')[0], text.split(' ').slice(1)]));

test('browsers run nothing but what is in the files, and fetch nothing from elsewhere', async () => {
  for (const page of PAGES) {
    const { headers } = await fetchBytes(page.path);
    const policy = directives(headers['content-security-policy']);
    assert.deepEqual(policy['default-src'], ["'self'"]);
    for (const name of ['script-src', 'style-src']) assert.equal(policy[name], undefined, 'default-src is strict enough');
    assert.deepEqual(policy['frame-ancestors'], ["'none'"]);
    assert.deepEqual(policy['connect-src'], ["'self'"]);
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['referrer-policy'], 'no-referrer');
    assert.equal(headers['cache-control'], 'no-cache');
  }
  const markup = PAGES.filter(({ file }) => file.endsWith('.html')).map((page) => source(page).toString());
  for (const text of markup) {
    assert.doesNotMatch(text, /<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=/i, 'inline');
    assert.doesNotMatch(text, /(src|href)="(https?:)?\/\//i, 'from elsewhere');
  }
});

test('pages may fetch files from their storage', async (t) => {
  const env = {
    PARLEY_S3_ENDPOINT: 'http://s3.internal:9000',
    PARLEY_S3_PUBLIC_ENDPOINT: 'https://files.example.org',
    PARLEY_S3_BUCKET: 'chat',
    PARLEY_S3_STYLE: 'virtual',
    PARLEY_S3_ACCESS_KEY: 'key',
    PARLEY_S3_SECRET_KEY: 'secret',
  };
  const other = await startServerFor(t, { env });
  const { headers } = await new Client(other).get('/');
  const policy = directives(headers['content-security-policy']);
  assert.deepEqual(policy['connect-src'], ["'self'", 'https://chat.files.example.org']);
  for (const name of ['img-src', 'media-src']) assert.deepEqual(policy[name], ["'self'", 'blob:', 'https://chat.files.example.org']);
});

test('what is no file is no page', async () => {
  const paths = ['/nothing', '/index.html', '/docs/index.html', '/docs/nothing', '/v1', '/v1/nothing', '/v1/docs', '/../openapi.yaml', '/web/index.html', '//', '/docs//'];
  for (const target of paths) expectProblem(await anonymous.get(target), 404, 'not_found');
  expectProblem(await anonymous.post('/nothing', {}), 404, 'not_found');
});

test('PARLEY_WEB=off leaves the API and its documentation', async (t) => {
  const client = new Client(await startServerFor(t, { env: { PARLEY_WEB: 'off' } }));
  const { name, version, docs } = expectStatus(await client.get('/'), 200);
  for (const value of [name, version, docs]) assert.equal(typeof value, 'string');
  expectStatus(await client.get(docs), 200);
  expectStatus(await client.get('/openapi.yaml'), 200);
  for (const page of PAGES.filter(({ path: at, file }) => file.startsWith('web/') && at !== '/')) {
    expectProblem(await client.get(page.path), 404, 'not_found');
  }
});
