// A real browser for tests: Chromium by playwright-core, one for each test process.
//
// Without Chromium or the package tests that use it are skipped, or fail when CI is set.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';

const CHROMIUM = process.env.PARLEY_CHROMIUM ?? '/usr/bin/chromium';
const ARGUMENTS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];
export const BROWSER_DEADLINE_MS = 30_000;

const { chromium } = await import('playwright-core').catch(() => ({}));
const missing = [!chromium && 'playwright-core', !existsSync(CHROMIUM) && CHROMIUM].filter(Boolean);
export const skip = missing.length > 0 && !process.env.CI ? `not installed: ${missing.join(', ')}` : false;

const profile = mkdtempSync(path.join(tmpdir(), 'parley-browser-'));
const launched = [];
// Promises, so that tests beside each other start one.
let browser = null;
let program = null;
after(async () => {
  for (const each of launched) await each.close();
  rmSync(profile, { recursive: true, force: true });
});

// No test of this module's own: when one ends while other modules are still on their way, the runner takes it for the last and runs what is to come after all.
async function launch() {
  assert.deepEqual(missing, [], 'not installed');
  const context = await chromium.launchPersistentContext(profile, { executablePath: CHROMIUM, args: ARGUMENTS, headless: true, ignoreHTTPSErrors: true });
  launched.push(context);
  return context;
}

async function launchProgram() {
  assert.deepEqual(missing, [], 'not installed');
  const started = await chromium.launch({ executablePath: CHROMIUM, args: [...ARGUMENTS, '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream'] });
  launched.push(started);
  return started;
}

// The browser of one person: it shares nothing with others. Options are those of Playwright's newContext().
export async function openBrowser(t, options = {}) {
  program ??= launchProgram();
  const context = await (await program).newContext(options);
  context.setDefaultTimeout(BROWSER_DEADLINE_MS);
  t.after(() => context.close());
  return context;
}

// A web site of its own, with one empty page.
export async function startSite(t) {
  const site = http.createServer((request, response) => {
    response.setHeader('Content-Type', 'text/html; charset=utf-8');
    response.end('<!doctype html><title>A page</title>');
  });
  await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    site.closeAllConnections();
    site.close();
  });
  return `http://127.0.0.1:${site.address().port}`;
}

export async function openPage(t, url) {
  browser ??= launch();
  const page = await (await browser).newPage();
  page.setDefaultTimeout(BROWSER_DEADLINE_MS);
  t.after(() => page.close());
  await page.goto(url);
  return page;
}
