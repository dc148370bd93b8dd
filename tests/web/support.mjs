// People at the browser client: each has a browser of their own, and finds things by role and name (README.md).
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { afterEach } from 'node:test';
import { logIn, uniqueName } from '../support/client.mjs';

const CHROMIUM = process.env.PARLEY_CHROMIUM ?? '/usr/bin/chromium';
const ARGUMENTS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];
const DEADLINE_MS = 30_000;

const { chromium } = await import('playwright-core').catch(() => ({}));
const missing = [!chromium && 'playwright-core', !existsSync(CHROMIUM) && CHROMIUM].filter(Boolean);
export const skip = missing.length > 0 && !process.env.CI ? `not installed: ${missing.join(', ')}` : false;
export const DESKTOP = { width: 1200, height: 800 };
export const PHONE = { width: 390, height: 844 };
export const PASSWORD = 'a long and quiet river';

const browsers = [];
afterEach(() => Promise.all(browsers.splice(0).map((browser) => browser.close())));

// Somebody with a browser of their own. Whatever a page complains of fails the test that ends with `checkQuiet()`.
export class Person {
  complaints = [];

  static async open(server, name, { viewport = DESKTOP, colorScheme = 'light' } = {}) {
    assert.deepEqual(missing, [], 'not installed');
    const person = new Person();
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS });
    browsers.push(browser);
    person.context = await browser.newContext({ viewport, colorScheme, reducedMotion: 'reduce' });
    person.context.setDefaultTimeout(DEADLINE_MS);
    person.server = server;
    person.name = name;
    person.username = uniqueName(name.toLowerCase().replace(/[^a-z]/g, ''));
    person.page = await person.newTab();
    return person;
  }

  async newTab(hash = '') {
    const page = await this.context.newPage();
    page.on('pageerror', (error) => this.complaints.push(error.stack));
    page.on('console', (message) => this.hear(message));
    await page.goto(`${this.server.origin}/${hash}`);
    return page;
  }

  // Answers that are refused are the client's to handle; scripts and styles that are refused are its faults.
  hear(message) {
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) this.complaints.push(message.text());
  }

  async register() {
    const { page } = this;
    await page.getByRole('button', { name: 'Create an account' }).click();
    await page.getByRole('textbox', { name: 'Your name' }).fill(this.name);
    await page.getByRole('textbox', { name: 'Username' }).fill(this.username);
    await page.getByRole('textbox', { name: 'Password' }).fill(PASSWORD);
    await page.getByRole('button', { name: 'Create an account' }).click();
    await page.getByRole('heading', { name: 'Chats' }).waitFor();
  }

  // The same account in a script, on a device of its own.
  client() {
    return logIn({ server: this.server, username: this.username, password: PASSWORD });
  }

  async write(text, page = this.page) {
    await page.getByRole('textbox', { name: 'Message', exact: true }).fill(text);
    await page.getByRole('textbox', { name: 'Message', exact: true }).press('Enter');
  }

  // A message of the open chat, by what it says.
  message(text, page = this.page) {
    return page.getByRole('list', { name: 'Messages' }).getByRole('listitem').filter({ hasText: text });
  }

  async open(title, page = this.page) {
    await page.getByRole('list', { name: 'Chats' }).getByRole('link').filter({ hasText: title }).click();
    await page.getByRole('region', { name: `Conversation with ${title}` }).waitFor();
  }

  async choose(text, action) {
    await this.message(text).hover();
    await this.message(text).getByRole('button', { name: 'Message actions' }).click();
    await this.page.getByRole('menuitem', { name: action, exact: true }).click();
  }

  async tick(text, name) {
    await this.message(text).getByRole('img', { name, exact: true }).waitFor();
  }

  // What the open chat shows of these texts, in order.
  async shown(pattern, page = this.page) {
    const texts = await page.getByRole('list', { name: 'Messages' }).getByRole('listitem').allInnerTexts();
    return texts.flatMap((text) => text.match(pattern) ?? []);
  }

  async screenshot(file) {
    if (process.env.WEB_SCREENSHOTS) await this.page.screenshot({ path: `${process.env.WEB_SCREENSHOTS}/${file}.png` });
  }

  checkQuiet() {
    assert.deepEqual(this.complaints, [], `complaints of ${this.name}'s pages`);
  }
}

export async function makeGroup(owner, title, ...others) {
  const { page } = owner;
  await page.getByRole('button', { name: 'New chat' }).click();
  await page.getByRole('button', { name: 'New group' }).click();
  const dialog = page.getByRole('dialog', { name: 'New group' });
  for (const other of others) {
    await dialog.getByRole('textbox', { name: 'Add somebody by username' }).fill(other.username);
    await dialog.getByRole('button', { name: 'Find' }).click();
    await dialog.getByRole('list', { name: 'People in the group' }).getByText(other.name).waitFor();
  }
  await dialog.getByRole('textbox', { name: 'Name', exact: true }).fill(title);
  await dialog.getByRole('button', { name: 'Create group' }).click();
  await page.getByRole('region', { name: `Conversation with ${title}` }).waitFor();
}
