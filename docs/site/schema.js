// Schemas as tables of their properties, which open further where they have properties of their own.
import { element, code, disclosure } from './dom.js';
import { inline, markdown } from './markdown.js';

const LIMITS = [
  ['format', (value) => value],
  ['pattern', (value) => `matches ${value}`],
  ['minLength', (value) => `at least ${value} characters`],
  ['maxLength', (value) => `at most ${value} characters`],
  ['minimum', (value) => `at least ${value}`],
  ['maximum', (value) => `at most ${value}`],
  ['minItems', (value) => `at least ${value} items`],
  ['maxItems', (value) => `at most ${value} items`],
  ['uniqueItems', () => 'each once'],
  ['default', (value) => `default ${JSON.stringify(value)}`],
  ['const', (value) => `always ${JSON.stringify(value)}`],
  ['enum', (value) => value.map((one) => JSON.stringify(one)).join(' | ')],
];

const limitsOf = (schema) => LIMITS.filter(([name]) => schema[name] !== undefined).map(([name, say]) => element('li', {}, say(schema[name])));

// One of several ways to fill a form: it only says what must be there.
const isDemand = (schema) => Boolean(schema.required) && !schema.type && !schema.properties;

// "array of Message", "string or null"
export function typeName(contract, schema) {
  const { name, value } = contract.resolve(schema);
  if (name && (value.properties || value.oneOf || value.anyOf || value.allOf)) return name;
  if (value.type === 'array' || value.items) return `array of ${value.items ? typeName(contract, value.items) : 'anything'}`;
  if (value.oneOf ?? value.anyOf) return (value.oneOf ?? value.anyOf).map((one) => typeName(contract, one)).join(' or ');
  if (value.allOf) return 'object';
  if (isDemand(value)) return `with ${value.required.join(' and ')}`;
  return [value.type ?? (value.properties ? 'object' : value.const !== undefined ? typeof value.const : 'anything')].flat().join(' or ');
}

const hasParts = (contract, schema) => {
  const one = contract.merged(schema);
  return Boolean(one.properties || one.oneOf || one.anyOf) || (one.items && hasParts(contract, one.items));
};

// The nodes that show a schema; its parts are made when they are opened.
export function schemaView(contract, schema) {
  const one = contract.merged(schema);
  if (one.items && hasParts(contract, one.items)) return [element('p', { class: 'type' }, 'Each item:'), ...schemaView(contract, one.items)];
  const nodes = markdown(one.description);
  if (one.properties) nodes.push(propertyTable(contract, one));
  const choices = one.oneOf ?? one.anyOf;
  if (choices) nodes.push(choiceList(contract, one, choices));
  if (!one.properties && !choices) nodes.push(element('p', { class: 'type' }, typeName(contract, schema)), element('ul', { class: 'limits' }, limitsOf(one)));
  return nodes;
}

// Where a discriminator tells them apart, by its values.
function choiceList(contract, schema, choices) {
  const mapping = new Map(Object.entries(schema.discriminator?.mapping ?? {}).map(([value, reference]) => [reference, value]));
  return element('div', { class: 'choices' }, element('p', { class: 'type' }, 'One of'), choices.map((choice) => {
    const value = mapping.get(choice.$ref);
    if (isDemand(contract.value(choice))) return element('p', { class: 'type' }, typeName(contract, choice));
    const title = [value ? code(value) : null, value ? ' ' : null, element('span', { class: 'type' }, typeName(contract, choice))];
    return disclosure(title, () => schemaView(contract, choice));
  }));
}

function propertyTable(contract, schema) {
  const rows = Object.entries(schema.properties).map(([name, property]) => propertyRow(contract, name, property, schema.required?.includes(name)));
  return element('ul', { class: 'properties' }, rows);
}

function propertyRow(contract, name, property, isRequired) {
  const one = contract.merged(property);
  const head = [code(name), ' ', element('span', { class: 'type' }, typeName(contract, property)), isRequired ? element('span', { class: 'required' }, 'required') : null];
  const limits = limitsOf(one);
  const shown = one.description && !hasParts(contract, property) ? inline(one.description.replaceAll('\n', ' ')) : null;
  return element('li', {},
    hasParts(contract, property) ? disclosure(head, () => schemaView(contract, property)) : element('div', { class: 'head' }, head),
    shown && element('p', {}, shown),
    limits.length > 0 && element('ul', { class: 'limits' }, limits));
}
