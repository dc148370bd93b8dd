// Waiting, always for a condition or a stated time.

import { setTimeout as wait } from 'node:timers/promises';

export const sleep = (ms) => wait(ms);

/** Sleeps, but not beyond the moment when `signal` is aborted. */
export const sleepUnless = (signal, ms) => wait(ms, undefined, { signal }).catch(() => {});

/** True as soon as `condition()` is; false when the deadline passes first. */
export async function until(condition, deadlineMs, everyMs = 20) {
  const deadline = Date.now() + deadlineMs;
  while (!condition()) {
    if (Date.now() > deadline) return false;
    await sleep(everyMs);
  }
  return true;
}

/** Runs `work(item)` for all items, at most `width` at a time. */
export async function inParallel(items, width, work) {
  const rest = [...items];
  const lane = async () => {
    while (rest.length > 0) await work(rest.shift());
  };
  await Promise.all(Array.from({ length: width }, lane));
}
