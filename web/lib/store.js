// The state of this tab: what lists answered and what events said since. Views read it and are told by topics what has changed:
//
//   me, connection, people, chats, chat:ID, messages:ID, outbox:ID, typing:ID, receipts:ID, pins:ID, members:ID, presence, blocks, contacts, devices
import { get, getAll, put } from './api.js';
import { Chats } from './chats.js';
import { Emitter } from './emitter.js';
import { laterId } from './ids.js';
import { Outbox } from './outbox.js';
import { People } from './people.js';
import { Receipts } from './receipts.js';
import { Timeline } from './timeline.js';

const TIMELINES_MAX = 6;
const TYPING_MS = 6000;
const WATCHED_MAX = 200;
const READ_AFTER_MS = 250;
const OWN_REACTIONS_MAX = 2000;
const QUOTED_MAX = 200;
const NONE = new Set();

export class Store {
  #stream;
  #tellUser;
  #timelines = new Map();
  #receipts = new Map();
  #pins = new Map();
  #typing = new Map();
  #reading = new Map();
  #own = new Map();
  #quoted = new Map();
  #expiry = null;
  #arrived = null;
  #started = null;
  #watched = 0;
  emitter = new Emitter();
  connection = { state: 'connecting', retry_at: null };
  presence = new Map();
  blocked = new Set();
  contacts = new Map();

  // `tellUser(kind, details)` is for what the whole page must react to: `message`, `signed-out`, `left`, `request`, `declined`, `failed`.
  constructor(me, stream, tellUser) {
    this.me = me;
    this.#stream = stream;
    this.#tellUser = tellUser;
    this.people = new People(this.emitter);
    this.people.put(me);
    this.chats = new Chats(this.emitter, me.id);
    this.outbox = new Outbox(this.emitter, me.id, (message) => this.applyMessage(message));
  }

  on(topic, listener) {
    return this.emitter.on(topic, listener);
  }

  nameOf(user_id) {
    if (user_id === this.me.id) return this.me.display_name;
    return this.contacts.get(user_id)?.name ?? this.people.get(user_id)?.display_name ?? '…';
  }

  titleOf(chat) {
    return chat.type === 'direct' ? this.nameOf(chat.peer_id) : chat.title;
  }

  // ---- what the stream says

  hear(message) {
    if (message.kind === 'state') this.#setConnection(message);
    if (message.kind === 'presence') this.#setPresence(message.items);
    if (message.kind === 'event') this.#apply(message);
  }

  #setConnection({ state, retry_at }) {
    this.connection = { state, retry_at };
    this.emitter.changed('connection');
    if (state === 'ended') this.#tellUser('signed-out', {});
    if (state !== 'live') return;
    this.outbox.wake();
    this.#started ??= this.#start();
  }

  // The lists are read once the stream stands: what happens while they are on their way comes by the stream.
  async #start() {
    for (let done = false; !done;) {
      try {
        await Promise.all([this.chats.reload(), this.#loadPeople(), ...this.#openedEarly()]);
        done = true;
      } catch (error) {
        if (!error.mayPass) return;
      }
    }
    this.#watchPeers();
    this.on('chats', () => this.#watchPeers());
  }

  // A chat whose history was read before the stream stood is read again.
  #openedEarly() {
    return [...this.#timelines.values()].filter((timeline) => timeline.atEnd).map((timeline) => timeline.openEnd());
  }

  async #loadPeople() {
    const [blocks, contacts] = await Promise.all([getAll('/v1/blocks'), getAll('/v1/contacts', 5000)]);
    this.blocked = new Set(blocks.map((block) => block.user_id));
    this.contacts = new Map(contacts.map((contact) => [contact.user_id, contact]));
    for (const topic of ['blocks', 'contacts', 'people']) this.emitter.changed(topic);
  }

  #apply({ id, event, resumed, notify }) {
    const { chat_id, rev } = event;
    if (chat_id && rev) this.chats.advance(chat_id, rev, id);
    handlers[event.type]?.(this, event, { resumed, notify });
    if (id && event.type.startsWith('message.')) this.#acknowledge(id);
  }

  // After a reconnect: what only matters while it lasts was not repeated.
  reconnected(event, resumed) {
    if (event.user_id !== this.me.id) return location.reload();
    if (!this.chats.loaded) return undefined;
    if (!resumed) return this.reset();
    this.chats.reload().catch(() => {});
    for (const chat_id of this.#receipts.keys()) this.loadReceipts(chat_id);
    return undefined;
  }

  // The stream could not go on where it was: everything is read again.
  async reset() {
    const shown = [...this.#timelines];
    this.#receipts.clear();
    this.#pins.clear();
    await this.chats.startAgain().catch(() => {});
    for (const [chat_id, timeline] of shown) this.chats.get(chat_id) ? timeline.startAgain().catch(() => {}) : this.#timelines.delete(chat_id);
    this.#loadPeople().catch(() => {});
    this.emitter.changed('connection');
  }

  // This device has what came up to `id`. Where messages disappear once they were delivered, only what somebody has looked at counts.
  #acknowledge(id) {
    this.#arrived = laterId(this.#arrived, id);
    if (!this.chats.some((chat) => chat.until_delivered && chat.unread > 0)) this.#stream.acknowledge(this.#arrived);
  }

  // ---- messages

  // The window onto a chat's history. Those that were not looked at for long are forgotten.
  timeline(chat_id) {
    const known = this.#timelines.get(chat_id) ?? new Timeline(chat_id, () => this.#timelineChanged(chat_id));
    this.#timelines.delete(chat_id);
    this.#timelines.set(chat_id, known);
    if (this.#timelines.size > TIMELINES_MAX) this.#timelines.delete(this.#timelines.keys().next().value);
    return known;
  }

  #timelineChanged(chat_id) {
    this.#scheduleExpiry();
    this.emitter.changed(`messages:${chat_id}`);
  }

  #scheduleExpiry() {
    clearTimeout(this.#expiry);
    const now = Date.now();
    const dates = [...this.#timelines.values()].map((timeline) => timeline.expire(now)).filter((at) => at !== null);
    if (dates.length === 0) return;
    const wait_ms = Math.min(Math.max(Math.min(...dates) - now, 0) + 50, 86_400_000);
    this.#expiry = setTimeout(() => { for (const id of this.#timelines.keys()) this.#timelineChanged(id); }, wait_ms);
  }

  // A message as an answer or an event shows it, new or changed.
  applyMessage(message, { isNew = true, notify = false } = {}) {
    if (isNew && message.client_key && message.sender_id === this.me.id) this.outbox.settle(message.client_key);
    const unknown = isNew && this.#isUnknown(message);
    const timeline = this.#timelines.get(message.chat_id);
    if (isNew && timeline?.contradicts(message)) return this.reset();
    if (isNew) timeline?.add(message, this.#reading.get(message.chat_id)?.atEnd ?? true);
    else timeline?.change(message);
    if (isNew) this.chats.addMessage(message);
    else this.chats.changeMessage(message);
    if (isNew && message.sender_id) this.#senderWasHere(message);
    if (message.withheld) this.#fetchWithheld(message);
    if (unknown && !message.hidden && message.sender_id !== this.me.id) this.#tellUser('message', { message, notify });
    return undefined;
  }

  // Who writes types no longer, and has read what was there: nobody is told of the mark that one's own message moves.
  #senderWasHere({ chat_id, sender_id, seq }) {
    this.#endTyping(chat_id, sender_id);
    if (sender_id !== this.me.id && seq !== undefined) this.moveReceipt({ chat_id, user_id: sender_id, read_seq: seq });
  }

  #isUnknown(message) {
    const chat = this.chats.get(message.chat_id);
    return chat !== null && message.seq !== undefined && message.seq > chat.last_seq;
  }

  // An event tells of the edit of a message from before the user's stay without its text; who may see all can ask for it.
  async #fetchWithheld({ chat_id, id }) {
    if (this.chats.get(chat_id)?.history !== 'all' || !this.#timelines.get(chat_id)?.find(id)) return;
    const message = await get(`/v1/chats/${chat_id}/messages/${id}`).catch(() => null);
    if (message) this.#timelines.get(chat_id)?.change(message);
  }

  applyReactions(chat_id, { message_id, user_id, emoji, on, reactions, reactions_rev }) {
    if (user_id === this.me.id) this.setOwnReaction(message_id, emoji, on);
    const timeline = this.#timelines.get(chat_id);
    const known = timeline?.find(message_id);
    if (known?.text !== undefined && reactions) timeline.change({ ...known, reactions, reactions_rev });
    else if (known) get(`/v1/chats/${chat_id}/messages/${message_id}`).then((message) => timeline.change(message), () => {});
  }

  // Which reactions of a message are the user's own, as far as this tab has seen: messages only count.
  ownReactions(id) {
    return this.#own.get(id) ?? NONE;
  }

  setOwnReaction(id, emoji, on) {
    const own = new Set(this.#own.get(id));
    if (on) own.add(emoji);
    else own.delete(emoji);
    this.#own.set(id, own);
    if (this.#own.size > OWN_REACTIONS_MAX) this.#own.delete(this.#own.keys().next().value);
  }

  // A message that another one quotes and that is not in the window: asked for once.
  quoted(chat_id, id) {
    if (!this.#quoted.has(id)) {
      this.#quoted.set(id, null);
      get(`/v1/chats/${chat_id}/messages/${id}`).then((message) => {
        this.#quoted.set(id, message);
        this.emitter.changed(`messages:${chat_id}`);
      }, () => {});
      if (this.#quoted.size > QUOTED_MAX) this.#quoted.delete(this.#quoted.keys().next().value);
    }
    return this.#quoted.get(id);
  }

  hideMessage(chat_id, id) {
    const known = this.#timelines.get(chat_id)?.find(id) ?? this.chats.get(chat_id)?.last_message;
    if (known?.id !== id) return;
    const hidden = { id, chat_id, seq: known.seq, hidden: true };
    this.#timelines.get(chat_id)?.change(hidden);
    this.chats.changeMessage(hidden);
  }

  // ---- reading

  // The user looks at the end of the chat; `seq` is the last message in view.
  markRead(chat_id, seq) {
    const chat = this.chats.get(chat_id);
    if (!chat || seq <= chat.read_seq) return;
    this.chats.markRead(chat_id, seq, Math.max(0, Math.min(chat.unread, chat.last_seq - seq)));
    const waiting = this.#reading.get(chat_id) ?? {};
    if (!waiting.timer) waiting.timer = setTimeout(() => this.#sendRead(chat_id), READ_AFTER_MS);
    waiting.seq = Math.max(seq, waiting.seq ?? 0);
    this.#reading.set(chat_id, waiting);
    if (this.#arrived) this.#acknowledge(this.#arrived);
  }

  // Whether the reader of the chat is at its end: only then old messages may leave the window as new ones come.
  setAtEnd(chat_id, atEnd) {
    this.#reading.set(chat_id, { ...this.#reading.get(chat_id), atEnd });
  }

  async #sendRead(chat_id) {
    const { seq } = this.#reading.get(chat_id);
    this.#reading.get(chat_id).timer = null;
    const mark = await put(`/v1/chats/${chat_id}/read`, { seq }).catch(() => null);
    if (mark) this.chats.markRead(chat_id, mark.read_seq, mark.unread);
  }

  receiptsOf(chat_id) {
    return this.#receipts.get(chat_id) ?? null;
  }

  async loadReceipts(chat_id) {
    if (this.chats.get(chat_id)?.type === 'channel') return;
    const receipts = this.#receipts.get(chat_id) ?? new Receipts(this.me.id);
    this.#receipts.set(chat_id, receipts);
    await receipts.load(chat_id).catch(() => {});
    this.emitter.changed(`receipts:${chat_id}`);
  }

  forgetReceipts(chat_id) {
    this.#receipts.delete(chat_id);
  }

  moveReceipt(event) {
    if (event.user_id === this.me.id) {
      if (event.read_seq !== undefined) this.chats.markRead(event.chat_id, event.read_seq);
      return;
    }
    if (this.me.receipts) this.#receipts.get(event.chat_id)?.move(event);
    this.emitter.changed(`receipts:${event.chat_id}`);
  }

  // ---- pins

  pinsOf(chat_id) {
    return this.#pins.get(chat_id) ?? [];
  }

  async loadPins(chat_id) {
    const { items } = await get(`/v1/chats/${chat_id}/pins`);
    this.#pins.set(chat_id, items);
    this.emitter.changed(`pins:${chat_id}`);
  }

  pinsChanged(chat_id) {
    if (this.#pins.has(chat_id)) this.loadPins(chat_id).catch(() => {});
  }

  // ---- who types, who is there

  typersIn(chat_id) {
    return [...(this.#typing.get(chat_id)?.keys() ?? [])];
  }

  startTyping({ chat_id, user_id }) {
    const typers = this.#typing.get(chat_id) ?? new Map();
    this.#typing.set(chat_id, typers);
    clearTimeout(typers.get(user_id));
    typers.set(user_id, setTimeout(() => this.#endTyping(chat_id, user_id), TYPING_MS));
    this.#typingChanged(chat_id);
  }

  #endTyping(chat_id, user_id) {
    const typers = this.#typing.get(chat_id);
    if (!typers?.has(user_id)) return;
    clearTimeout(typers.get(user_id));
    typers.delete(user_id);
    this.#typingChanged(chat_id);
  }

  #typingChanged(chat_id) {
    this.emitter.changed(`typing:${chat_id}`);
    this.emitter.changed('typing');
  }

  #setPresence(items) {
    for (const item of items) this.presence.set(item.user_id, item);
    this.emitter.changed('presence');
  }

  setPresenceOf(state) {
    this.#setPresence([state]);
  }

  // Of those with whom the user talks most recently, when there are others than before.
  #watchPeers() {
    if (this.chats.size === this.#watched) return;
    this.#watched = this.chats.size;
    this.#stream.watch(this.chats.peers().slice(0, WATCHED_MAX));
  }

  // ---- chats

  refreshChat(chat_id) {
    return this.chats.refresh(chat_id);
  }

  // The user is no longer in this chat.
  leftChat(chat_id) {
    const chat = this.chats.get(chat_id);
    this.#timelines.delete(chat_id);
    this.#receipts.delete(chat_id);
    this.#pins.delete(chat_id);
    this.chats.drop(chat_id);
    if (chat) this.#tellUser('left', { chat });
  }

  setMe(user) {
    this.me = user;
    this.people.put(user);
    this.emitter.changed('me');
  }

  setBlocked(user_id, on) {
    if (on) this.blocked.add(user_id);
    else this.blocked.delete(user_id);
    this.emitter.changed('blocks');
  }

  setContact(user_id, contact) {
    if (contact) this.contacts.set(user_id, contact);
    else this.contacts.delete(user_id);
    this.emitter.changed('contacts');
    this.emitter.changed('people');
  }

  say(kind, details) {
    this.#tellUser(kind, details);
  }
}

function applyMember(store, { chat_id, member, chat }) {
  const known = store.chats.get(chat_id);
  if (member.user_id === store.me.id && !known) return store.refreshChat(chat_id);
  if (chat && known) store.chats.put({ ...chat, ...(member.user_id === store.me.id && { my_role: member.role }) });
  return store.emitter.changed(`members:${chat_id}`);
}

function removeMember(store, { chat_id, member }) {
  if (member.user_id === store.me.id) return store.leftChat(chat_id);
  const known = store.chats.get(chat_id);
  if (known) store.chats.update(chat_id, { member_count: known.member_count - 1 });
  return store.emitter.changed(`members:${chat_id}`);
}

function created(store, event, { notify }) {
  if (!store.chats.get(event.chat_id)) store.refreshChat(event.chat_id);
  store.applyMessage(event.message, { notify });
}

const changed = (store, event) => store.applyMessage(event.message, { isNew: false });

const handlers = {
  'ready': (store, event, { resumed }) => store.reconnected(event, resumed),
  'reset': (store) => store.reset(),
  'message.created': created,
  'message.edited': changed,
  'message.deleted': (store, event) => { changed(store, event); store.pinsChanged(event.chat_id); },
  'message.reacted': (store, event) => store.applyReactions(event.chat_id, event),
  'message.hidden': (store, event) => store.hideMessage(event.chat_id, event.message_id),
  'message.pinned': (store, event) => store.pinsChanged(event.chat_id),
  'message.unpinned': (store, event) => store.pinsChanged(event.chat_id),
  'chat.created': (store, event) => store.refreshChat(event.chat_id),
  'chat.updated': (store, event) => store.chats.get(event.chat_id) && store.chats.put(event.chat),
  'chat.deleted': (store, event) => store.leftChat(event.chat_id),
  'chat.settings': (store, event) => store.chats.update(event.chat_id, { settings: event.settings, draft: event.draft }),
  'member.added': applyMember,
  'member.updated': applyMember,
  'member.removed': removeMember,
  'user.updated': (store, event) => store.setMe(event.user),
  'user.blocked': (store, event) => store.setBlocked(event.user_id, true),
  'user.unblocked': (store, event) => store.setBlocked(event.user_id, false),
  'contact.saved': (store, event) => store.setContact(event.contact.user_id, event.contact),
  'contact.removed': (store, event) => store.setContact(event.user_id, null),
  'device.added': (store) => store.emitter.changed('devices'),
  'device.removed': (store) => store.emitter.changed('devices'),
  'channel.followed': (store, event) => store.refreshChat(event.chat_id),
  'channel.left': (store, event) => store.leftChat(event.chat_id),
  'reactions': (store, event) => store.applyReactions(event.chat_id, event),
  'join.requested': (store, event) => { store.emitter.changed(`members:${event.request.chat_id}`); store.say('request', event.request); },
  'join.declined': (store, event) => store.say('declined', event),
  'scheduled.failed': (store, event) => store.say('failed', event),
  'typing': (store, event) => store.startTyping(event),
  'presence': (store, event) => store.setPresenceOf(event),
  'receipt': (store, event) => store.moveReceipt(event),
};
