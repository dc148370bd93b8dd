// The pictures in README.md (make screenshots): node tests/web/screenshots.mjs FOLDER
//
// A few people and what they wrote, made through the API; then the client of one of them, on a desktop in light and dark and on a phone.
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { Client, expectStatus } from '../support/client.mjs';
import { upload } from '../support/media.mjs';
import { startServer } from '../support/server.mjs';
import { DESKTOP, PHONE, PASSWORD, Person } from './support.mjs';

const folder = process.argv[2];
mkdirSync(folder, { recursive: true });
const server = await startServer();

async function join(name) {
  const username = name.toLowerCase().replace(/[^a-z]/g, '');
  const answer = await new Client(server).post('/v1/users', { username, password: PASSWORD, display_name: name });
  const { access_token, user } = expectStatus(answer, 201);
  return Object.assign(new Client(server, access_token), { id: user.id, username, name });
}

const [ada, ben, chloe, dev] = await Promise.all(['Ada Winter', 'Ben Okoro', 'Chloé Martin', 'Dev Rao'].map(join));

async function begin(owner, fields) {
  return expectStatus(await owner.post('/v1/chats', fields), 201);
}

async function say(who, chat, text, fields = {}) {
  return expectStatus(await who.post(`/v1/chats/${chat.id}/messages`, { text, ...fields }), 201);
}

async function react(who, message, emoji) {
  expectStatus(await who.put(`/v1/chats/${message.chat_id}/messages/${message.id}/reactions/${encodeURIComponent(emoji)}`), 200);
}

async function read(who, chat, seq) {
  expectStatus(await who.put(`/v1/chats/${chat.id}/read`, { seq }), 200);
}

// A landscape, drawn by the browser: a sky, a sun and two rows of hills.
function drawLandscape() {
  const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 400 });
  const context = canvas.getContext('2d');
  const sky = context.createLinearGradient(0, 0, 0, 300);
  sky.addColorStop(0, '#3b6ea5');
  sky.addColorStop(1, '#f5d7a1');
  context.fillStyle = sky;
  context.fillRect(0, 0, 640, 400);
  context.fillStyle = '#fff3c4';
  context.beginPath();
  context.arc(450, 190, 42, 0, 7);
  context.fill();
  for (const [colour, base, height, length] of [['#5a7f6d', 280, 60, 90], ['#2f5245', 330, 40, 60]]) {
    context.fillStyle = colour;
    context.beginPath();
    context.moveTo(0, 400);
    for (let x = 0; x <= 640; x += 4) context.lineTo(x, base - height * Math.sin(x / length) * Math.cos(x / (length * 3)));
    context.lineTo(640, 400);
    context.fill();
  }
  return canvas.toDataURL('image/png').split(',')[1];
}

async function tell(picture) {
  const family = await begin(chloe, { type: 'group', title: 'Family', member_ids: [ada.id] });
  await say(chloe, family, 'Grandma says the cake is ready 🎂');
  await say(chloe, family, 'Come before it is gone!');
  const direct = await begin(dev, { type: 'direct', member_ids: [ada.id] });
  await say(dev, direct, 'The build is green again.');
  await read(ada, direct, 1);
  const news = await begin(dev, { type: 'channel', title: 'Trail conditions', description: 'Once a day', public: true });
  expectStatus(await ada.put(`/v1/chats/${news.id}/members/${ada.id}`, {}), 201);
  await say(dev, news, 'The ridge path is open. Some snow above 1,800 m.');
  const hike = await begin(ada, { type: 'group', title: 'Sunday hike', member_ids: [ben.id, chloe.id] });
  const plan = await say(ada, hike, 'Sunday looks dry. Shall we take the ridge path?');
  await react(ben, plan, '👍');
  await react(chloe, plan, '👍');
  const question = await say(ben, hike, 'Yes! When do we start?');
  await say(chloe, hike, 'The first bus is at 8:10', { reply_to: question.id });
  const photo = await upload(ben, picture, { content_type: 'image/png', file_name: 'ridge.png', width: 640, height: 400 });
  const shown = await say(ben, hike, 'This was the view last year', { attachments: [photo.id] });
  await react(ada, shown, '😮');
  const last = await say(ada, hike, 'See you at the station then.');
  for (const who of [ben, chloe]) await read(who, hike, last.seq);
}

async function signIn(options) {
  const person = await Person.open(server, ada.name, options);
  await person.page.getByRole('textbox', { name: 'Username' }).fill(ada.username);
  await person.page.getByRole('textbox', { name: 'Password' }).fill(PASSWORD);
  await person.page.getByRole('button', { name: 'Sign in' }).click();
  await person.page.getByRole('list', { name: 'Chats' }).getByRole('link').first().waitFor();
  return person;
}

async function take(person, name) {
  await person.page.mouse.move(0, 0);
  await person.page.evaluate(() => Promise.all([...document.images].map((image) => image.decode().catch(() => {}))));
  await person.page.screenshot({ path: path.join(folder, `${name}.png`) });
}

async function show(name, options) {
  const person = await signIn(options);
  await person.open('Sunday hike');
  await person.message('See you at the station').getByRole('img', { name: 'Read' }).waitFor();
  await person.message('This was the view').getByRole('button', { name: 'Open photo ridge.png' }).locator('img').waitFor();
  await take(person, name);
  await person.page.context().browser().close();
}

const artist = await Person.open(server, 'artist');
await tell(Buffer.from(await artist.page.evaluate(drawLandscape), 'base64'));
await artist.page.context().browser().close();
await show('desktop-light', { viewport: DESKTOP, colorScheme: 'light' });
await show('desktop-dark', { viewport: DESKTOP, colorScheme: 'dark' });
await show('phone-light', { viewport: PHONE, colorScheme: 'light' });
await show('phone-dark', { viewport: PHONE, colorScheme: 'dark' });
await server.dispose();
