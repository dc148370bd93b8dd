// Adds up what test processes have seen of the API, and fails unless it is all that openapi.yaml says:
//
// - every operation, with each status that it declares, and each problem code that it shows at a response of its own;
// - every type of event;
// - every problem code.
//
// A response that cannot be had on demand from each operation is shared (`$ref: '#/components/responses/…'`), named in ONCE, and has to be seen once,
// from any operation. What `default` stands for is seen by its problem codes.
//
// usage: node tests/contract/coverage.mjs FOLDER      what CONTRACT_COVERAGE named to the tests
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { events, document, operations } from './exchange.mjs';
import { problemCodes } from './document.mjs';

// Whether the server is full, draining or without its database or storage does not depend on the operation.
const ONCE = new Set(['Unavailable', 'StorageUnavailable']);

// Needs an upload to be completed between the reading and the writing of one request.
const UNSEEN_STATUSES = new Set(['getMedia 409', 'getMedia 409 conflict']);

// A mistake of the server: no test knows one.
const UNSEEN_CODES = new Set(['internal']);

function addUp(folder) {
  const total = { operations: {}, events: {}, codes: {} };
  for (const name of readdirSync(folder)) {
    const seen = JSON.parse(readFileSync(path.join(folder, name), 'utf8'));
    for (const [id, statuses] of Object.entries(seen.operations)) addTo((total.operations[id] ??= {}), statuses);
    addTo(total.events, seen.events);
    addTo(total.codes, seen.codes);
  }
  return total;
}

function addTo(sums, counts) {
  for (const [name, count] of Object.entries(counts)) sums[name] = (sums[name] ?? 0) + count;
}

export function missingFrom(seen) {
  return [...missingStatuses(seen), ...missingShared(seen), ...missingEvents(seen), ...missingCodes(seen)];
}

const declared = operations.flatMap((operation) =>
  Object.entries(operation.responses).map(([status, { shared }]) => ({ operation, status, shared })).filter(({ status }) => status !== 'default'));

// Shown at responses that no other operation has: [{operation, status: '409 conflict'}].
const shown = declared.filter(({ shared }) => shared === null).flatMap(({ operation, status }) =>
  [...operation.responses[status].codes].map((code) => ({ operation, status: `${status} ${code}` })));

const isSeen = (seen, { operation, status }) => seen.operations[operation.id]?.[status] > 0;

function missingStatuses(seen) {
  const wanted = [...declared.filter(({ shared }) => !ONCE.has(shared)), ...shown];
  const missing = wanted.filter((row) => !UNSEEN_STATUSES.has(`${row.operation.id} ${row.status}`) && !isSeen(seen, row));
  return missing.map(({ operation, status }) => `${operation.method} ${operation.path} (${operation.id}) was never answered with ${status}`);
}

function missingShared(seen) {
  const missing = [...ONCE].filter((shared) => !declared.some((row) => row.shared === shared && isSeen(seen, row)));
  return missing.map((shared) => `no operation ever answered with ${shared}`);
}

function missingEvents(seen) {
  return Object.keys(events).filter((type) => !(seen.events[type] > 0)).map((type) => `no stream ever showed ${type}`);
}

function missingCodes(seen) {
  return problemCodes(document).filter((code) => !UNSEEN_CODES.has(code) && !(seen.codes[code] > 0)).map((code) => `no answer ever had the problem code ${code}`);
}

function report(seen) {
  const missing = missingFrom(seen);
  for (const line of missing) console.log(`MISSING ${line}`);
  if (missing.length > 0) console.log('\nWrite a test in tests/api that has the server do it, or take it out of openapi.yaml. CONTRIBUTING.md says more ("The contract").\n');
  console.log(`Of ${declared.length} statuses of ${operations.length} operations, with ${shown.length} problem codes at them, ${Object.keys(events).length} types of ` +
    `events and ${problemCodes(document).length} problem codes in all, ${missing.length} are missing.`);
  return missing.length === 0;
}

process.exitCode = report(addUp(process.argv[2])) ? 0 : 1;
