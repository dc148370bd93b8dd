// The page: reads the contract from the server that serves it, and shows all of it.
import { Contract } from './contract.js';
import { code, disclosure, element } from './dom.js';
import { guideId, markdown } from './markdown.js';
import { methodBadge, operationView } from './operation.js';
import { schemaView } from './schema.js';
import { parseYaml } from './yaml.js';

// The files in docs/, which the server has beside this one.
const GUIDES = [
  ['authentication.md', 'Authentication'],
  ['streams.md', 'Streams'],
  ['uploads.md', 'Uploads'],
  ['retries.md', 'Retries and idempotency'],
  ['errors.md', 'Errors'],
  ['limits.md', 'Limits'],
  ['scaling.md', 'Sizing'],
  ['performance.md', 'Performance'],
  ['backup.md', 'Backups'],
];

const find = (id) => document.getElementById(id);
const slug = (text) => text.toLowerCase().replace(/[^a-z0-9]+/g, '-');

const session = {
  getToken: () => find('token').value.trim(),
  setToken: (token) => (find('token').value = token),
};

async function read(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  return response.text();
}

const load = async () => new Contract(parseYaml(await read('/openapi.yaml')));

// What a guide says is here when somebody comes to it.
async function openGuide(section) {
  const file = section.dataset.guide;
  if (section.hasAttribute('aria-busy') || section.childElementCount > 1) return;
  section.setAttribute('aria-busy', 'true');
  const nodes = await read(`/docs/${file}`).then((text) => markdown(text), (error) => [element('p', { role: 'alert' }, `It could not be read: ${error.message}`)]);
  section.replaceChildren(...nodes);
  section.removeAttribute('aria-busy');
}

function guideSections() {
  return GUIDES.map(([file, title]) => element('section', { id: guideId(file), class: 'tag guide', 'data-guide': file }, element('h2', {}, title)));
}

function group(operations, names) {
  const groups = new Map(names.map((name) => [name, []]));
  for (const entry of operations) groups.set(entry.tag, [...(groups.get(entry.tag) ?? []), entry]);
  return [...groups].filter(([, entries]) => entries.length > 0);
}

function introduction(contract) {
  const { info } = contract.document;
  find('version').textContent = info.version;
  return element('section', { id: 'top' }, element('h1', {}, 'Parley API'), element('p', { class: 'lead' }, info.summary), markdown(info.description, { top: 1 }));
}

function tagSection(contract, name, description, entries) {
  return element('section', { id: slug(name), class: 'tag' }, element('h2', {}, name), markdown(description), entries.map((entry) => operationView(contract, entry, session)));
}

function problemSection(contract) {
  const { properties } = contract.schemas.Problem;
  return element('section', { id: 'problems', class: 'tag' }, element('h2', {}, 'Problem codes'), markdown(properties.code.description));
}

function schemaSection(contract) {
  const entries = Object.entries(contract.schemas).map(([name, schema]) => disclosure(code(name), () => schemaView(contract, schema)));
  return element('section', { id: 'schemas', class: 'tag' }, element('h2', {}, 'Schemas'), entries);
}

// --- contents

function contentsOf(groups) {
  const sections = groups.map(([name, entries]) => element('div', { class: 'group' },
    element('a', { class: 'title', href: `#${slug(name)}` }, name),
    element('ul', {}, entries.map((entry) => element('li', { 'data-text': `${entry.method} ${entry.path} ${entry.operation.summary} ${name}`.toLowerCase() },
      element('a', { href: `#${entry.id}` }, element('span', {}, entry.operation.summary), methodBadge(entry.method)))))));
  const rest = [['#problems', 'Problem codes'], ['#schemas', 'Schemas']].map(([href, text]) => element('a', { class: 'title', href }, text));
  const guides = GUIDES.map(([file, title]) => element('li', { 'data-text': `guide ${title}`.toLowerCase() }, element('a', { href: `#${guideId(file)}` }, title)));
  const first = element('div', { class: 'group' }, element('a', { class: 'title', href: `#${guideId(GUIDES[0][0])}` }, 'Guides'), element('ul', {}, guides));
  return [first, ...sections, element('div', { class: 'group' }, rest)];
}

function filter(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const section of find('contents').querySelectorAll('.group')) {
    const items = [...section.querySelectorAll('li')];
    for (const item of items) item.hidden = !words.every((word) => item.dataset.text.includes(word));
    section.hidden = words.length > 0 && items.every((item) => item.hidden);
  }
}

function showMenu(open) {
  find('menu').setAttribute('aria-expanded', String(open));
  document.body.classList.toggle('menu-open', open);
}

// Marks in the contents what is being read.
function followReading() {
  const links = new Map([...find('contents').querySelectorAll('li > a')].map((link) => [link.hash.slice(1), link]));
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      for (const link of links.values()) link.removeAttribute('aria-current');
      links.get(target.id)?.setAttribute('aria-current', 'true');
    }
  }, { rootMargin: '-80px 0px -75% 0px' });
  for (const section of document.querySelectorAll('.operation')) observer.observe(section);
}

const isBefore = (one, other) => Boolean(one.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING);

// What lies between is read and laid out only on the way, and moves the target.
async function jump() {
  const target = find(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  await Promise.all([...document.querySelectorAll('.guide')].filter((guide) => guide === target || isBefore(guide, target)).map(openGuide));
  let frames = 8;
  const step = () => {
    target.scrollIntoView();
    if (--frames > 0) requestAnimationFrame(step);
  };
  step();
}

function readGuidesInView() {
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) if (isIntersecting) openGuide(target);
  }, { rootMargin: '600px' });
  for (const section of document.querySelectorAll('.guide')) observer.observe(section);
}

function listen() {
  addEventListener('hashchange', jump);
  find('credentials').addEventListener('submit', (event) => event.preventDefault());
  find('filter').addEventListener('input', (event) => filter(event.target.value));
  find('menu').addEventListener('click', () => showMenu(find('menu').getAttribute('aria-expanded') !== 'true'));
  find('contents').addEventListener('click', (event) => event.target.closest('a') && showMenu(false));
  document.addEventListener('keydown', (event) => event.key === 'Escape' && showMenu(false));
}

async function start() {
  const contract = await load();
  const tags = contract.document.tags ?? [];
  const groups = group(contract.operations, tags.map((tag) => tag.name));
  const described = new Map(tags.map((tag) => [tag.name, tag.description]));
  find('contents').append(...contentsOf(groups));
  find('content').replaceChildren(introduction(contract), ...guideSections(), ...groups.map(([name, entries]) => tagSection(contract, name, described.get(name), entries)),
    problemSection(contract), schemaSection(contract));
  listen();
  followReading();
  readGuidesInView();
  if (location.hash) jump();
}

start().catch((error) => {
  const state = find('state') ?? find('content').appendChild(element('p', { role: 'alert' }));
  state.textContent = `The document could not be shown: ${error.message}`;
});
