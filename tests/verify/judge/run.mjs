// Checks of the run itself: that the server came back each time, and that
// enough happened for the other checks to mean something.

import { acknowledged } from '../records.mjs';
import { isEvent, isHeartbeat } from '../sse.mjs';

export function serverReturned({ records }, fail) {
  for (const failure of records.server.failures) fail(failure);
  return `${records.server.kills} kills, ${records.server.starts} starts`;
}

function sum(connections, wanted) {
  return connections.reduce((total, { frames }) => total + frames.filter(wanted).length, 0);
}

/** A server without a balancer before it has no name, and is one. */
const nodesOf = (list) => new Set(list.map(({ node }) => node)).size;

export function counts(records) {
  const answered = (list) => list.filter(acknowledged).length;
  const connections = records.readers.flatMap((reader) => reader.connections);
  return {
    kills: records.server.kills,
    'absences of the database': records.absences.database,
    'absences of Redis': records.absences.redis,
    'servers frozen': records.absences.frozen,
    'nodes that answered posts': nodesOf(records.posts.flatMap((post) => post.attempts.filter(({ status }) => status === 201))),
    'nodes that sent events': nodesOf(connections.filter(({ frames }) => frames.some(isEvent))),
    'messages acknowledged': answered(records.posts),
    'posts repeated': records.posts.filter((post) => post.attempts.length > 1).length,
    'edits and deletes acknowledged': answered(records.changes),
    'membership changes acknowledged': answered(records.memberships),
    'events checked': sum(connections, (frame) => isEvent(frame)),
    'heartbeats checked': sum(connections, (frame) => isHeartbeat(frame)),
    streams: records.readers.length,
    'cuts in the middle of an event': records.cuts.midEvent,
    'other cuts': records.cuts.other,
    reconnects: connections.filter(({ resume, status }) => resume !== null && status === 200).length,
    resets: sum(connections, ({ json }) => json?.type === 'reset'),
    closings: sum(connections, ({ json }) => json?.type === 'closing'),
  };
}

/** `records.settings.minimum` names counts and how many there must be. */
export function enoughHappened({ records }, fail) {
  const found = counts(records);
  for (const [what, least] of Object.entries(records.settings.minimum ?? {})) {
    if (!(found[what] >= least)) fail(`${what}: ${found[what]}, wanted at least ${least}`);
  }
  return `${Object.keys(records.settings.minimum ?? {}).length} minimums`;
}
