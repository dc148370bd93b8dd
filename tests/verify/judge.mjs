// The verdict: a pure function of the records of a run.

import { rebuild } from './judge/log.mjs';
import * as chats from './judge/chats.mjs';
import * as delivery from './judge/delivery.mjs';
import * as messages from './judge/messages.mjs';
import * as pages from './judge/pages.mjs';
import * as run from './judge/run.mjs';
import * as streams from './judge/streams.mjs';

const WITNESSES = 3;

/** Each check is `(evidence, fail) => what it looked at`; `fail` takes a
 *  witness. The names are stable: broken.mjs expects failures by name. */
export const CHECKS = [
  ['enough_happened', 'the run did what it was asked to do', run.enoughHappened],
  ['server_returned', 'the server came back after each kill and never ended by itself', run.serverReturned],
  ['answers', 'every request was answered as expected', chats.answersExpected],
  ['streams_accepted', 'no stream was refused', streams.streamsAccepted],
  ['caught_up', 'every device read to the final head', streams.everybodyCaughtUp],
  ['frames', 'every frame has the promised form and ready comes first', streams.wellFormed],
  ['no_resets', 'no stream was reset or sent away', streams.noResets],
  ['ready_at_token', 'ready stands at the token that the client came with', streams.readyAtToken],
  ['ids_increase', 'ids go up on each connection and never back behind its token', streams.idsIncrease],
  ['once_a_connection', 'no event came twice on one connection', streams.onceAConnection],
  ['same_events', 'every id is the same event on every device', chats.sameEventsEverywhere],
  ['acknowledged', 'every acknowledged message is on every device of every member', delivery.acknowledgedArrived],
  ['everything', 'every event is on every device of every member', delivery.everythingArrived],
  ['within_stays', 'no event from before a membership or after its end', delivery.withinStays],
  ['no_later_text', 'no text that was written after the reader had left', delivery.noLaterText],
  ['dense_chats', 'rev and seq of each chat go 1, 2, 3 … without a hole', chats.denseInChats],
  ['dense_stays', 'rev and seq are dense within each stay on each device', delivery.denseOnDevices],
  ['wall_order', 'who posted after an answer stands after it', chats.wallOrder],
  ['last_state', 'events carry the message at least as new as themselves', delivery.lastStateArrived],
  ['same_content', 'each rev of a message is the same on streams, in answers and in history', messages.sameContent],
  ['posts_once', 'answered posts exist once, unanswered ones at most once, refused ones not', messages.postsOnce],
  ['posts_as_sent', 'messages are what was posted', messages.postsAsSent],
  ['changes', 'acknowledged edits and deletes are reflected', messages.changesReflected],
  ['chain', 'the chain recomputes from the first message on', chats.chainRight],
  ['memberships', 'the log has exactly the joins and leaves that were answered', chats.membershipsRight],
  ['pages_during', 'history pages read meanwhile are in order and fresh', pages.pagesDuring],
  ['snapshots', 'lists and their as_of fit together', chats.snapshotsRight],
  ['final_history', 'history over REST equals what the streams delivered', pages.finalHistory],
  ['final_heads', 'chats and member lists over REST equal what the streams told', chats.headsRight],
];

function runCheck([name, title, check], evidence) {
  const witnesses = [];
  let failures = 0;
  let seen = '';
  const fail = (witness) => {
    failures += 1;
    if (witnesses.length < WITNESSES) witnesses.push(witness);
  };
  try {
    seen = check(evidence, fail);
  } catch (error) {
    fail(`the check itself broke: ${error.stack}`);
  }
  return { name, title, passed: failures === 0, failures, seen, witnesses };
}

/** [{name, title, passed, failures, seen, witnesses}] */
export function judge(records) {
  const log = rebuild(records);
  const evidence = {
    records,
    log,
    deliveries: delivery.collectDeliveries(records),
    contents: new messages.Contents(records, log),
  };
  return CHECKS.map((check) => runCheck(check, evidence));
}

export { counts } from './judge/run.mjs';
