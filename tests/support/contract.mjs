// Holds what tests exchange with a server against openapi.yaml, and notes what they have seen of it.
//
// What is wrong fails the request that found it; and because some tests expect requests to fail, it is said again at the end of the process, which then fails.
// With CONTRACT_COVERAGE=FOLDER each process writes there what it has seen, for tests/contract/coverage.mjs.
//
// Without the packages of tests/package.json nothing is checked, or the tests fail when CI is set.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const SHOWN = 20;
const SHOWN_PATH = 150;
const { CI, CONTRACT_COVERAGE } = process.env;

const contract = await import('../contract/exchange.mjs').catch((error) => {
  if (CI || error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
  return null;
});

const violations = [];
const seen = { operations: {}, events: {}, codes: {} };

// request: {method, path, headers, payload}; response: {status, headers, text, body}, `text` undefined when the body is a stream.
export function holdExchange(request, response) {
  if (contract === null) return;
  const { operation, wrong } = contract.checkExchange(request, response);
  note(operation, response);
  refuse(`${request.method} ${request.path.slice(0, SHOWN_PATH)} ${response.status}`, wrong);
}

// A status, and a problem's code with its status.
function note(operation, { status, body }) {
  const statuses = operation === null ? {} : (seen.operations[operation.id] ??= {});
  count(statuses, status);
  if (body?.code === undefined) return;
  count(statuses, `${status} ${body.code}`);
  count(seen.codes, body.code);
}

export function holdEvent(event) {
  if (contract === null) return;
  count(seen.events, event.type);
  refuse('GET /v1/events', contract.checkEvent(event));
}

function count(counts, name) {
  counts[name] = (counts[name] ?? 0) + 1;
}

function refuse(where, wrong) {
  if (wrong.length === 0) return;
  const violation = `not as openapi.yaml says: ${where}: ${wrong.join('\n  ')}`;
  violations.push(violation);
  throw new Error(violation);
}

process.on('exit', () => {
  if (violations.length > 0) process.exitCode = 1;
  for (const violation of new Set(violations.slice(0, SHOWN))) console.error(violation);
  if (CONTRACT_COVERAGE) writeSeen();
});

function writeSeen() {
  mkdirSync(CONTRACT_COVERAGE, { recursive: true });
  writeFileSync(path.join(CONTRACT_COVERAGE, `${process.pid}.json`), JSON.stringify(seen));
}
