// From what all devices received together: the log as it must have been, and
// with it who was a member of which chat from where to where.

import { isEvent } from '../sse.mjs';

export const byPosition = (a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

const MESSAGE_TYPES = new Set(['message.created', 'message.edited', 'message.deleted']);

export const isMessageEvent = (event) => MESSAGE_TYPES.has(event.type);

/** What must be equal in every copy of an event. A message's content is not
 *  part of it: a copy that is read later shows the message as it is then. */
function identity(json) {
  return {
    type: json.type,
    chat: json.chat_id ?? null,
    rev: json.rev ?? null,
    actor: json.actor_id ?? null,
    member: json.member?.user_id ?? null,
    role: json.member?.role ?? null,
    message: json.message?.id ?? null,
    seq: json.message?.seq ?? null,
  };
}

class Log {
  constructor() {
    this.events = new Map(); // id text -> event
    this.chats = new Map(); // chat id -> {id, events, created, deleted, messages, stays}
    this.userEvents = new Map(); // user id -> events without a chat
    this.conflicts = [];
  }

  add(frame, reader) {
    const known = this.events.get(frame.id);
    if (!known) return this.addNew(frame, reader);
    if (known.frames.has(frame)) return this.checkOwner(known, reader);
    known.frames.add(frame);
    this.compare(known, frame, reader);
    return this.checkOwner(known, reader);
  }

  addNew(frame, reader) {
    const event = { id: frame.position, idText: frame.id, ...identity(frame.json), frames: new Set([frame]) };
    this.events.set(frame.id, event);
    if (event.chat === null) {
      event.user = reader.user;
      push(this.userEvents, reader.user, event);
    } else {
      this.chat(event.chat).events.push(event);
    }
  }

  compare(event, frame, reader) {
    const other = identity(frame.json);
    for (const [name, value] of Object.entries(other)) {
      if (value === event[name]) continue;
      this.conflicts.push(`event ${frame.id} has ${name} ${value} on ${reader.name}, ${event[name]} elsewhere`);
    }
  }

  checkOwner(event, reader) {
    if (event.chat === null && event.user !== reader.user) {
      this.conflicts.push(`event ${event.idText} (${event.type}) of user ${event.user} was sent to user ${reader.user}`);
    }
  }

  chat(id) {
    let chat = this.chats.get(id);
    if (!chat) {
      chat = { id, events: [], messages: new Map(), stays: new Map(), created: null, deleted: null };
      this.chats.set(id, chat);
    }
    return chat;
  }
}

function push(map, key, value) {
  if (map.has(key)) map.get(key).push(value);
  else map.set(key, [value]);
}

/** chat.messages: id text -> {id, idText, seq, created, versions: events that
 *  changed it, by rev}. */
function collectMessages(chat) {
  for (const event of chat.events) {
    if (!isMessageEvent(event) || event.message === null) continue;
    let message = chat.messages.get(event.message);
    if (!message) {
      message = { idText: event.message, id: BigInt(event.message), seq: event.seq, created: null, versions: [] };
      chat.messages.set(event.message, message);
    }
    if (event.type === 'message.created') message.created = event;
    message.versions.push(event);
  }
}

function begin(chat, user, event) {
  if (openStay(chat, user)) return;
  push(chat.stays, user, { from: event.id, to: null });
}

function end(chat, user, event) {
  const stay = openStay(chat, user);
  if (stay) stay.to = event.id;
}

function openStay(chat, user) {
  return chat.stays.get(user)?.find((stay) => stay.to === null);
}

/** Both bounds are inclusive. The first members are those of the request that
 *  made the chat. */
function collectStays(chat, record) {
  for (const event of chat.events) {
    if (event.type === 'chat.created') {
      chat.created = event;
      for (const user of record ? [record.owner, ...record.members] : []) begin(chat, user, event);
    } else if (event.type === 'member.added') {
      begin(chat, event.member, event);
    } else if (event.type === 'member.removed') {
      end(chat, event.member, event);
    } else if (event.type === 'chat.deleted') {
      chat.deleted = event;
      for (const user of chat.stays.keys()) end(chat, user, event);
    }
  }
}

export function rebuild(records) {
  const log = new Log();
  for (const reader of records.readers) {
    for (const connection of reader.connections) {
      for (const frame of connection.frames) {
        if (!frame.problem && isEvent(frame)) log.add(frame, reader);
      }
    }
  }
  const made = new Map(records.chats.filter((chat) => chat.id !== null).map((chat) => [chat.id, chat]));
  for (const chat of log.chats.values()) {
    chat.record = made.get(chat.id) ?? null;
    chat.events.sort(byPosition);
    collectMessages(chat);
    collectStays(chat, chat.record);
  }
  for (const events of log.userEvents.values()) events.sort(byPosition);
  return log;
}

export function staysOf(chat, user) {
  return chat?.stays.get(user) ?? [];
}

export function covers(stay, id) {
  return stay.from <= id && (stay.to === null || id <= stay.to);
}

export function wasIn(chat, user, id) {
  return staysOf(chat, user).some((stay) => covers(stay, id));
}

export function isMember(chat, user) {
  return staysOf(chat, user).some((stay) => stay.to === null);
}

/** The messages that history shows the user at the end, in order. */
export function visibleMessages(chat, user) {
  const fromBeginning = chat.record?.history === 'all' && isMember(chat, user);
  return [...chat.messages.values()]
    .filter((message) => message.created && (fromBeginning || wasIn(chat, user, message.id)))
    .sort(byPosition);
}

/** May the user see the text that this version gave the message? After a
 *  rejoin, changes made in between may be shown. */
export function maySeeVersion(chat, user, version) {
  return wasIn(chat, user, version.id) || isMember(chat, user) ||
    staysOf(chat, user).some((stay) => stay.from > version.id);
}

/** "event 1234 (message.created, rev 5 of chat 7)" */
export function name(event) {
  const where = event.chat === null ? '' : `, rev ${event.rev} of chat ${event.chat}`;
  const seq = event.seq === null ? '' : `, seq ${event.seq}`;
  return `event ${event.idText} (${event.type}${where}${seq})`;
}
