// Sends a request of one operation and shows what comes back. The token is in the page's memory only.
import { element, listing } from './dom.js';

const SHOWN_CHARACTERS = 200_000;
let fields = 0;

const encode = (value, isRest) => (isRest ? value.split('/').map(encodeURIComponent).join('/') : encodeURIComponent(value));

// What the form says: {url, method, headers, body}; `token` null: none.
function requestOf({ method, path, contentType }, inputs, token) {
  const given = inputs.filter(({ input }) => input.value !== '' && !input.disabled);
  const values = (place) => given.filter(({ parameter }) => parameter.in === place);
  const inPath = new Map(values('path').map(({ parameter, input }) => [parameter.name, input.value]));
  const query = values('query').map(({ parameter, input }) => `${encode(parameter.name)}=${encode(input.value)}`).join('&');
  const filled = path.replace(/\{([^}]*)\}/g, (_, name) => encode(inPath.get(name) ?? '', name === 'page' || name === 'object'));
  const headers = Object.fromEntries(values('header').map(({ parameter, input }) => [parameter.name, input.value]));
  if (token) headers.Authorization = `Bearer ${token}`;
  const body = given.find(({ parameter }) => parameter.in === 'body')?.input.value;
  if (body !== undefined && contentType !== '*/*') headers['Content-Type'] = contentType;
  return { method, url: filled + (query && `?${query}`), headers, body };
}

const quote = (text) => `'${text.replaceAll("'", String.raw`'\''`)}'`;

export function curlOf({ method, url, headers, body }, origin) {
  const parts = ['curl', ...(method === 'GET' || (method === 'POST' && body !== undefined) ? [] : ['-X', method]), quote(origin + url)];
  for (const [name, value] of Object.entries(headers)) parts.push('-H', quote(name === 'Authorization' ? 'Authorization: Bearer …' : `${name}: ${value}`));
  if (body !== undefined) parts.push('-d', quote(body));
  return parts.join(' ');
}

function field(label, input, hint) {
  input.id = `field-${fields++}`;
  return element('div', { class: 'field' }, element('label', { for: input.id }, label, element('span', {}, hint)), input);
}

function inputOf(contract, parameter) {
  const schema = contract.merged(parameter.schema ?? {});
  const options = schema.enum ?? (schema.type === 'boolean' ? [true, false] : null);
  const input = options
    ? element('select', {}, element('option', { value: '' }, ''), options.map((value) => element('option', {}, String(value))))
    : element('input', { type: 'text', spellcheck: 'false', autocomplete: 'off', placeholder: String(contract.examples(parameter)[0]?.value ?? '') });
  if (parameter.required && parameter.in !== 'path') input.value = String(contract.examples(parameter)[0]?.value ?? '');
  return input;
}

// A browser sets these by itself.
const FORBIDDEN = ['Accept-Encoding', 'Cookie', 'Host', 'Origin', 'Content-Length'];

export function tryForm(contract, entry, getToken, setToken) {
  const inputs = entry.parameters.filter(({ name }) => !FORBIDDEN.includes(name)).map((parameter) => ({ parameter, input: inputOf(contract, parameter) }));
  const rows = inputs.map(({ parameter, input }) => field(parameter.name, input, ` ${parameter.in}${parameter.required ? ', required' : ''}`));
  const [contentType, media] = Object.entries(contract.value(entry.operation.requestBody).content ?? {})[0] ?? [];
  if (media) {
    const sample = contract.sample(media);
    const input = element('textarea', { rows: 8, spellcheck: 'false' });
    input.value = typeof sample === 'string' ? sample : JSON.stringify(sample, null, 2);
    input.rows = Math.min(16, input.value.split('\n').length + 1);
    inputs.push({ parameter: { in: 'body' }, input });
    rows.push(field('Body', input, ` ${contentType}`));
  }
  const answer = element('div', { class: 'answer', role: 'status', 'aria-live': 'polite' });
  const stop = element('button', { type: 'button', hidden: true, onclick: () => running?.abort() }, 'Stop');
  let running = null;
  const send = async (event) => {
    event.preventDefault();
    running?.abort();
    running = new AbortController();
    const { signal } = running;
    stop.hidden = false;
    const request = requestOf({ ...entry, contentType }, inputs, entry.security.length > 0 ? getToken() : null);
    await exchange(request, answer, signal, setToken);
    if (running?.signal === signal) stop.hidden = true;
  };
  return element('form', { class: 'try', onsubmit: send }, rows, element('div', { class: 'actions' }, element('button', { type: 'submit', class: 'primary' }, 'Send'), stop), answer);
}

async function exchange({ method, url, headers, body }, answer, signal, setToken) {
  const started = performance.now();
  const curl = listing(curlOf({ method, url, headers, body }, location.origin), 'The same by curl');
  answer.replaceChildren(curl, element('p', {}, 'Waiting …'));
  try {
    const response = await fetch(url, { method, headers, body, signal, credentials: 'omit', cache: 'no-store' });
    const took = Math.round(performance.now() - started);
    const status = element('p', { class: `status ${response.ok ? 'good' : 'bad'}` }, `${response.status} ${response.statusText}`, element('span', {}, ` ${took} ms`));
    const heads = element('details', {}, element('summary', {}, 'Headers'), listing([...response.headers].map(([name, value]) => `${name}: ${value}`).join('\n'), 'Headers'));
    const output = element('pre', { tabindex: '0', 'aria-label': 'Body of the answer' }, element('code'));
    answer.replaceChildren(curl, status, heads, output);
    const text = await show(response, output.firstChild);
    if (text === '') output.remove();
    noteToken(text, setToken, answer);
  } catch (error) {
    answer.append(element('p', { class: 'status bad' }, error.name === 'AbortError' ? 'Stopped' : `No answer: ${error.message}`));
  }
}

// Streams are shown as they arrive.
async function show(response, output) {
  const type = response.headers.get('Content-Type') ?? '';
  if (!/json|text|yaml|xml|event-stream/.test(type)) {
    const bytes = await response.blob();
    output.textContent = bytes.size > 0 ? `${bytes.size} bytes of ${type}` : '';
    return output.textContent;
  }
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (let piece = await reader?.read(); piece && !piece.done; piece = await reader.read()) {
    text = (text + piece.value).slice(-SHOWN_CHARACTERS);
    output.textContent = text;
  }
  if (/json/.test(type) && text !== '') output.textContent = pretty(text);
  return text;
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

// Who registers or logs in here can go on with what came back.
function noteToken(text, setToken, answer) {
  const token = /"access_token":"([^"]+)"/.exec(text)?.[1];
  if (!token) return;
  setToken(token);
  answer.append(element('p', { class: 'note' }, 'The token of this answer is used from here on.'));
}
