// The part of Markdown in which the guides and the descriptions of openapi.yaml are: paragraphs, headings, lists, tables, fenced and indented code, comments;
// `code`, **bold**, *stressed* and links.
import { element, code, listing } from './dom.js';

const INLINE = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*|\[([^\]]+)\]\(([^)\s]+)\)/g;
const COMMENT = /^<!--.*-->$/;

// The place of a guide on the page.
export const guideId = (file) => `guide-${file.replace('.md', '')}`;

export function inline(text) {
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(INLINE)) {
    nodes.push(text.slice(end, found.index));
    const [whole, quoted, bold, stressed, label, url] = found;
    if (quoted) nodes.push(code(quoted));
    else if (bold) nodes.push(element('strong', {}, inline(bold)));
    else if (stressed) nodes.push(element('em', {}, inline(stressed)));
    else if (/^\w+\.md$/.test(url)) nodes.push(element('a', { href: `#${guideId(url)}` }, inline(label)));
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
  [/^ {4}/, indented],
  [/^\|/, table],
  [/^[-*] /, list],
];

// The first level of its headings is `top`.
export function markdown(text = '', { top = 2 } = {}) {
  const lines = text.split('\n');
  const nodes = [];
  for (let i = 0; i < lines.length;) {
    if (lines[i].trim() === '' || COMMENT.test(lines[i])) {
      i += 1;
      continue;
    }
    const [, read] = BLOCKS.find(([pattern]) => pattern.test(lines[i])) ?? [null, paragraph];
    const [node, taken] = read(lines.slice(i), top);
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

function indented(lines) {
  const end = lines.findIndex((line) => line !== '' && !line.startsWith('    '));
  const block = lines.slice(0, end < 0 ? lines.length : end);
  return [listing(block.map((line) => line.slice(4)).join('\n').trimEnd()), block.length];
}

function heading(lines, top) {
  const [, marks, text] = /^(#+) (.*)$/.exec(lines[0]);
  return [element(`h${marks.length - 1 + top}`, {}, inline(text)), 1];
}

const cells = (line) => line.replace(/^\||\|\s*$/g, '').split('|').map((cell) => cell.trim());

function table(lines) {
  const end = lines.findIndex((line) => !line.startsWith('|'));
  const rows = lines.slice(0, end < 0 ? lines.length : end);
  const row = (name) => (line) => element('tr', {}, cells(line).map((cell) => element(name, {}, inline(cell))));
  const body = element('tbody', {}, rows.slice(2).map(row('td')));
  return [element('div', { class: 'wide', tabindex: '0' }, element('table', {}, element('thead', {}, row('th')(rows[0])), body)), rows.length];
}

// What is indented below an item belongs to it, after an empty line, too.
function list(lines) {
  const end = lines.findIndex((line, i) => line !== '' && !/^([-*] |\s)/.test(line) && i > 0);
  const taken = end < 0 ? lines.length : end;
  const items = [];
  for (const line of lines.slice(0, taken)) {
    if (/^[-*] /.test(line)) items.push([]);
    items.at(-1).push(line.slice(2));
  }
  return [element('ul', {}, items.map((item) => element('li', {}, itemOf(item)))), taken];
}

const itemOf = (lines) => (lines.some((line, i) => line === '' && lines[i + 1]) ? markdown(lines.join('\n')) : inline(lines.join(' ').trim()));

function paragraph(lines) {
  let taken = 1;
  while (taken < lines.length && lines[taken].trim() !== '' && !BLOCKS.some(([pattern]) => pattern.test(lines[taken]))) taken++;
  return [element('p', {}, inline(lines.slice(0, taken).join(' '))), taken];
}
