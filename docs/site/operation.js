// One operation: what it does, takes and answers.
import { element, code, disclosure, listing, tabs } from './dom.js';
import { inline, markdown } from './markdown.js';
import { schemaView, typeName } from './schema.js';
import { tryForm } from './try.js';

const shown = (value) => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));

export function methodBadge(method) {
  return element('span', { class: `method ${method.toLowerCase()}` }, method);
}

export function operationView(contract, entry, session) {
  const { operation } = entry;
  return element('section', { class: 'operation', id: entry.id, 'aria-labelledby': `${entry.id}-title` },
    element('h3', { id: `${entry.id}-title` }, operation.summary ?? entry.id),
    element('p', { class: 'route' }, methodBadge(entry.method), code(entry.path), element('a', { class: 'anchor', href: `#${entry.id}`, 'aria-label': `Link to ${operation.summary}` }, '#')),
    markdown(operation.description),
    element('p', { class: 'needs' }, credentialsOf(entry.security)),
    parameterList(contract, entry.parameters),
    bodyView(contract, operation.requestBody),
    element('h4', {}, 'Answers'),
    tabs(`Answers to ${operation.summary}`, Object.entries(operation.responses).map(([status, response]) => responseTab(contract, status, response))),
    disclosure('Try it', () => tryForm(contract, entry, session.getToken, session.setToken)));
}

const CREDENTIALS = { bearer: 'an access token', cookie: 'the session cookie', ticket: 'a ticket' };

function credentialsOf(security) {
  if (security.length === 0) return 'Needs no credentials.';
  const names = security.map((one) => CREDENTIALS[Object.keys(one)[0]] ?? Object.keys(one)[0]);
  return `Needs ${names.join(' or ')}.`;
}

function parameterList(contract, parameters) {
  if (parameters.length === 0) return null;
  const rows = parameters.map((parameter) => element('li', {},
    element('div', { class: 'head' }, code(parameter.name), ' ', element('span', { class: 'type' }, `${parameter.in}, ${typeName(contract, parameter.schema)}`),
      parameter.required && parameter.in !== 'path' ? element('span', { class: 'required' }, 'required') : null),
    parameter.description ? element('p', {}, inline(parameter.description.replaceAll('\n', ' '))) : null));
  return [element('h4', {}, 'Parameters'), element('ul', { class: 'properties' }, rows)];
}

function bodyView(contract, requestBody) {
  if (!requestBody) return null;
  const body = contract.value(requestBody);
  return [element('h4', {}, 'Body'), markdown(body.description), Object.entries(body.content).map(([type, media]) => mediaView(contract, type, media))];
}

// The schema, and its examples beside it.
function mediaView(contract, type, media) {
  const examples = contract.examples(media);
  const example = (one) => listing(shown(one.value), `Example ${one.name}`);
  return element('div', { class: 'media' },
    element('div', {}, element('p', { class: 'type' }, type), media.schema ? schemaView(contract, media.schema) : null),
    examples.length > 1 ? tabs('Examples', examples.map((one) => ({ name: one.name, make: () => example(one) }))) : examples.map(example));
}

function responseTab(contract, status, response) {
  const value = contract.value(response);
  const kind = /^[23]/.test(status) ? 'good' : 'bad';
  return { name: status, class: kind, make: () => responseView(contract, value) };
}

function responseView(contract, response) {
  const headers = Object.entries(response.headers ?? {}).map(([name, header]) => element('li', {},
    element('div', { class: 'head' }, code(name)), element('p', {}, inline((contract.value(header).description ?? '').replaceAll('\n', ' ')))));
  return [
    ...markdown(response.description),
    ...(headers.length > 0 ? [disclosure('Headers', () => element('ul', { class: 'properties' }, headers))] : []),
    ...Object.entries(response.content ?? {}).map(([type, media]) => (type === 'application/problem+json' ? problemView(contract, media) : mediaView(contract, type, media))),
  ];
}

// All problems have one schema; what tells them apart is their code.
function problemView(contract, media) {
  const rows = contract.examples(media).map(({ value }) => element('tr', {}, element('td', {}, code(value?.code ?? '')), element('td', {}, value?.detail ?? value?.title ?? '')));
  if (rows.length === 0) return element('p', {}, 'Any ', element('a', { href: '#problems' }, 'problem'), '.');
  const head = element('tr', {}, element('th', {}, 'code'), element('th', {}, 'for example'));
  return element('table', { class: 'problems' }, element('thead', {}, head), element('tbody', {}, rows));
}
