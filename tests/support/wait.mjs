// Waiting for a condition, with a deadline. Tests never sleep instead of waiting.
import { setTimeout as delay } from 'node:timers/promises';

// A guard against hanging, and no measure of anything: a machine that is busy, or stands still for a while, must not come near it.
export const DEADLINE_MS = 30_000;
const POLL_MS = 20;

// Resolves as `promise` does, or rejects once `ms` have passed.
export async function withDeadline(promise, what, ms = DEADLINE_MS) {
  let timer;
  const expired = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, expired]);
  } finally {
    clearTimeout(timer);
  }
}

// Calls `check` until it returns something truthy, and returns that. An error it throws counts
// as "not yet"; the last one is reported when the deadline passes.
export async function eventually(check, what, ms = DEADLINE_MS) {
  const end = Date.now() + ms;
  let last;
  while (Date.now() < end) {
    try {
      const result = await check();
      if (result) return result;
      last = undefined;
    } catch (error) {
      last = error;
    }
    await delay(POLL_MS);
  }
  throw new Error(`not within ${ms} ms: ${what}`, { cause: last });
}
