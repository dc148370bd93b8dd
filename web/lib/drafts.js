// What is being written in each chat: text, files, the message that is answered or edited. The text is also the chat's draft on the server, so that it is
// there on the user's other devices.
import { patch } from './api.js';

const SAVE_AFTER_MS = 1200;
const DRAFT_CHARACTERS_MAX = 10_000;

export class Drafts {
  #store;
  #known = new Map();

  constructor(store) {
    this.#store = store;
  }

  of(chat_id) {
    if (!this.#known.has(chat_id)) {
      const draft = this.#store.chats.get(chat_id)?.draft ?? '';
      this.#known.set(chat_id, { text: draft, saved: draft, uploads: [], reply: null, edit: null, timer: null });
    }
    return this.#known.get(chat_id);
  }

  setText(chat_id, text) {
    const draft = this.of(chat_id);
    draft.text = text;
    if (draft.edit) return;
    clearTimeout(draft.timer);
    draft.timer = setTimeout(() => this.save(chat_id), SAVE_AFTER_MS);
  }

  // Tells the server, if it does not know yet.
  async save(chat_id) {
    const draft = this.#known.get(chat_id);
    if (!draft || draft.edit) return;
    clearTimeout(draft.timer);
    const text = draft.text.trim() ? [...draft.text].slice(0, DRAFT_CHARACTERS_MAX).join('') : '';
    if (text === draft.saved) return;
    draft.saved = text;
    this.#store.chats.update(chat_id, { draft: text || null });
    await patch(`/v1/chats/${chat_id}/me`, { draft: text || null }).catch(() => { draft.saved = null; });
  }

  // Another device has written; true when the text here is now that.
  takeOver(chat_id) {
    const known = this.#known.get(chat_id);
    const fresh = this.#store.chats.get(chat_id)?.draft ?? '';
    if (!known || known.edit || known.text !== known.saved || fresh === known.saved) return false;
    known.text = known.saved = fresh;
    return true;
  }

  // The message is sent.
  clear(chat_id) {
    const draft = this.of(chat_id);
    Object.assign(draft, { text: '', uploads: [], reply: null, edit: null });
    this.save(chat_id);
  }

  startEdit(chat_id, message) {
    const draft = this.of(chat_id);
    Object.assign(draft, { edit: message, before: draft.edit ? draft.before : draft.text, text: message.text, reply: null });
  }

  endEdit(chat_id) {
    const draft = this.of(chat_id);
    Object.assign(draft, { edit: null, text: draft.before ?? '' });
  }
}
