// The documentation page: it shows the whole contract, with nothing but this server, and its requests are real.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { openPage, skip } from '../support/browser.mjs';
import { uniqueName } from '../support/client.mjs';
import { REPOSITORY, startServerFor } from '../support/server.mjs';

const CONTRACT = path.join(REPOSITORY, 'openapi.yaml');

// The page's own reader. Node takes a .js for a module only where a package.json says so, which the page has no use for.
const reader = readFileSync(path.join(REPOSITORY, 'docs/site/yaml.js'), 'utf8');
const { parseYaml } = await import(`data:text/javascript,${encodeURIComponent(reader)}`);

// What Debian's reader makes of it; words are booleans as YAML 1.2 has them.
const READ = `
import json, re, sys, yaml
class Loader(yaml.SafeLoader): pass
kept = lambda tag: tag not in ('tag:yaml.org,2002:bool', 'tag:yaml.org,2002:timestamp')
Loader.yaml_implicit_resolvers = {first: [pair for pair in pairs if kept(pair[0])] for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()}
Loader.add_implicit_resolver('tag:yaml.org,2002:bool', re.compile('^(true|false)$'), list('tf'))
print(json.dumps(yaml.load(open(sys.argv[1]), Loader=Loader)))
`;

test('the page reads the contract as others do', () => {
  const expected = JSON.parse(execFileSync('/usr/bin/python3', ['-c', READ, CONTRACT], { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 }));
  assert.deepEqual(parseYaml(readFileSync(CONTRACT, 'utf8')), expected);
});

const YAML = [
  ['a: 1\nb:\n- x\n- y: 2\n  z: [1, "two", {three: 3}]\n', { a: 1, b: ['x', { y: 2, z: [1, 'two', { three: 3 }] }] }],
  ['# first\na: |\n  one\n   two\n\n  three\nb: >-\n  one\n  two\n\n  three\n', { a: 'one\n two\n\nthree\n', b: 'one two\nthree' }],
  ["a: 'it''s'  # why\nb: \"\\u00e9\\n\"\n'c:d': null\ne: {f: , g: }\n", { a: "it's", b: 'é\n', 'c:d': null, e: { f: null, g: null } }],
  ['- - 1\n  - 2\n-\n  a: http://x:1/y\n', [[1, 2], { a: 'http://x:1/y' }]],
  ['a: some words\n  that go on\nb: {\n  c: [d,\n    e]\n  }\n', { a: 'some words that go on', b: { c: ['d', 'e'] } }],
];

test('YAML of all kinds is read', () => {
  for (const [text, expected] of YAML) assert.deepEqual(parseYaml(text), expected, text);
});

test('what the page cannot read is an error that names the line', () => {
  for (const text of ['a: &x 1\n', 'a: *x\n', 'a: !x 1\n', 'a: 1\na: 2\n', 'a: 1\n   b: 2\n', 'a: [1, 2\n', 'a: {b: 1\n']) {
    assert.throws(() => parseYaml(text), /^Error: line \d+: /, text);
  }
});

const contract = () => parseYaml(readFileSync(CONTRACT, 'utf8'));
const idOf = (method, route) => contract().paths[route][method].operationId;

// A page that has loaded, and what went wrong on it, requests to elsewhere included.
async function openDocs(t, server, hash = '') {
  const page = await openPage(t, 'about:blank');
  const wrong = [];
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && wrong.push(message.text()));
  page.on('pageerror', (error) => wrong.push(error.message));
  page.on('request', (request) => new URL(request.url()).origin !== server.origin && wrong.push(request.url()));
  await page.goto(`${server.origin}/docs${hash}`);
  await page.waitForSelector('.operation');
  return { page, wrong };
}

test('every operation and every problem code is on the page', { skip }, async (t) => {
  const server = await startServerFor(t);
  const { page, wrong } = await openDocs(t, server);
  const document = contract();
  const expected = Object.values(document.paths).flatMap((item) => Object.values(item).map((operation) => operation.operationId).filter(Boolean));
  const shown = await page.locator('.operation').evaluateAll((sections) => sections.map((section) => section.id));
  assert.deepEqual(shown.sort(), expected.sort());
  const codes = await page.locator('#problems td:nth-child(2)').allTextContents();
  assert.deepEqual(codes.sort(), [...document.components.schemas.Problem.properties.code.enum].sort());
  assert.deepEqual(wrong, []);
});

test('every guide is on the page, as a reader needs it', { skip }, async (t) => {
  const server = await startServerFor(t);
  const { page, wrong } = await openDocs(t, server, '#guide-streams');
  const files = readdirSync(path.join(REPOSITORY, 'docs')).filter((name) => name.endsWith('.md'));
  const guides = page.locator('section.guide');
  assert.deepEqual((await guides.evaluateAll((sections) => sections.map((section) => section.dataset.guide))).sort(), files.sort());
  for (const file of files) {
    await page.goto(`${server.origin}/docs#guide-${file.replace('.md', '')}`);
    const guide = page.locator(`section[data-guide="${file}"]`);
    await guide.locator('p').first().waitFor();
    const prose = await guide.locator('p, li, h2, h3, td').evaluateAll((nodes) => nodes.filter((node) => !node.querySelector('pre, code')).map((node) => node.textContent));
    for (const text of prose) assert.doesNotMatch(text, /<!--|\*\*|^#|\]\(|^```/m, file);
    const source = readFileSync(path.join(REPOSITORY, 'docs', file), 'utf8');
    assert.equal(await guide.locator('table').count(), source.match(/^\|[-:| ]+\|$/gm)?.length ?? 0, file);
    assert.ok((await guide.locator('pre').count()) >= (source.match(/^```\w/gm)?.length ?? 0), file);
  }
  assert.deepEqual(wrong, []);
});

test('all that opens can be opened', { skip }, async (t) => {
  const server = await startServerFor(t);
  const { page, wrong } = await openDocs(t, server);
  const opened = await page.evaluate(async () => {
    const tick = () => new Promise((resolve) => setTimeout(resolve));
    for (const tab of document.querySelectorAll('[role=tab]')) tab.click();
    let count = 0;
    for (let round = 0; round < 3; round++) {
      for (const details of document.querySelectorAll('.operation details:not([open])')) {
        details.open = true;
        count += 1;
      }
      await tick();
      await tick();
    }
    return count;
  });
  assert.ok(opened > 100, `${opened}`);
  assert.deepEqual(wrong, []);
});

test('requests can be tried out, with the token that registering answers', { skip }, async (t) => {
  const server = await startServerFor(t);
  const { page, wrong } = await openDocs(t, server, `#${idOf('post', '/v1/users')}`);
  const username = uniqueName('reader');
  const open = async (id) => {
    const form = page.locator(`#${id} form.try`);
    await page.locator(`#${id} > details > summary`, { hasText: 'Try it' }).click();
    await form.waitFor();
    return form;
  };
  const register = await open(idOf('post', '/v1/users'));
  await register.getByLabel('Body').fill(JSON.stringify({ username, password: 'correct horse battery' }));
  await register.getByRole('button', { name: 'Send' }).click();
  await register.locator('.status.good', { hasText: '201' }).waitFor();
  await register.locator('.note').waitFor();

  const me = await open(idOf('get', '/v1/users/me'));
  await me.getByRole('button', { name: 'Send' }).click();
  await me.locator('.status.good', { hasText: '200' }).waitFor();
  await me.locator('pre', { hasText: username }).waitFor();
  assert.match(await me.locator('pre').first().textContent(), /^curl '.*\/v1\/users\/me' -H 'Authorization: Bearer …'$/);

  const stream = await open(idOf('get', '/v1/events'));
  await stream.getByRole('button', { name: 'Send' }).click();
  await stream.locator('pre', { hasText: 'event: ready' }).waitFor();
  await stream.getByRole('button', { name: 'Stop' }).click();
  await stream.locator('.status', { hasText: 'Stopped' }).waitFor();
  assert.deepEqual(wrong, []);
});

test('the contents can be filtered and lead to the operation', { skip }, async (t) => {
  const server = await startServerFor(t);
  const { page } = await openDocs(t, server);
  await page.getByLabel('Filter operations').fill('pins put');
  const links = page.locator('#contents li:visible a');
  assert.equal(await links.count(), 1);
  await links.click();
  await page.waitForFunction(() => {
    const { top } = document.querySelector('.operation:target')?.getBoundingClientRect() ?? {};
    return top >= 0 && top < 200;
  });
});

test('nothing is wider than a phone', { skip }, async (t) => {
  const server = await startServerFor(t);
  const { page } = await openDocs(t, server);
  await page.setViewportSize({ width: 360, height: 740 });
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
  await page.getByRole('button', { name: 'Contents' }).click();
  await page.getByLabel('Filter operations').click();
});
