// Two people with a browser each, and what a messenger is used for.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Client, expectStatus, wholeHistory } from '../support/client.mjs';
import { startServer } from '../support/server.mjs';
import { eventually } from '../support/wait.mjs';
import { DESKTOP, PHONE, Person, makeGroup, skip } from './support.mjs';

const server = await startServer();
after(() => server.dispose());

const TABS = 10;

async function open(name, options) {
  const person = await Person.open(server, name, options);
  await person.register();
  return person;
}

// A picture that tells itself apart: 40 by 30 pixels, drawn by the page.
async function drawPicture(page) {
  const url = await page.evaluate(() => {
    const canvas = document.createElement('canvas');
    Object.assign(canvas, { width: 40, height: 30 });
    const context = canvas.getContext('2d');
    context.fillStyle = '#c03';
    context.fillRect(0, 0, 40, 30);
    return canvas.toDataURL('image/png');
  });
  return Buffer.from(url.split(',')[1], 'base64');
}

async function streamsOpen() {
  const { text } = await new Client(server).get('/metrics');
  return Number(/^parley_streams_open (\d+)$/m.exec(text)[1]);
}

test('two people: a group, messages and their ticks, an edit, a reaction, a reply, a picture, a deletion', { skip }, async () => {
  const alice = await open('Alice');
  const bob = await open('Bob');
  await makeGroup(alice, 'Hiking', bob);
  await alice.write('Shall we go on Sunday?');
  await bob.open('Hiking');
  await bob.message('Shall we go on Sunday?').waitFor();
  await alice.tick('Shall we go on Sunday?', 'Read');

  await bob.write('If it does not rian');
  await alice.message('If it does not rian').waitFor();
  await bob.choose('If it does not rian', 'Edit');
  await bob.write('If it does not rain');
  await alice.message('If it does not rain').getByText('edited').waitFor();

  await alice.choose('If it does not rain', 'React with 👍');
  await bob.message('If it does not rain').getByRole('button', { name: '👍 1' }).waitFor();
  await bob.choose('Shall we go on Sunday?', 'Reply');
  await bob.write('At nine?');
  await alice.message('At nine?').getByRole('button', { name: 'In reply to Alice: Shall we go on Sunday?' }).waitFor();

  const picture = await drawPicture(alice.page);
  await alice.page.locator('form input[type=file]').setInputFiles({ name: 'view.png', mimeType: 'image/png', buffer: picture });
  await alice.write('The view');
  const image = bob.message('The view').getByRole('button', { name: 'Open photo view.png' }).locator('img');
  await eventually(() => image.evaluate((element) => element.complete && element.naturalWidth === 40), 'the picture at the other side');
  await alice.screenshot('desktop-light');

  await alice.choose('The view', 'Delete');
  await alice.page.getByRole('button', { name: 'Delete for everyone' }).click();
  await bob.message('Message deleted').waitFor();
  assert.equal(await bob.message('The view').count(), 0);
  await bob.page.emulateMedia({ colorScheme: 'dark' });
  await bob.screenshot('desktop-dark');
  alice.checkQuiet();
  bob.checkQuiet();
});

test('markup in names and messages is text', { skip }, async () => {
  const alice = await open('<b>Eve</b>');
  const bob = await open('Bob');
  await makeGroup(alice, '<img src=x onerror=alert(1)>', bob);
  await alice.write('<script>document.title = "broken"</script> https://example.org/?a=<b>');
  await bob.open('<img src=x');
  await bob.message('<script>document.title = "broken"</script>').waitFor();
  assert.equal(await bob.page.locator('main img[src="x"], li b').count(), 0);
  alice.checkQuiet();
  bob.checkQuiet();
});

test('the server is killed and comes back: nothing missing, nothing doubled, no reload', { skip }, async () => {
  const alice = await open('Alice');
  const bob = await open('Bob');
  await makeGroup(alice, 'Through it all', bob);
  await bob.open('Through it all');
  for (const page of [alice.page, bob.page]) await page.evaluate(() => (window.isTheSamePage = true));
  const expected = [];
  const write = async (person) => {
    expected.push(`number ${expected.length + 1}.`);
    await person.write(expected.at(-1));
  };
  await write(alice);
  await write(alice);
  await bob.message('number 2.').waitFor();
  await server.kill();
  await write(alice); // it waits
  await alice.page.getByText('No connection.').waitFor();
  await server.restart();
  await alice.tick('number 3.', 'Read');
  await write(bob);
  await alice.message('number 4.').waitFor(); // else it is a race between the two
  await write(alice);
  for (const person of [alice, bob]) {
    await person.message('number 5.').waitFor();
    assert.deepEqual(await person.shown(/number \d+\./g), expected);
    assert.equal(await person.page.evaluate(() => window.isTheSamePage), true);
  }
  const { items } = expectStatus(await (await alice.client()).get('/v1/chats'), 200);
  assert.equal(items.find(({ title }) => title === 'Through it all').last_seq, expected.length);
});

test(`${TABS} tabs: one stream, and each shows everything`, { skip }, async () => {
  const alice = await open('Alice');
  const bob = await open('Bob');
  await makeGroup(alice, 'Everywhere', bob);
  // Those of browsers before may not have ended yet.
  await eventually(async () => (await streamsOpen()) === 2, 'a stream for each of them');
  const before = 2;
  const tabs = [];
  while (tabs.length < TABS) tabs.push(await bob.newTab());
  for (const tab of tabs) await bob.open('Everywhere', tab);
  await alice.write('to all of you');
  for (const tab of tabs) await bob.message('to all of you', tab).waitFor();
  await eventually(async () => (await streamsOpen()) === before, 'one stream for all of them');
  await bob.write('from the last tab', tabs.at(-1));
  await alice.message('from the last tab').waitFor();
  for (const tab of tabs) await bob.message('from the last tab', tab).waitFor();
  await bob.page.close();
  await alice.write('without the first');
  for (const tab of tabs) await bob.message('without the first', tab).waitFor();
  await eventually(async () => (await streamsOpen()) === before, 'one stream again');
  bob.checkQuiet();
});

test('on a phone: the list, a chat, and back', { skip }, async () => {
  const alice = await open('Alice', { viewport: PHONE, colorScheme: 'dark' });
  const bob = await open('Bob');
  await makeGroup(bob, 'On the way', alice);
  await bob.write('Where are you?');
  const entry = alice.page.getByRole('list', { name: 'Chats' }).getByRole('link').filter({ hasText: 'On the way' });
  await entry.getByText('Where are you?').waitFor();
  await entry.getByText('1 unread').waitFor();
  await alice.screenshot('phone-list-dark');
  await alice.open('On the way');
  await alice.write('Nearly there');
  await bob.message('Nearly there').waitFor();
  await alice.tick('Nearly there', 'Read');
  await alice.screenshot('phone-chat-dark');
  const { scrollWidth, innerWidth } = await alice.page.evaluate(() => ({ scrollWidth: document.documentElement.scrollWidth, innerWidth }));
  assert.ok(scrollWidth <= innerWidth, 'nothing is wider than the phone');
  await alice.page.getByRole('button', { name: 'Back to chats' }).click();
  await entry.getByText('Nearly there').waitFor();
  await entry.getByText('1 unread').waitFor({ state: 'detached' });
  alice.checkQuiet();
});

test('what was typed and not sent is there on another device', { skip }, async () => {
  const alice = await open('Alice');
  const bob = await open('Bob');
  await makeGroup(alice, 'Drafts', bob);
  await alice.page.getByRole('textbox', { name: 'Message', exact: true }).fill('half a thou');
  const client = await alice.client();
  await eventually(async () => {
    const { items } = expectStatus(await client.get('/v1/chats'), 200);
    return items.some(({ draft }) => draft === 'half a thou');
  }, 'the draft at the server');
  const reopened = await alice.newTab();
  await alice.open('Drafts', reopened);
  await eventually(async () => (await reopened.getByRole('textbox', { name: 'Message', exact: true }).inputValue()) === 'half a thou', 'the draft');
});

test('a long history scrolls back to its beginning, in a page that stays small', { skip }, async () => {
  const count = Number(process.env.WEB_HISTORY ?? 1500);
  const alice = await open('Alice', { viewport: DESKTOP });
  const bob = await open('Bob');
  await makeGroup(alice, 'Long', bob);
  const client = await bob.client();
  const chat = expectStatus(await client.get('/v1/chats'), 200).items.find(({ title }) => title === 'Long');
  for (let next = 1; next <= count; next += 50) {
    const some = Array.from({ length: Math.min(50, count - next + 1) }, (_, i) => client.post(`/v1/chats/${chat.id}/messages`, { text: `line ${next + i}.` }));
    for (const answer of await Promise.all(some)) expectStatus(answer, 201);
  }
  // Those that were sent at once may stand in any order.
  const written = (await wholeHistory(client, chat)).map(({ text }) => text);
  assert.equal(written.length, count);
  await bob.open('Long');
  await bob.message(/line \d+\./).last().waitFor();
  const history = bob.page.getByRole('region', { name: 'Message history' });
  const windows = [];
  await eventually(async () => {
    windows.push(await bob.shown(/line \d+\./g));
    await history.hover();
    await bob.page.mouse.wheel(0, -4000);
    return (await bob.page.getByText('The beginning of this chat').count()) > 0;
  }, 'the beginning of the chat', 30_000 + count * 20);
  for (const lines of windows) {
    const first = written.indexOf(lines[0]);
    assert.deepEqual(lines, written.slice(first, first + lines.length), 'what is shown has no holes');
    assert.ok(lines.length < 500, `${lines.length} messages in the page at once`);
  }
  await bob.message(written[0]).first().waitFor();
  await bob.page.getByRole('button', { name: 'Go to the newest message' }).click();
  await bob.message(written.at(-1)).waitFor();
  bob.checkQuiet();
});
