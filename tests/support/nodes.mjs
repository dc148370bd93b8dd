// Several servers on one database.
import { createDatabase } from './database.mjs';
import { startServerFor } from './server.mjs';

// Nodes of one test, numbered from 0; the database goes with the test.
export async function startNodesFor(t, count, env = {}) {
  const database = createDatabase();
  const nodes = [];
  for (let node = 0; node < count; node++) {
    nodes.push(await startServerFor(t, { env: { PARLEY_DB: database.url, PARLEY_NODE: `node-${node}`, ...env } }));
  }
  t.after(() => database.drop());
  return nodes;
}
