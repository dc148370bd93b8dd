// Checks of what each device received in all its connections together.

import { acknowledged } from '../records.mjs';
import { isEvent } from '../sse.mjs';
import { byPosition, covers, isMessageEvent, maySeeVersion, name, staysOf, wasIn } from './log.mjs';

/** For each reader: {reader, from, received: Map id text -> frames}. `from` is
 *  the token it began with, or where its first connection stood. */
export function collectDeliveries(records) {
  return records.readers.map((reader) => {
    const received = new Map();
    let from = reader.from === null ? null : BigInt(reader.from);
    for (const { frames } of reader.connections) {
      for (const frame of frames) {
        if (frame.problem || frame.position === undefined) continue;
        from ??= frame.position;
        if (!isEvent(frame)) continue;
        if (received.has(frame.id)) received.get(frame.id).push(frame);
        else received.set(frame.id, [frame]);
      }
    }
    return { reader, from, received };
  });
}

function* owed(log, user, from) {
  for (const event of log.userEvents.get(user) ?? []) if (event.id > from) yield event;
  for (const chat of log.chats.values()) {
    if (!chat.stays.has(user)) continue;
    for (const event of chat.events) if (event.id > from && wasIn(chat, user, event.id)) yield event;
  }
}

/** Every event of every chat within the user's stays, on each of its devices. */
export function everythingArrived({ log, deliveries }, fail) {
  let events = 0;
  for (const { reader, from, received } of deliveries) {
    if (from === null) continue;
    for (const event of owed(log, reader.user, from)) {
      events += 1;
      if (!received.has(event.idText)) fail(`${reader.name} never received ${name(event)}`);
    }
  }
  return `${events} deliveries`;
}

/** Every answered message is in the log and on each member's each device. */
export function acknowledgedArrived({ records, log, deliveries }, fail) {
  let answered = 0;
  for (const post of records.posts) {
    const answer = acknowledged(post)?.body;
    if (!answer) continue;
    answered += 1;
    const chat = log.chats.get(post.chat);
    const event = log.events.get(answer.id);
    if (!event || event.message !== answer.id) {
      fail(`message ${answer.id} (${post.tag}, seq ${answer.seq} of chat ${post.chat}) was answered 2xx and no device received it`);
      continue;
    }
    if (!wasIn(chat, post.user, event.id)) fail(`message ${answer.id} (${post.tag}) was accepted from ${post.user}, who was no member then`);
    for (const missing of devicesWithout(chat, event, deliveries)) {
      fail(`message ${answer.id} (${post.tag}, seq ${answer.seq} of chat ${post.chat}) was answered 2xx and never reached ${missing}`);
    }
  }
  return `${answered} messages`;
}

function devicesWithout(chat, event, deliveries) {
  return deliveries
    .filter(({ reader, from, received }) => from !== null && event.id > from &&
      wasIn(chat, reader.user, event.id) && !received.has(event.idText))
    .map(({ reader }) => reader.name);
}

/** Nothing from before a membership or after its end. */
export function withinStays({ log, deliveries }, fail) {
  let events = 0;
  for (const { reader, from, received } of deliveries) {
    for (const idText of received.keys()) {
      const event = log.events.get(idText);
      events += 1;
      if (event.id <= from) fail(`${reader.name} began at ${from} and received ${name(event)}`);
      if (event.chat === null) continue;
      if (!wasIn(log.chats.get(event.chat), reader.user, event.id)) {
        fail(`${reader.name} received ${name(event)} outside its stays ${describeStays(log, event.chat, reader.user)}`);
      }
    }
  }
  return `${events} events`;
}

function describeStays(log, chatId, user) {
  const stays = staysOf(log.chats.get(chatId), user);
  return `[${stays.map(({ from, to }) => `${from}..${to ?? ''}`).join(', ')}]`;
}

/** No text that a message got after the reader had left for good. */
export function noLaterText({ log, deliveries }, fail) {
  let messages = 0;
  for (const { reader, received } of deliveries) {
    for (const frames of received.values()) {
      for (const { json } of frames) {
        if (json.message?.text === undefined) continue;
        messages += 1;
        const leak = laterVersion(log, reader.user, json.message);
        if (leak) fail(`${reader.name} received the text that message ${json.message.id} got by ${name(leak)}, after it had left`);
      }
    }
  }
  return `${messages} texts`;
}

export function versionOf(chat, message) {
  return chat?.messages.get(message.id)?.versions.find((version) => version.rev === message.rev);
}

export function laterVersion(log, user, message) {
  const chat = log.chats.get(message.chat_id);
  const version = versionOf(chat, message);
  return version && !maySeeVersion(chat, user, version) ? version : null;
}

/** What a device can check by itself: in each stay rev and seq go 1 by 1. */
export function denseOnDevices({ log, deliveries }, fail) {
  let stays = 0;
  for (const { reader, received } of deliveries) {
    const chats = new Map();
    for (const idText of received.keys()) {
      const event = log.events.get(idText);
      if (event.chat === null) continue;
      if (chats.has(event.chat)) chats.get(event.chat).push(event);
      else chats.set(event.chat, [event]);
    }
    for (const [id, events] of chats) {
      for (const stay of staysOf(log.chats.get(id), reader.user)) {
        stays += 1;
        const inStay = events.filter((event) => covers(stay, event.id)).sort(byPosition);
        checkDense(inStay, (problem) => fail(`${reader.name}, chat ${id}: ${problem}`));
      }
    }
  }
  return `${stays} stays`;
}

/** `events` in order of id: rev and, of messages, seq without a hole. */
export function checkDense(events, fail) {
  let rev = null;
  let seq = null;
  for (const event of events) {
    if (rev !== null && event.rev !== rev + 1) fail(`rev ${event.rev} follows ${rev} at ${name(event)}`);
    rev = event.rev;
    if (event.type !== 'message.created') continue;
    if (seq !== null && event.seq !== seq + 1) fail(`seq ${event.seq} follows ${seq} at ${name(event)}`);
    seq = event.seq;
  }
}

/** A device ends with each message in the state of its last change within the
 *  user's stays, or a later one. */
export function lastStateArrived({ log, deliveries }, fail) {
  let messages = 0;
  for (const { reader, received } of deliveries) {
    for (const [idText, frames] of received) {
      const event = log.events.get(idText);
      if (!isMessageEvent(event)) continue;
      messages += 1;
      for (const { json } of frames) {
        if (json.message?.withheld || json.message?.rev === undefined) continue;
        if (json.message.rev < event.rev) fail(`${reader.name}: ${name(event)} carries the message as of rev ${json.message.rev}`);
      }
    }
  }
  return `${messages} messages`;
}
