// What openapi.yaml says of one request with its answer, or of one event: a list of what is wrong, empty when nothing is.
import { eventSchemas, findOperation, operationsOf, readDocument, resolve } from './document.mjs';
import { addSchemas, named, wrongWith } from './schemas.mjs';

export const document = readDocument();
export const operations = operationsOf(document);
export const events = eventSchemas(document);
addSchemas(document);

const PROBLEM = named('Problem');
const EVENTS = Object.fromEntries(Object.entries(events).map(([type, name]) => [type, named(name)]));

// Headers that the document describes anywhere are sent only where it says so.
const DESCRIBED = new Set(operations.flatMap(({ responses }) => Object.values(responses).flatMap(({ headers }) => Object.keys(headers))));
// Those that the document says of any answer ("Headers").
const ALWAYS = new Set(['allow', 'cache-control', 'ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset']);
// What the HTTP library refuses has not become a request.
const BELOW_THE_API = new Set([400, 413, 414, 431]);

// request: {method, path (with its query), headers, payload}, or with `unread` if only the first two are known; response: {status, headers, text, body},
// without `text` if it is a stream. {operation, wrong}: the operation is null for a path or a method that does not exist.
export function checkExchange(request, response) {
  const [path, query = ''] = request.path.split('?');
  if (BELOW_THE_API.has(response.status) && response.body === undefined) return { operation: null, wrong: [] };
  const operation = findOperation(operations, request.method, path);
  if (request.method === 'OPTIONS') return { operation: null, wrong: checkOptions(response) };
  if (operation === null) return { operation, wrong: checkUnmatched(response) };
  const wasTaken = response.status < 400 && !request.unread;
  const wrong = [...(wasTaken ? checkRequest(operation, { ...request, path, query }) : []), ...checkResponse(operation, request.method, response)];
  return { operation, wrong };
}

export function checkEvent({ type, ...event }) {
  if (!Object.hasOwn(EVENTS, type)) return [`the document has no event ${type}`];
  return listed(`event ${type}`, wrongWith(EVENTS[type], { type, ...event }));
}

const listed = (what, wrong) => (wrong === null ? [] : [`${what}: ${wrong}`]);

// ---- Requests

function checkRequest(operation, request) {
  return [...checkPath(operation, request.path), ...checkQuery(operation, request.query), ...checkHeaders(operation, request.headers), ...checkBody(operation, request)];
}

const parametersIn = (operation, place) => operation.parameters.filter((parameter) => parameter.in === place);

function checkPath(operation, path) {
  const values = operation.pattern.exec(path).slice(1).map(decodeURIComponent);
  return parametersIn(operation, 'path').flatMap((parameter) => checkParameter(parameter, values[operation.names.indexOf(parameter.name)]));
}

function checkQuery(operation, query) {
  const given = new URLSearchParams(query);
  const known = parametersIn(operation, 'query');
  const names = new Set([...known.map(({ name }) => name), ...(operation.schemes.includes('ticket') ? ['ticket'] : [])]);
  const surplus = [...given.keys()].filter((name) => !names.has(name)).map((name) => `query parameter ${name} is accepted, but not in the document`);
  return [...surplus, ...known.flatMap((parameter) => checkParameter(parameter, given.get(parameter.name)))];
}

function checkHeaders(operation, headers) {
  const given = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  return parametersIn(operation, 'header').flatMap((parameter) => checkParameter(parameter, given[parameter.name.toLowerCase()]));
}

function checkParameter({ name, in: place, required, schema }, value) {
  if (value === undefined || value === null) return required ? [`${place} parameter ${name} is required, and was not sent`] : [];
  return listed(`${place} parameter ${name}`, wrongWith(schema, parameterValue(schema, String(value))));
}

function parameterValue(schema, text) {
  const { type } = resolve(document, schema);
  if (type === 'array') return text.split(',');
  return type === 'integer' && /^-?\d+$/.test(text) ? Number(text) : text;
}

function checkBody({ body }, { payload, headers }) {
  if (payload === undefined || payload.length === 0) return body?.required ? ['the body is required, and was not sent'] : [];
  if (body === null) return [`a body is accepted, but not in the document: ${String(payload).slice(0, 100)}`];
  const type = typeOf(headers['Content-Type'] ?? headers['content-type']);
  if (!(type in body.content)) return '*/*' in body.content ? [] : [`a body of type ${type} is accepted, but not in the document`];
  return listed('the body of the request', wrongWith(body.content[type].schema, JSON.parse(payload)));
}

const typeOf = (contentType = '') => contentType.split(';')[0].trim().toLowerCase();

// ---- Answers

function checkResponse(operation, method, response) {
  const documented = operation.responses[response.status] ?? (response.status >= 400 ? operation.responses.default : undefined);
  if (documented === undefined) return [`status ${response.status} is not in the document: ${response.text?.slice(0, 100)}`];
  return [...checkResponseHeaders(documented, response.headers), ...(method === 'HEAD' ? [] : checkContent(documented, response))];
}

function checkResponseHeaders(documented, headers) {
  const missing = Object.entries(documented.headers).filter(([name, { required }]) => required && !(name in headers));
  const surplus = Object.keys(headers).filter((name) => DESCRIBED.has(name) && !ALWAYS.has(name) && !(name in documented.headers));
  return [
    ...missing.map(([name]) => `header ${name} is missing`),
    ...surplus.map((name) => `header ${name} is not in the document for this answer: ${headers[name]}`),
    ...Object.entries(documented.headers).flatMap(([name, { schema }]) => checkHeaderValue(name, schema, headers[name])),
  ];
}

function checkHeaderValue(name, schema, value) {
  return value === undefined ? [] : listed(`header ${name}`, wrongWith(schema, parameterValue(schema, String(value))));
}

// What is compressed is not looked into: the same is sent plainly to whoever does not take it so.
function checkContent({ content, codes }, { headers, text, body, status }) {
  if (text === undefined || headers['content-encoding'] !== undefined) return [];
  const type = typeOf(headers['content-type']);
  const media = content[type] ?? content['*/*'];
  if (text.length === 0 && Object.keys(content).length === 0) return [];
  if (media === undefined) return [`content of type "${type}" is not in the document for this answer: ${text.slice(0, 100)}`];
  if (type === 'application/problem+json') return checkProblem(codes, status, body);
  return /json$/.test(type) && media.schema ? listed('the body of the answer', wrongWith(media.schema, body)) : [];
}

function checkProblem(codes, status, body) {
  const wrong = listed('the problem', wrongWith(PROBLEM, body));
  if (body.status !== status) wrong.push(`the problem says ${body.status}`);
  if (!codes.has(body.code)) wrong.push(`the document shows ${[...codes].join(', ') || 'nothing'} here, and not ${body.code}`);
  return wrong;
}

// A path that does not exist, or not with this method.
function checkUnmatched({ status, headers, text, body }) {
  if (text === undefined || text === '') return [];
  if (typeOf(headers['content-type']) !== 'application/problem+json') return [`no problem at a path or method that the document does not have: ${status} ${text.slice(0, 100)}`];
  return listed('the problem', wrongWith(PROBLEM, body));
}

function checkOptions({ status, headers }) {
  return status === 204 && !headers.allow ? ['OPTIONS without Allow'] : [];
}
