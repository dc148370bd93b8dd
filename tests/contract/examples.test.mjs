// Every example in openapi.yaml is what its schema says, without a field more, and every event has one.
import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import { resolve } from './document.mjs';
import { checkEvent, document, events, operations } from './exchange.mjs';
import { wrongWith } from './schemas.mjs';

// [name, value] of each, whichever way it is written.
function valuesOf({ example, examples = {} }) {
  const named = Object.entries(examples).map(([name, reference]) => [name, resolve(document, reference).value]);
  return example === undefined ? named : [['example', example], ...named];
}

function* examplesOf({ body, parameters, responses }) {
  for (const { name, schema, example } of parameters) if (example !== undefined) yield [`parameter ${name}`, schema, example];
  if (body) yield* contentExamples('request', body.content);
  for (const [status, { content, headers }] of Object.entries(responses)) {
    yield* contentExamples(status, content);
    for (const [name, { schema, example }] of Object.entries(headers)) if (example !== undefined) yield [`${status} ${name}`, schema, example];
  }
}

function* contentExamples(where, content) {
  for (const media of Object.values(content)) for (const [name, value] of valuesOf(media)) yield [`${where} ${name}`, media.schema, value];
}

describe('examples', () => {
  for (const operation of operations) {
    it(`${operation.method} ${operation.path}`, () => {
      for (const [what, schema, value] of examplesOf(operation)) assert.equal(wrongWith(schema, value), null, what);
    });
  }
});

test('every request with a body and every success with one has an example', () => {
  const without = operations.flatMap(({ id, body, responses }) => {
    const contents = [['request', body?.content ?? {}], ...Object.entries(responses).map(([status, { content }]) => [status, content])];
    return contents.flatMap(([where, content]) => Object.values(content).filter((media) => valuesOf(media).length === 0).map(() => `${id} ${where}`));
  });
  assert.deepEqual(without, []);
});

const shown = valuesOf(operations.find(({ id }) => id === 'streamEvents').responses[200].content['text/event-stream']).map(([, value]) => value);

test('every event of the stream has an example', () => {
  const types = new Set(shown.map(({ type }) => type));
  assert.deepEqual(Object.keys(events).filter((type) => !types.has(type)), []);
});

test('the examples of events are what the schemas of their types say', () => {
  for (const event of shown) assert.deepEqual(checkEvent(event), [], event.type);
});
