// People who use the browser client: each in a browser of their own, finding things by the names in README.md.
import assert from 'node:assert/strict';
import { openBrowser } from '../support/browser.mjs';
import { PASSWORD, uniqueName } from '../support/client.mjs';

// Registers by the page and waits for the list of chats. What the page reports as an error fails the test when it ends.
export async function registerInBrowser(t, server, name, options = {}) {
  const context = await openBrowser(t, { viewport: { width: 1200, height: 780 }, ...options });
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  t.after(() => assert.deepEqual(errors, [], `${name}'s page`));
  const username = uniqueName(name.toLowerCase());
  await page.goto(`${server.origin}/`);
  await page.getByRole('button', { name: 'Create an account' }).click();
  await page.getByLabel('Your name').fill(name);
  await page.getByLabel('Username').fill(username);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Create an account' }).click();
  await page.getByRole('heading', { name: 'Chats' }).waitFor();
  return { context, page, username, name };
}

// Makes a group of these people and opens it with all of them.
export async function openGroup(owner, others, title) {
  const { page } = owner;
  await page.getByRole('button', { name: 'New chat' }).click();
  await page.getByRole('button', { name: 'New group' }).click();
  for (const { username, name } of others) {
    await page.getByLabel('Add somebody by username').fill(username);
    await page.getByRole('button', { name: 'Find' }).click();
    await page.getByRole('list', { name: 'People in the group' }).getByText(name).waitFor();
  }
  await page.getByLabel('Name', { exact: true }).fill(title);
  await page.getByRole('button', { name: 'Create group' }).click();
  await page.getByRole('textbox', { name: 'Message' }).waitFor();
  for (const other of others) {
    await other.page.getByRole('link', { name: new RegExp(title) }).click();
    await other.page.getByRole('textbox', { name: 'Message' }).waitFor();
  }
}

export async function say({ page }, text) {
  await page.getByRole('textbox', { name: 'Message' }).fill(text);
  await page.keyboard.press('Enter');
}

export function messageOf({ page }, text) {
  return page.getByRole('list', { name: 'Messages' }).getByRole('listitem').filter({ hasText: text }).last();
}

// Waits until exactly these texts are shown, in this order.
export async function expectTexts({ page }, wanted) {
  await page.waitForFunction((texts) => {
    const shown = [...document.querySelectorAll('.message-rows .text')].map((element) => element.textContent);
    return JSON.stringify(shown) === JSON.stringify(texts);
  }, wanted);
}

export async function chooseAction({ page }, row, action) {
  await row.hover();
  await row.getByRole('button', { name: 'Message actions' }).click();
  await page.getByRole('menuitem', { name: action }).click();
}
