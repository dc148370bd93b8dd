// How far the other members of a chat have come: what ticks are made of. Read when a chat is opened and after each reconnect, moved by events.
import { getAll } from './api.js';
import { compareIds, laterId } from './ids.js';

const LISTED_MAX = 300;

export class Receipts {
  #me;
  #members = new Map();

  constructor(me) {
    this.#me = me;
  }

  async load(chat_id) {
    const items = await getAll(`/v1/chats/${chat_id}/receipts`, LISTED_MAX).catch((error) => {
      if (error.status === 403) return [];
      throw error;
    });
    this.#members = new Map(items.filter((item) => item.user_id !== this.#me).map((item) => [item.user_id, { ...this.#members.get(item.user_id), ...item }]));
  }

  // An event `receipt` of somebody else. Who is not listed shows nothing.
  move({ user_id, read_seq, delivered_id }) {
    const known = this.#members.get(user_id);
    if (!known) return;
    const next = { ...known, read_seq: Math.max(known.read_seq, read_seq ?? 0), delivered_id: laterId(known.delivered_id, delivered_id) };
    this.#members.set(user_id, next);
  }

  // What is known of an own message: `sent`, `delivered` (all have it) or `read` (all have read it).
  stateOf(message) {
    const members = [...this.#members.values()];
    if (members.length === 0) return 'sent';
    if (members.every((member) => member.read_seq >= message.seq)) return 'read';
    return members.every((member) => hasIt(member, message)) ? 'delivered' : 'sent';
  }
}

function hasIt(member, message) {
  if (Math.max(member.delivered_seq, member.read_seq) >= message.seq) return true;
  return member.delivered_id ? compareIds(member.delivered_id, message.id) >= 0 : false;
}
