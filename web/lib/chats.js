// What the client knows of the user's chats, from lists and from events; of two values the newer stays, by `rev`.
import { get, getAll, withQuery } from './api.js';
import { compareIds, laterId } from './ids.js';
import { mergeMessages } from './timeline.js';

const PAGE = 100;
const CHAT_FIELDS_OF_USER = ['my_role', 'peer_id', 'read_seq', 'unread', 'mentioned', 'settings', 'draft', 'last_message'];
const NEW_SETTINGS = { muted_until: null, archived: false, pinned_at: null };

export class Chats {
  #emitter;
  #me;
  #next = null;
  #known = new Map();
  #asked = new Map();
  loaded = false;
  loading = false;

  constructor(emitter, me) {
    this.#emitter = emitter;
    this.#me = me;
  }

  get(id) {
    return this.#known.get(id) ?? null;
  }

  get hasMore() {
    return this.#next !== null;
  }

  get size() {
    return this.#known.size;
  }

  some(holds) {
    for (const chat of this.#known.values()) if (holds(chat)) return true;
    return false;
  }

  get unreadChats() {
    let count = 0;
    for (const chat of this.#known.values()) if (chat.unread > 0 && !isMuted(chat)) count += 1;
    return count;
  }

  // The chats in the order in which they are shown: pinned ones first, then by their last message.
  sorted() {
    return [...this.#known.values()].sort((one, other) => {
      const pinned = (other.settings.pinned_at ? 1 : 0) - (one.settings.pinned_at ? 1 : 0);
      return pinned || compareIds(activityOf(other), activityOf(one));
    });
  }

  directWith(user_id) {
    return [...this.#known.values()].find((chat) => chat.type === 'direct' && chat.peer_id === user_id) ?? null;
  }

  peers() {
    return this.sorted().filter((chat) => chat.type === 'direct').map((chat) => chat.peer_id);
  }

  // Reads the first page; what is known beyond it stays until it is read again.
  async reload() {
    await this.#load(null);
    this.loaded = true;
    this.#changed();
  }

  // After a reset nothing that is known is believed.
  async startAgain() {
    const kept = this.#known;
    this.#known = new Map();
    try {
      await this.reload();
    } catch (error) {
      this.#known = kept;
      throw error;
    }
  }

  loadMore() {
    return this.#next && !this.loading ? this.#load(this.#next) : null;
  }

  async #load(cursor) {
    this.loading = true;
    try {
      const page = await get(withQuery('/v1/chats', { limit: PAGE, cursor }));
      for (const chat of page.items) this.put(chat);
      this.#next = page.next;
    } finally {
      this.loading = false;
      this.#changed();
    }
  }

  // Asks for one chat, once at a time, and again when something happened meanwhile; null when the user cannot see it.
  refresh(id) {
    const known = this.#asked.get(id);
    if (known) {
      known.again = true;
      return known.answer;
    }
    const asked = { again: false };
    this.#asked.set(id, asked);
    asked.answer = this.#ask(id, asked).finally(() => this.#asked.delete(id));
    return asked.answer;
  }

  async #ask(id, asked) {
    try {
      let chat = null;
      do {
        asked.again = false;
        chat = this.put(await get(`/v1/chats/${id}`));
      } while (asked.again);
      return chat;
    } catch (error) {
      if (error.status === 404) this.drop(id);
      return null;
    }
  }

  // Takes a chat as an answer shows it.
  put(fresh) {
    const known = this.#known.get(fresh.id);
    const chat = known ? { ...known, ...newerOf(known, fresh) } : { ...blank(fresh), ...fresh };
    if (chat.type === 'direct' && !chat.peer_id) chat.peer_id = chat.member_ids?.find((id) => id !== this.#me) ?? null;
    this.#known.set(chat.id, chat);
    this.#changed(chat.id);
    return chat;
  }

  update(id, values) {
    const chat = this.#known.get(id);
    if (!chat) return;
    this.#known.set(id, { ...chat, ...values });
    this.#changed(id);
  }

  drop(id) {
    if (this.#known.delete(id)) this.#changed(id);
  }

  // An event of the chat came: how far it is now.
  advance(id, rev, event_id) {
    const chat = this.#known.get(id);
    if (!chat || rev <= chat.last_rev) return;
    chat.last_rev = rev;
    chat.last_id = laterId(chat.last_id, event_id);
  }

  // A message was posted.
  addMessage(message) {
    const chat = this.#known.get(message.chat_id);
    if (!chat || message.seq === undefined || message.seq <= chat.last_seq) return this.changeMessage(message);
    const mine = message.sender_id === this.#me;
    const mentions = message.mentions?.some((mention) => mention.user_id === this.#me) ?? false;
    return this.update(chat.id, {
      last_seq: message.seq,
      last_message: message,
      read_seq: mine ? message.seq : chat.read_seq,
      unread: mine ? 0 : chat.unread + (message.hidden ? 0 : 1),
      mentioned: mine ? false : chat.mentioned || mentions,
    });
  }

  // A message changed: it matters here if it is the last one.
  changeMessage(message) {
    const chat = this.#known.get(message.chat_id);
    if (chat?.last_message?.id !== message.id) return;
    this.update(chat.id, { last_message: mergeMessages(chat.last_message, message) });
  }

  // The user has read up to `seq`, here or on another device.
  markRead(id, seq, unread = null) {
    const chat = this.#known.get(id);
    if (!chat || seq < chat.read_seq) return;
    const left = unread ?? (seq >= chat.last_seq ? 0 : null);
    this.update(id, { read_seq: seq, ...(left !== null && { unread: left }), ...(left === 0 && { mentioned: false }) });
    if (left === null) this.refresh(id);
  }

  #changed(id = null) {
    this.#emitter.changed('chats');
    if (id) this.#emitter.changed(`chat:${id}`);
  }
}

export function isMuted(chat) {
  return chat.settings.muted_until !== null && Date.parse(chat.settings.muted_until) > Date.now();
}

export function canAdminister(chat) {
  return chat.my_role === 'owner' || chat.my_role === 'admin';
}

// Whether the user may do what `permission` says: post, add or edit.
export function mayDo(chat, permission) {
  if (chat.type === 'direct') return permission === 'post';
  if (chat.type === 'channel') return canAdminister(chat);
  return canAdminister(chat) || chat.permissions?.[permission] === 'members';
}

export function membersOf(chat_id) {
  return getAll(`/v1/chats/${chat_id}/members`, 2000);
}

function activityOf(chat) {
  return chat.last_message?.id ?? chat.last_id;
}

function blank(chat) {
  return { my_role: 'member', read_seq: chat.last_seq, unread: 0, mentioned: false, settings: NEW_SETTINGS, draft: null, last_message: null };
}

// Of what came only what is not older than what is known.
function newerOf(known, fresh) {
  const kept = { ...fresh };
  if (fresh.rev < known.rev) for (const name of Object.keys(fresh)) if (!CHAT_FIELDS_OF_USER.includes(name)) delete kept[name];
  if (fresh.last_rev < known.last_rev) for (const name of ['last_seq', 'last_rev', 'last_id', 'last_message', 'unread', 'mentioned']) delete kept[name];
  if (fresh.read_seq !== undefined && fresh.read_seq < known.read_seq) for (const name of ['read_seq', 'unread', 'mentioned']) delete kept[name];
  return kept;
}
