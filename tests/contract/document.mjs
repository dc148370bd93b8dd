// openapi.yaml as a table of operations, each with all that is said of it, and nothing left to look up.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import yaml from 'js-yaml';

export const OPENAPI = fileURLToPath(new URL('../../openapi.yaml', import.meta.url));
// Names of files may have slashes, which OpenAPI cannot say of a parameter.
const WITH_SLASHES = new Set(['object', 'page']);
const METHODS = ['get', 'put', 'post', 'delete', 'patch'];

export function readDocument(file = OPENAPI) {
  return yaml.load(readFileSync(file, 'utf8'), { schema: yaml.CORE_SCHEMA });
}

// The node itself, or what its `$ref` points to.
export function resolve(document, node) {
  if (node?.$ref === undefined) return node;
  const steps = node.$ref.slice(2).split('/').map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
  return resolve(document, steps.reduce((place, step) => place[step], document));
}

const nameOfReference = (node) => node.$ref?.split('/').at(-1) ?? null;

// {id, method, path, parameters, body, responses}; of a response also `shared`, its name where several operations share it.
export function operationsOf(document) {
  return Object.entries(document.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => describeOperation(document, path, method, item)));
}

function describeOperation(document, path, method, item) {
  const { operationId, requestBody, responses, parameters = [], security = document.security } = item[method];
  return {
    id: operationId,
    method: method.toUpperCase(),
    path,
    pattern: patternOf(path),
    names: [...path.matchAll(/\{([^}]*)\}/g)].map((found) => found[1]),
    parameters: [...(item.parameters ?? []), ...parameters].map((parameter) => resolve(document, parameter)),
    body: resolve(document, requestBody) ?? null,
    schemes: security.map((requirement) => Object.keys(requirement)[0]),
    responses: Object.fromEntries(Object.entries(responses).map(([status, response]) => [status, describeResponse(document, response)])),
  };
}

function patternOf(path) {
  const escaped = path.replace(/[.]/g, '\\.');
  return new RegExp(`^${escaped.replace(/\{([^}]*)\}/g, (_, name) => (WITH_SLASHES.has(name) ? '(.*)' : '([^/]*)'))}$`);
}

function describeResponse(document, response) {
  const { headers = {}, content = {} } = resolve(document, response);
  return {
    shared: nameOfReference(response),
    headers: Object.fromEntries(Object.entries(headers).map(([name, header]) => [name.toLowerCase(), resolve(document, header)])),
    content,
    codes: codesOf(document, content['application/problem+json']),
  };
}

// The problem codes that a response shows.
function codesOf(document, { examples = {} } = {}) {
  return new Set(Object.values(examples).map((example) => resolve(document, example).value.code));
}

// The operation that a request is for, HEAD being GET's; null if there is none. What is spelt out further comes first.
export function findOperation(operations, method, path) {
  const wanted = method === 'HEAD' ? 'GET' : method;
  const found = operations.filter((operation) => operation.method === wanted && operation.pattern.test(path));
  return found.sort((one, other) => speltOut(other) - speltOut(one))[0] ?? null;
}

const speltOut = ({ path }) => `${path}{`.indexOf('{');

// {type: name of the schema} of the stream's events.
export function eventSchemas(document) {
  const { mapping } = document.components.schemas.Event.discriminator;
  return Object.fromEntries(Object.entries(mapping).map(([type, reference]) => [type, reference.split('/').at(-1)]));
}

export const problemCodes = (document) => document.components.schemas.Problem.properties.code.enum;
