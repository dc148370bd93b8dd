// The browser client does its main job, with two people in two browsers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { skip } from '../support/browser.mjs';
import { startServerFor } from '../support/server.mjs';
import { chooseAction, expectTexts, messageOf, openGroup, registerInBrowser, say } from './client.mjs';

async function startTwo(t, env = {}) {
  const server = await startServerFor(t, { env });
  const alice = await registerInBrowser(t, server, 'Alice');
  const bob = await registerInBrowser(t, server, 'Bob');
  return { server, alice, bob };
}

test('two people talk, see that it was read, react, edit and delete', { skip }, async (t) => {
  const { alice, bob } = await startTwo(t);
  await openGroup(alice, [bob], 'Harbour walk');
  await say(alice, 'Shall we walk at ten?');
  await expectTexts(bob, ['Shall we walk at ten?']);
  await messageOf(alice, 'at ten').getByRole('img', { name: 'Read' }).waitFor();

  await chooseAction(bob, messageOf(bob, 'at ten'), /React with ❤/);
  await alice.page.getByRole('button', { name: '❤️ 1' }).waitFor();
  await chooseAction(alice, messageOf(alice, 'at ten'), 'Edit');
  await say(alice, 'Shall we walk at eleven?');
  await expectTexts(bob, ['Shall we walk at eleven?']);
  await chooseAction(alice, messageOf(alice, 'at eleven'), 'Delete');
  await alice.page.getByRole('button', { name: 'Delete for everyone' }).click();
  await messageOf(bob, 'Message deleted').waitFor();
});

test('the server is killed and started: nothing is missing, nothing doubled, nothing reloaded', { skip }, async (t) => {
  const { server, alice, bob } = await startTwo(t, { PARLEY_STREAM_RETRY: '300ms' });
  await openGroup(alice, [bob], 'Harbour walk');
  await say(alice, 'before');
  await expectTexts(bob, ['before']);
  await bob.page.evaluate(() => { window.isSamePage = true; });

  await server.kill();
  await say(alice, 'while away 1');
  await say(alice, 'while away 2');
  await messageOf(alice, 'while away 2').getByRole('img', { name: 'Sending' }).waitFor();
  await server.restart();
  for (const who of [alice, bob]) await expectTexts(who, ['before', 'while away 1', 'while away 2']);
  assert.equal(await bob.page.evaluate(() => window.isSamePage), true);

  await server.kill();
  await say(alice, 'kept over a reload');
  await server.restart();
  await alice.page.reload();
  for (const who of [alice, bob]) await expectTexts(who, ['before', 'while away 1', 'while away 2', 'kept over a reload']);
});

test('a picture arrives, and what people write never becomes markup', { skip }, async (t) => {
  const { alice, bob } = await startTwo(t);
  await openGroup(alice, [bob], '<b>Bold</b>');
  const markup = '<img src=x onerror="window.isBroken = true"> & <script>window.isBroken = true</script>';
  await say(alice, markup);
  await expectTexts(bob, [markup]);
  const buffer = await alice.page.screenshot();
  await alice.page.setInputFiles('input[type=file]', { name: 'view.png', mimeType: 'image/png', buffer });
  await alice.page.getByRole('button', { name: 'Send' }).click();
  const photo = bob.page.getByRole('button', { name: 'Open photo view.png' });
  await photo.waitFor();
  await bob.page.waitForFunction(() => document.querySelector('.photo img').naturalWidth > 0);
  assert.equal(await bob.page.evaluate(() => window.isBroken), undefined);
});
