// The page: reads the contract from the server that serves it, and shows all of it.
import { Contract } from './contract.js';
import { code, disclosure, element } from './dom.js';
import { markdown } from './markdown.js';
import { methodBadge, operationView } from './operation.js';
import { schemaView } from './schema.js';
import { parseYaml } from './yaml.js';

const find = (id) => document.getElementById(id);
const slug = (text) => text.toLowerCase().replace(/[^a-z0-9]+/g, '-');

const session = {
  getToken: () => find('token').value.trim(),
  setToken: (token) => (find('token').value = token),
};

async function load() {
  const response = await fetch('/openapi.yaml');
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  return new Contract(parseYaml(await response.text()));
}

function group(operations, names) {
  const groups = new Map(names.map((name) => [name, []]));
  for (const entry of operations) groups.set(entry.tag, [...(groups.get(entry.tag) ?? []), entry]);
  return [...groups].filter(([, entries]) => entries.length > 0);
}

function introduction(contract) {
  const { info } = contract.document;
  find('version').textContent = info.version;
  return element('section', { id: 'top' }, element('h1', {}, 'Parley API'), element('p', { class: 'lead' }, info.summary), markdown(info.description));
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
  return [...sections, element('div', { class: 'group' }, rest)];
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

// What lies between is laid out only on the way, and moves the target.
function jump() {
  const target = find(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  let frames = 8;
  const step = () => {
    target.scrollIntoView();
    if (--frames > 0) requestAnimationFrame(step);
  };
  step();
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
  find('content').replaceChildren(introduction(contract), ...groups.map(([name, entries]) => tagSection(contract, name, described.get(name), entries)),
    problemSection(contract), schemaSection(contract));
  listen();
  followReading();
  if (location.hash) jump();
}

start().catch((error) => {
  const state = find('state') ?? find('content').appendChild(element('p', { role: 'alert' }));
  state.textContent = `The document could not be shown: ${error.message}`;
});
