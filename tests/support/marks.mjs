// What waits to be stored: marks of what was read and delivered.
import { Client } from './client.mjs';
import { eventually } from './wait.mjs';

async function countWaiting(server) {
  const { text } = await new Client(server).get('/metrics');
  return Number(/^parley_marks_waiting (\d+)$/m.exec(text)[1]);
}

// Nothing waits any more: what was answered until now outlives a kill.
export async function allStored(server) {
  await eventually(async () => (await countWaiting(server)) === 0, 'all marks are stored');
}
