// What operators see: health, metrics, the contract, the log, and settings that are refused.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { Client, createGroup, expectStatus, postMany, postMessage, register, registerMany } from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { REPOSITORY, readRoutes, startServer } from '../support/server.mjs';
import { eventually } from '../support/wait.mjs';

const server = await startServer();
after(() => server.dispose());
const anonymous = new Client(server);

test('/healthz is well', async () => {
  const answer = await anonymous.get('/healthz');
  assert.deepEqual(expectStatus(answer, 200), { status: 'ok' });
});

test('/readyz is ready when the server listens', async () => {
  expectStatus(await anonymous.get('/readyz'), 200);
});

test('/openapi.yaml is the contract of this repository', async () => {
  const answer = await anonymous.get('/openapi.yaml');
  expectStatus(answer, 200);
  assert.match(answer.headers['content-type'], /yaml/);
  assert.equal(answer.text, readFileSync(path.join(REPOSITORY, 'openapi.yaml'), 'utf8'));
  assert.match(answer.text, /^openapi: ['"]?3\.1/m);
});

test('the contract and the route table have the same routes', async () => {
  const routes = (await readRoutes()).map(({ method, path: route }) => `${method} ${route}`).sort();
  assert.deepEqual(contractRoutes(), routes);
  assert.equal(new Set(routes).size, routes.length);
});

// The operations under `paths:`, by their indentation; HEAD and OPTIONS come with the others.
function contractRoutes() {
  const lines = readFileSync(path.join(REPOSITORY, 'openapi.yaml'), 'utf8').split('\n');
  const found = [];
  let inPaths = false;
  let route = null;
  for (const line of lines) {
    if (/^\S/.test(line)) inPaths = line.startsWith('paths:');
    if (!inPaths) continue;
    const pathLine = /^ {2}['"]?(\/[^'":]*)['"]?:/.exec(line);
    if (pathLine) route = pathLine[1];
    const method = /^ {4}(get|post|put|patch|delete):/.exec(line);
    if (method) found.push(`${method[1].toUpperCase()} ${route}`);
  }
  return found.sort();
}

test('each route answers with the success status it names, to somebody who may', async () => {
  for (const { method, path: route, auth, status } of await readRoutes()) {
    assert.ok(['none', 'user', 'stream'].includes(auth), `${method} ${route} ${auth}`);
    assert.ok(status >= 200 && status < 400, `${method} ${route} ${status}`);
  }
});

// --- metrics

async function metrics() {
  const answer = await anonymous.get('/metrics');
  expectStatus(answer, 200);
  return parseMetrics(answer);
}

// {types: name -> type, samples: name{labels} -> number}, failing on any line that is not the format.
function parseMetrics({ text, headers }) {
  assert.match(headers['content-type'], /^text\/plain/);
  assert.ok(text.endsWith('\n'));
  const types = {};
  const samples = {};
  for (const line of text.trimEnd().split('\n')) {
    const type = /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge|histogram|summary|untyped)$/.exec(line);
    if (type) types[type[1]] = type[2];
    if (line === '' || line.startsWith('#')) continue;
    const sample = /^([a-zA-Z_:][\w:]*(?:\{[^}]*(?:\}[^}]*)*\})?) ([-+.\deInfNa]+)$/.exec(line);
    assert.ok(sample, `not a sample: ${line}`);
    assert.equal(samples[sample[1]], undefined, `twice: ${line}`);
    samples[sample[1]] = Number(sample[2].replace('Inf', 'Infinity'));
  }
  return { types, samples };
}

// The value of the one sample with this name and these labels, 0 when there is none.
function value(samples, name, labels = {}) {
  const found = Object.entries(samples).filter(([key]) => key.split('{')[0] === name
    && Object.entries(labels).every(([label, text]) => key.includes(`${label}="${text}"`)));
  return found.reduce((sum, [, number]) => sum + number, 0);
}

const PROMISED = {
  parley_http_requests_total: 'counter',
  parley_http_request_duration_seconds: 'histogram',
  parley_commits_total: 'counter',
  parley_commit_batch_size: 'histogram',
  parley_commit_duration_seconds: 'histogram',
  parley_streams_open: 'gauge',
  parley_events_delivered_total: 'counter',
  parley_stream_lag_positions: 'gauge',
  parley_writer_queue_length: 'gauge',
  process_resident_memory_bytes: 'gauge',
  process_open_fds: 'gauge',
  process_cpu_seconds_total: 'counter',
  process_start_time_seconds: 'gauge',
};

test('every promised metric is there, with its type', async () => {
  const alice = await register(server, 'alice');
  expectStatus(await alice.get('/v1/users/me'), 200);
  const { types, samples } = await metrics();
  for (const [name, type] of Object.entries(PROMISED)) {
    assert.equal(types[name], type, name);
    const suffix = type === 'histogram' ? '_count' : '';
    assert.ok(Object.keys(samples).some((key) => key.split('{')[0] === name + suffix), `${name} has no sample`);
  }
});

test('histograms add up', async () => {
  const { types, samples } = await metrics();
  const names = Object.keys(types).filter((name) => types[name] === 'histogram');
  for (const name of names) {
    for (const [key, count] of Object.entries(samples).filter(([sample]) => sample.startsWith(`${name}_count`))) {
      const labels = key.slice(`${name}_count`.length).replace(/[{}]/g, '');
      const buckets = Object.entries(samples).filter(([sample]) => sample.startsWith(`${name}_bucket{`) && sample.includes(labels));
      const counts = buckets.map(([, number]) => number);
      assert.ok(counts.length > 1, key);
      assert.ok(counts.every((number, i) => i === 0 || number >= counts[i - 1]), `${key}: ${counts}`);
      assert.match(buckets.at(-1)[0], /le="\+Inf"/);
      assert.equal(counts.at(-1), count, key);
    }
  }
});

test('requests are counted by route, method and status, not by path', async () => {
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  const route = (await readRoutes()).find(({ method, path: text }) => method === 'POST' && /chats\/\{[^}]*\}\/messages$/.test(text)).path;
  const labels = { route, method: 'POST', status: '201' };
  const before = value((await metrics()).samples, 'parley_http_requests_total', labels);
  await postMany(alice, chat, 5);
  const counted = async () => value((await metrics()).samples, 'parley_http_requests_total', labels) - before;
  await eventually(async () => (await counted()) === 5, '5 requests counted');
  const { samples } = await metrics();
  assert.ok(!Object.keys(samples).some((key) => key.includes(chat.id)), 'an id in a label grows without end');
});

test('made-up paths do not become labels', async () => {
  for (let i = 0; i < 5; i++) await anonymous.get(`/v1/made-up-${i}`);
  const { samples } = await metrics();
  assert.ok(!Object.keys(samples).some((key) => key.includes('made-up')));
});

test('commits, batches and delivered events are counted', async (t) => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const chat = await createGroup(alice, [bob]);
  const streams = [await openReadyFor(t, server, { token: bob.token }), await openReadyFor(t, server, { token: alice.token })];
  const before = (await metrics()).samples;
  await postMany(alice, chat, 4);
  for (const stream of streams) await stream.take(4);
  const grown = async (name) => value((await metrics()).samples, name) - value(before, name);
  assert.ok((await grown('parley_commits_total')) >= 1);
  assert.ok((await grown('parley_commit_batch_size_sum')) >= 4);
  await eventually(async () => (await grown('parley_events_delivered_total')) === 8, '8 events counted');
});

test('log lines have their fields and no secrets or texts', async () => {
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  await postMessage(alice, chat, 'not-for-the-log');
  const listening = server.stderr.find((line) => line.includes('event=listening'));
  assert.match(listening, /time=\S+ level=info event=listening\b/);
  assert.match(listening, new RegExp(`address=127\\.0\\.0\\.1:${server.port}\\b`));
  assert.match(listening, new RegExp(`url=http://127\\.0\\.0\\.1:${server.port}/`));
  const log = server.stderr.join('\n');
  assert.ok(!log.includes('not-for-the-log') && !log.includes(alice.token));
});
