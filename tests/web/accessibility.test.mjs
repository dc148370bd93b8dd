// The client for everybody: axe-core finds nothing on its screens, and the main job is done by keyboard alone.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, test } from 'node:test';
import { startServer } from '../support/server.mjs';
import { PASSWORD, PHONE, Person, makeGroup, skip } from './support.mjs';

const server = await startServer();
after(() => server.dispose());

// It runs inside the page as its debugger, whom the page's policy does not concern.
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

async function checkScreen(person, screen) {
  await person.page.evaluate(AXE);
  const violations = await person.page.evaluate(async () => (await window.axe.run()).violations);
  const told = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' | ')}`);
  assert.deepEqual(told, [], screen);
}

async function checkScreens(options) {
  const alice = await Person.open(server, 'Alice', options);
  const bob = await Person.open(server, 'Bob', options);
  const { page } = alice;
  await page.getByRole('button', { name: 'Sign in' }).waitFor();
  await checkScreen(alice, 'signing in');
  await page.getByRole('button', { name: 'Create an account' }).click();
  await checkScreen(alice, 'registering');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await alice.register();
  await checkScreen(alice, 'no chats yet');
  await bob.register();
  await makeGroup(alice, 'A group', bob);
  await alice.write('A message');
  await alice.tick('A message', 'Sent');
  await checkScreen(alice, 'a conversation');
  await alice.message('A message').press('Enter');
  await page.getByRole('menuitem', { name: 'Reply', exact: true }).waitFor();
  await checkScreen(alice, 'the menu of a message');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'A group, details' }).click();
  await page.getByRole('complementary', { name: 'Details' }).waitFor();
  await checkScreen(alice, 'details of a group');
  await page.getByRole('button', { name: 'Close details' }).click();
  await page.evaluate(() => (location.hash = '#/settings'));
  const settings = page.getByRole('dialog', { name: 'Settings' });
  for (const tab of ['Profile', 'Privacy', 'Devices', 'Appearance', 'Notifications']) {
    await settings.getByRole('tab', { name: tab }).click();
    await checkScreen(alice, `settings, ${tab}`);
  }
  await page.keyboard.press('Escape');
  await bob.page.getByRole('list', { name: 'Chats' }).getByRole('link').first().waitFor();
  await checkScreen(bob, 'the list of chats');
  alice.checkQuiet();
  bob.checkQuiet();
}

test('axe-core finds nothing: desktop, light', { skip }, () => checkScreens({ colorScheme: 'light' }));
test('axe-core finds nothing: phone, dark', { skip }, () => checkScreens({ viewport: PHONE, colorScheme: 'dark' }));

// Tab until what has the focus is the thing of that role and name.
async function tabTo(page, role, name) {
  const wanted = page.getByRole(role, { name, exact: true });
  await wanted.first().waitFor();
  for (let i = 0; i < 60; i++) {
    if (await wanted.first().evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press('Tab');
  }
  assert.fail(`Tab does not lead to the ${role} ${name}`);
}

test('by keyboard alone: an account, a chat, a message, an answer to it', { skip }, async () => {
  const bob = await Person.open(server, 'Bob');
  await bob.register();
  const alice = await Person.open(server, 'Alice');
  const { page } = alice;
  const { keyboard } = page;
  await page.getByRole('button', { name: 'Create an account' }).waitFor();
  await tabTo(page, 'button', 'Create an account');
  await keyboard.press('Enter');
  for (const [name, text] of [['Your name', 'Alice'], ['Username', alice.username], ['Password', PASSWORD]]) {
    await tabTo(page, 'textbox', name);
    await keyboard.type(text);
  }
  await keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Chats' }).waitFor();
  await tabTo(page, 'button', 'New chat');
  await keyboard.press('Enter');
  await tabTo(page, 'textbox', 'Find somebody by username');
  await keyboard.type(bob.username);
  await keyboard.press('Enter');
  await page.getByRole('region', { name: 'Conversation with Bob' }).waitFor();
  await tabTo(page, 'textbox', 'Message');
  await keyboard.type('Hello Bob');
  await keyboard.press('Enter');
  await bob.open('Alice');
  await bob.message('Hello Bob').waitFor();
  await bob.write('Hello Alice');
  await alice.message('Hello Alice').waitFor();
  await alice.message('Hello Alice').focus();
  await keyboard.press('r');
  await tabTo(page, 'textbox', 'Message');
  await keyboard.type('How are you?');
  await keyboard.press('Enter');
  await bob.message('How are you?').getByRole('button', { name: 'In reply to Bob: Hello Alice' }).waitFor();
  alice.checkQuiet();
  bob.checkQuiet();
});
