// What the verifier prints.

import { writeFile } from 'node:fs/promises';
import { counts } from './judge.mjs';

export function printVerdict(records, checks) {
  console.log('');
  for (const [what, count] of Object.entries(counts(records))) console.log(`${String(count).padStart(9)}  ${what}`);
  console.log('');
  for (const check of checks) {
    console.log(`${check.passed ? 'ok    ' : 'FAILED'} ${check.title} (${check.seen || 'nothing seen'})`);
    for (const witness of check.witnesses) console.log(`         ${witness}`);
    const more = check.failures - check.witnesses.length;
    if (more > 0) console.log(`         and ${more} more`);
  }
}

export function printTotals(seed, checks) {
  const failed = checks.filter((check) => !check.passed).length;
  console.log(`\nseed ${seed}`);
  console.log(`${checks.length - failed} passed, ${failed} failed`);
  return failed;
}

export async function writeReport(path, records, checks) {
  await writeFile(path, JSON.stringify({ seed: records.settings.seed, counts: counts(records), checks }, null, 2));
}
