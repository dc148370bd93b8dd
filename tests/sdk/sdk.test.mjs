// Clients that stock generators make from openapi.yaml: they compile under TypeScript's strict rules, and do the main things against the real server.
//
// What is generated and compiled is in a folder of its own, which goes with the test.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { uniqueName } from '../support/client.mjs';
import { md5Of } from '../support/media.mjs';
import { REPOSITORY, startServer } from '../support/server.mjs';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const OPENAPI = path.join(REPOSITORY, 'openapi.yaml');
const PACKAGES = path.join(REPOSITORY, 'tests', 'node_modules');

const TSCONFIG = {
  compilerOptions: {
    strict: true, noUncheckedIndexedAccess: true, target: 'ES2022', lib: ['ES2022', 'DOM', 'DOM.Iterable'], module: 'NodeNext', moduleResolution: 'NodeNext',
    types: [], outDir: 'built',
  },
};

const folder = mkdtempSync(path.join(tmpdir(), 'parley-sdk-'));
// The generator goes by the settings of the compiler only if it is told where they are.
const HEY_API = { input: OPENAPI, output: { path: 'hey-api', tsConfigPath: path.join(folder, 'tsconfig.json') }, logs: { level: 'error', file: false } };
after(() => rmSync(folder, { recursive: true, force: true }));
writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify(TSCONFIG));
writeFileSync(path.join(folder, 'openapi-ts.config.mjs'), `export default ${JSON.stringify(HEY_API)};`);
symlinkSync(PACKAGES, path.join(folder, 'node_modules'));

const GENERATORS = {
  'openapi-fetch': () => run('openapi-typescript/bin/cli.js', OPENAPI, '--output', 'openapi-fetch/schema.d.ts'),
  'hey-api': () => run('@hey-api/openapi-ts/bin/index.cjs'),
};

// A package's program, as npx would run it. What it says is shown if it fails.
function run(program, ...args) {
  try {
    execFileSync(process.execPath, [path.join(PACKAGES, program), ...args], { cwd: folder, stdio: 'pipe' });
  } catch ({ stdout, stderr }) {
    assert.fail(`${program}:\n${stdout}${stderr}`);
  }
}

for (const [name, generate] of Object.entries(GENERATORS)) {
  test(`${name} makes a client`, () => {
    generate();
    cpSync(path.join(HERE, `${name}.ts`), path.join(folder, `${name}.ts`));
  });
}

test('both compile, with what uses them, under --strict', () => run('typescript/bin/tsc'));

describe('the clients work', () => {
  let server;
  before(async () => {
    server = await startServer();
  });
  after(() => server.dispose());
  for (const name of Object.keys(GENERATORS)) {
    it(name, async () => {
      const program = await import(pathToFileURL(path.join(folder, 'built', `${name}.js`)));
      const names = ['alice', 'bob', 'stranger'].map((prefix) => uniqueName(prefix));
      assert.deepEqual(await program.run(server.origin, { md5: md5Of, names }), {
        first: 'Tea at four?',
        repeated: 'the same',
        history: ['Tea at four?', 'Or at five?', 'With cake.', ''],
        attachment: 'image/png',
        content: 'hardly a picture',
        reactions: [{ emoji: '👍', count: 1 }],
        heard: 'Tea at four?',
        refusals: ['username', 'not_found'],
      });
    });
  }
});
