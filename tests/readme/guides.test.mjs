// The guides in docs/ are true: what they show runs against a real server and prints what they say, and what they name exists.
//
// A block of code has a mark above it: `<!-- transcript -->` is run, after those before it and in the same shell; `<!-- file: NAME -->` is written to the
// folder first. The server that they speak to is one of the test's own.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { BINARY, REPOSITORY, startServerFor } from '../support/server.mjs';
import { checkTranscript, plainEnvironment } from './transcript.mjs';

const DOCS = path.join(REPOSITORY, 'docs');
const SERVER = 'http://127.0.0.1:8080';
const BLOCK = /^(?:<!-- (transcript|file: [\w.]+) -->\n)?```(\w*)\n(.*?)^```$/gms;

const documents = readdirSync(DOCS).filter((name) => name.endsWith('.md')).map((name) => {
  const text = readFileSync(path.join(DOCS, name), 'utf8');
  return { name, text, blocks: [...text.matchAll(BLOCK)].map(([, mark, language, code]) => ({ mark, language, code })) };
});

test('every block of code has a mark', () => {
  assert.ok(documents.length > 5);
  for (const { name, text, blocks } of documents) {
    assert.equal(blocks.length * 2, text.match(/^```/gm)?.length ?? 0, `${name}: blocks that are not understood`);
    for (const { mark, code } of blocks) assert.ok(mark, `${name}: no mark above\n${code}`);
  }
});

for (const { name, blocks } of documents.filter((document) => document.blocks.length > 0)) {
  test(`${name}: what it shows runs, and prints what it says`, async (t) => {
    const server = await startServerFor(t, { env: { PARLEY_RATE_LIMIT: 'on' } });
    const folder = mkdtempSync(path.join(tmpdir(), 'parley-guide-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    for (const { mark, code } of blocks) if (mark.startsWith('file: ')) writeFileSync(path.join(folder, mark.slice(6)), code);
    const script = blocks.filter(({ mark }) => mark === 'transcript').map(({ code }) => code.replaceAll(SERVER, server.origin)).join('\n');
    await checkTranscript(script, folder, { name, context: () => server.stderrTail() });
  });
}

test('the stream in JavaScript is as short as it is said to be', () => {
  const code = documents.find(({ name }) => name === 'streams.md').blocks.find(({ mark }) => mark === 'file: listen.mjs').code;
  const lines = code.split('\n').filter((line) => line !== '' && !line.startsWith('//'));
  assert.ok(lines.length <= 25, `${lines.length} lines`);
});

test('every document that a guide links to exists', () => {
  for (const { name, text } of documents) {
    for (const [, target] of text.matchAll(/\]\(([^)#:]+)\)/g)) assert.ok(existsSync(path.join(DOCS, target)), `${name}: ${target} does not exist`);
  }
});

test('settings that guides name exist, with the default that they state', () => {
  const { stdout } = spawnSync(BINARY, ['config'], { env: plainEnvironment(), encoding: 'utf8' });
  const defaults = new Map([...stdout.matchAll(/^(PARLEY_\w+) .*? default (\S+)/gm)].map(([, setting, value]) => [setting, value]));
  for (const { name, text } of documents) {
    for (const [setting] of text.matchAll(/PARLEY_[A-Z0-9_]+/g)) assert.ok(defaults.has(setting), `${name}: there is no ${setting}`);
    for (const [, setting, value] of text.matchAll(/^\| `(PARLEY_\w+)` \| `([^`]+)` \|/gm)) assert.equal(value, defaults.get(setting), `${name}: ${setting}`);
  }
});

test('problem codes that errors.md names exist, with that status', () => {
  const { text } = documents.find(({ name }) => name === 'errors.md');
  const contract = readFileSync(path.join(REPOSITORY, 'openapi.yaml'), 'utf8');
  const rows = [...text.matchAll(/^\| (\d{3})(.*?) \|/gm)];
  assert.ok(rows.length > 8);
  for (const [, status, cell] of rows) {
    for (const [, code] of cell.matchAll(/`(\w+)`/g)) assert.match(contract, new RegExp(`\\| ${status} \\| \`${code}\` \\|`), code);
  }
});

// Each row: what limits.md says, and the limit of the server that it is.
const FIXED = {
  'text of a message': ['LIMIT_TEXT_CHARACTERS', '100000', /100,000/],
  'body of a request': ['LIMIT_BODY_BYTES', '(64 * 1024)', /64 KiB/],
  'head of a request': ['LIMIT_HEAD_BYTES', '(8 * 1024)', /8 KiB/],
  'pins of a chat': ['LIMIT_PINS', '50', /50/],
  'invitation links': ['LIMIT_LINKS_PER_CHAT', '100', /100/],
  'scheduled messages': ['LIMIT_SCHEDULED', '100', /100/],
  'different reactions': ['LIMIT_REACTIONS', '20', /20/],
  'page of a list': ['LIMIT_PAGE_ITEMS', '100', /100/],
};

test('limits.md states the limits of the server', () => {
  const { text } = documents.find(({ name }) => name === 'limits.md');
  const header = readFileSync(path.join(REPOSITORY, 'core/limits.h'), 'utf8');
  for (const [row, [limit, value, shown]] of Object.entries(FIXED)) {
    const line = header.split('\n').find((each) => each.startsWith(`#define ${limit} `));
    assert.ok(line?.startsWith(`#define ${limit} ${value}`), `${limit} is not ${value} any more: ${line}`);
    assert.match(text.split('\n').find((each) => each.startsWith(`| ${row}`)) ?? '', shown, row);
  }
});
