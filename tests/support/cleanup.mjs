// Cleaning up on command.
import assert from 'node:assert/strict';
import { FAULT_BINARY, startServerFor } from './server.mjs';

// Why a test that moves the clock is skipped, or false.
export const NO_CLOCK = FAULT_BINARY ? false : 'PARLEY_FAULT_BINARY names no build with a clock that can be moved';

// A test's server that only cleans up when it is told to.
export const startManual = (t, env, clock = false) => startServerFor(t, { clock, env: { PARLEY_CLEANUP_INTERVAL: '0', ...env } });

export async function cleanUp(server, ...options) {
  const { code, stderr } = await server.parley(['cleanup', '--once', ...options]);
  assert.equal(code, 0, stderr);
}
