// The part of Markdown in which openapi.yaml has its descriptions: paragraphs, headings, lists, tables, fenced code; `code`, **bold** and links.
import { element, code, listing } from './dom.js';

const INLINE = /`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\(([^)\s]+)\)/g;

export function inline(text) {
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(INLINE)) {
    nodes.push(text.slice(end, found.index));
    const [whole, quoted, bold, label, url] = found;
    if (quoted) nodes.push(code(quoted));
    else if (bold) nodes.push(element('strong', {}, inline(bold)));
    else nodes.push(/^(https?:|#|\/)/.test(url) ? element('a', { href: url }, inline(label)) : label);
    end = found.index + whole.length;
  }
  nodes.push(text.slice(end));
  return nodes;
}

// Each takes the lines from its first on and returns [node, how many lines it took].
const BLOCKS = [
  [/^```/, fence],
  [/^#+ /, heading],
  [/^\|/, table],
  [/^[-*] /, list],
];

export function markdown(text = '') {
  const lines = text.split('\n');
  const nodes = [];
  for (let i = 0; i < lines.length;) {
    if (lines[i].trim() === '') {
      i += 1;
      continue;
    }
    const [, read] = BLOCKS.find(([pattern]) => pattern.test(lines[i])) ?? [null, paragraph];
    const [node, taken] = read(lines.slice(i));
    nodes.push(node);
    i += taken;
  }
  return nodes;
}

function fence(lines) {
  const end = lines.findIndex((line, i) => i > 0 && line.startsWith('```'));
  const last = end < 0 ? lines.length : end;
  return [listing(lines.slice(1, last).join('\n')), last + 1];
}

function heading(lines) {
  return [element('h3', {}, inline(lines[0].replace(/^#+ /, ''))), 1];
}

const cells = (line) => line.replace(/^\||\|\s*$/g, '').split('|').map((cell) => cell.trim());

function table(lines) {
  const end = lines.findIndex((line) => !line.startsWith('|'));
  const rows = lines.slice(0, end < 0 ? lines.length : end);
  const row = (name) => (line) => element('tr', {}, cells(line).map((cell) => element(name, {}, inline(cell))));
  const body = element('tbody', {}, rows.slice(2).map(row('td')));
  return [element('div', { class: 'wide', tabindex: '0', role: 'region', 'aria-label': 'Table' }, element('table', {}, element('thead', {}, row('th')(rows[0])), body)), rows.length];
}

function list(lines) {
  const items = [];
  let taken = 0;
  for (; taken < lines.length && lines[taken].trim() !== ''; taken++) {
    if (/^[-*] /.test(lines[taken])) items.push(lines[taken].slice(2));
    else if (/^\s/.test(lines[taken])) items[items.length - 1] += ` ${lines[taken].trim()}`;
    else break;
  }
  return [element('ul', {}, items.map((item) => element('li', {}, inline(item)))), taken];
}

function paragraph(lines) {
  let taken = 1;
  while (taken < lines.length && lines[taken].trim() !== '' && !BLOCKS.some(([pattern]) => pattern.test(lines[taken]))) taken++;
  return [element('p', {}, inline(lines.slice(0, taken).join(' '))), taken];
}
