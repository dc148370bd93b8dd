// The history of a chat on the screen: a window of rows that moves along it. When rows come or go above, what the reader looks at stays where it is.
import { dayOf, fullTime, hueOf, isSameDay } from '../lib/format.js';
import { summaryOf } from '../lib/text.js';
import { WINDOW_MAX } from '../lib/timeline.js';
import { button, iconButton, spinner } from './controls.js';
import { Subscriptions, fill, h, reconcile } from './dom.js';
import { messageRow } from './message.js';

const LOAD_WITHIN_PX = 900;
const AT_END_PX = 60;
const GROUP_WITHIN_MS = 5 * 60_000;

export class MessageList {
  #store;
  #chat_id;
  #actions;
  #timeline;
  #subscriptions = new Subscriptions();
  #rows = h('ol', { class: 'message-rows', 'aria-label': 'Messages' });
  #top = h('div', { class: 'history-edge' });
  #jump;
  #announcer = h('div', { class: 'visually-hidden', role: 'status', 'aria-live': 'polite' });
  #stick = true;
  #unreadFrom = null;
  #goal = null;
  #newBelow = 0;
  #lastSeen_seq = 0;
  #resize;

  // `actions`: those of messageRow, without goTo; `message_id`: the message to begin at.
  constructor({ store, chat_id, message_id, actions }) {
    this.#store = store;
    this.#chat_id = chat_id;
    this.#timeline = store.timeline(chat_id);
    this.#actions = { ...actions, goTo: (id) => this.goTo(id) };
    this.#jump = iconButton('down', 'Go to the newest message', () => this.toEnd(), 'jump');
    this.scroll = h('div', { class: 'message-scroll', tabIndex: 0, role: 'region', 'aria-label': 'Message history', onScroll: () => this.#scrolled() }, this.#top, this.#rows);
    this.element = h('div', { class: 'message-list' }, this.scroll, this.#jump, this.#announcer);
    this.#rows.addEventListener('keydown', (event) => this.#key(event));
    this.scroll.addEventListener('keydown', (event) => this.#key(event));
    this.#begin(message_id);
  }

  #begin(message_id) {
    const chat = this.#store.chats.get(this.#chat_id);
    this.#unreadFrom = chat && chat.unread > 0 ? chat.read_seq + 1 : null;
    for (const topic of [`messages:${this.#chat_id}`, `outbox:${this.#chat_id}`, 'people', `pins:${this.#chat_id}`]) this.#subscriptions.add(this.#store.on(topic, () => this.render()));
    this.#subscriptions.add(this.#store.on(`receipts:${this.#chat_id}`, () => this.render()));
    this.#listenToWindow();
    if (message_id) this.goTo(message_id);
    else this.#open();
  }

  #listenToWindow() {
    const look = () => this.#markRead();
    for (const kind of ['focus', 'visibilitychange']) {
      addEventListener(kind, look);
      document.addEventListener(kind, look);
      this.#subscriptions.add(() => { removeEventListener(kind, look); document.removeEventListener(kind, look); });
    }
    this.#resize = new ResizeObserver(() => this.#resized());
    this.#resize.observe(this.#rows);
    this.#resize.observe(this.scroll);
  }

  // Also called once the list is part of the page: only then can it be scrolled.
  #resized() {
    if (this.#goal) this.render();
    else if (this.#stick) this.#scrollToEnd();
  }

  dispose() {
    this.#subscriptions.end();
    this.#resize.disconnect();
    this.#store.setAtEnd(this.#chat_id, true);
  }

  #open() {
    if (this.#timeline.loaded && this.#timeline.atEnd) this.#goal = 'unread';
    else {
      this.#goal = 'unread';
      this.#timeline.openEnd().catch(() => {});
    }
    this.render();
  }

  // Shows a message, wherever in the history it is, and marks it for a moment.
  async goTo(id) {
    this.#stick = false;
    if (!this.#timeline.find(id)) {
      this.#goal = id;
      await this.#timeline.openAround(id).catch(() => {});
    } else {
      this.#goal = id;
      this.render();
    }
  }

  async toEnd() {
    this.#stick = true;
    if (!this.#timeline.atEnd) {
      this.#goal = 'end';
      await this.#timeline.openEnd().catch(() => {});
    }
    this.#scrollToEnd();
  }

  // ---- drawing

  render() {
    const anchor = this.#stick ? null : this.#anchor();
    const items = this.#items();
    this.#announce(items);
    reconcile(this.#rows, items, {
      keyOf: (row) => row.key,
      signatureOf: (row) => row.signature,
      create: (row, before) => this.#create(row, before),
    });
    this.#renderTop();
    this.#settle(anchor);
    this.#afterMove();
  }

  #create(row, before) {
    const hadFocus = before && before.contains(document.activeElement);
    const element = messageRow(row, this.#actions, before);
    if (hadFocus) queueMicrotask(() => element.focus({ preventScroll: true }));
    return element;
  }

  #renderTop() {
    const { loaded, failed, atStart, items } = this.#timeline;
    if (failed && !loaded) return fill(this.#top, h('p', { class: 'empty' }, 'The history cannot be loaded now.'), button('Try again', () => this.#open(), { icon: 'retry' }));
    if (!loaded || !atStart) return fill(this.#top, spinner('Loading messages'));
    if (items.length === 0 && this.#store.outbox.of(this.#chat_id).length === 0) return fill(this.#top, h('p', { class: 'empty' }, 'No messages yet. Say hello.'));
    return fill(this.#top, h('p', { class: 'history-start' }, 'The beginning of this chat'));
  }

  // One row for each message that is shown, with all that its look depends on.
  #items() {
    const store = this.#store;
    const chat = store.chats.get(this.#chat_id);
    const shown = this.#timeline.items.filter((message) => !message.hidden);
    const pending = this.#timeline.atEnd || !this.#timeline.loaded ? store.outbox.of(this.#chat_id) : [];
    if (pending.length > 0) this.#unreadFrom = null;
    const sent = new Set(shown.map((message) => message.client_key).filter(Boolean));
    const all = [...shown, ...pending.filter((entry) => !sent.has(entry.key)).map((entry) => asMessage(entry, store.me.id))];
    const context = { chat, pinned: new Set(store.pinsOf(this.#chat_id).map((pin) => pin.message_id)), receipts: store.receiptsOf(this.#chat_id), unreadShown: false };
    return all.map((message, index) => this.#row(message, all[index - 1], all[index + 1], context));
  }

  #row(message, before, after, context) {
    const store = this.#store;
    const mine = message.sender_id === store.me.id;
    const grouped = follows(before, message);
    const last = !follows(message, after);
    const unreadLine = this.#isUnreadLine(message, before, context);
    const inGroup = context.chat?.type !== 'direct' && !mine;
    const row = {
      key: message.client_key && mine ? message.client_key : message.id, message, mine, grouped: grouped && !unreadLine, first: !grouped || unreadLine, last, unreadLine,
      day: !before || !isSameDay(before.created_at, message.created_at) ? dayOf(message.created_at) : null,
      sender: mine ? 'You' : store.nameOf(message.sender_id), hue: hueOf(message.sender_id), me_id: store.me.id,
      showName: inGroup && (!grouped || unreadLine), showAvatar: inGroup && last,
      state: this.#stateOf(message, context), failed: message.failed ?? null,
      reply: message.reply_to ? this.#replyOf(message.reply_to) : null,
      isPinned: context.pinned.has(message.id), reacted: store.ownReactions(message.id),
    };
    row.signature = signatureOf(row);
    return row;
  }

  #isUnreadLine(message, before, context) {
    if (this.#unreadFrom === null || context.unreadShown || message.seq === undefined || message.seq < this.#unreadFrom) return false;
    context.unreadShown = true;
    return before !== undefined || this.#timeline.atStart;
  }

  #stateOf(message, { receipts }) {
    if (message.sender_id !== this.#store.me.id) return null;
    if (message.failed) return 'failed';
    if (message.pending) return 'pending';
    return receipts ? receipts.stateOf(message) : 'sent';
  }

  #replyOf({ id, sender_id }) {
    const original = this.#timeline.find(id) ?? this.#store.quoted(this.#chat_id, id);
    const name = this.#store.nameOf(sender_id);
    return { id, name, sender: sender_id === this.#store.me.id ? 'You' : name, text: original ? summaryOf(original) : 'Message' };
  }

  // Says what has come, once, to those who listen to the page.
  #announce(items) {
    const last = items.at(-1);
    const seq = last?.message.seq ?? 0;
    if (this.#lastSeen_seq > 0 && seq > this.#lastSeen_seq && this.#timeline.atEnd) {
      const fresh = items.filter(({ message, mine }) => message.seq > this.#lastSeen_seq && !mine);
      if (fresh.length > 0) fill(this.#announcer, `${fresh.at(-1).sender}: ${summaryOf(fresh.at(-1).message)}`);
      if (!this.#stick) this.#newBelow += fresh.length;
    }
    if (this.#timeline.loaded && this.#timeline.atEnd) this.#lastSeen_seq = Math.max(seq, this.#lastSeen_seq);
  }

  // ---- where the reader is

  // The first row in view, and where it stands.
  #anchor() {
    const top = this.scroll.scrollTop;
    const rows = this.#rows.children;
    let low = 0;
    let high = rows.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle].offsetTop + rows[middle].offsetHeight > top) high = middle;
      else low = middle + 1;
    }
    return rows[low] ? { key: rows[low].dataset.id, offset: rows[low].offsetTop - top } : null;
  }

  #elementOf(id) {
    return this.#rows.querySelector(`[data-id="${CSS.escape(id)}"]`);
  }

  #settle(anchor) {
    if (!this.#timeline.loaded || !this.scroll.isConnected) return;
    const goal = this.#goal;
    if (goal && this.#reach(goal)) return;
    if (this.#stick) this.#scrollToEnd();
    else if (anchor) {
      const element = this.#elementOf(anchor.key);
      if (element) this.scroll.scrollTop = element.offsetTop - anchor.offset;
    }
  }

  // Goes where the list was meant to begin; false while that is not there.
  #reach(goal) {
    if (goal === 'end' || goal === 'unread') {
      const line = goal === 'unread' ? this.#rows.querySelector('.unread-line') : null;
      if (goal === 'unread' && !line && this.#isUnreadFurtherUp()) return true;
      this.#goal = null;
      if (!line) return false;
      this.scroll.scrollTop = Math.max(0, line.offsetTop - 80);
      this.#stick = this.#distanceToEnd() < AT_END_PX;
      return true;
    }
    const element = this.#elementOf(goal);
    if (!element) return false;
    this.#goal = null;
    this.scroll.scrollTop = element.offsetTop - this.scroll.clientHeight / 3;
    element.classList.add('found');
    element.focus({ preventScroll: true });
    return true;
  }

  // Reads on towards the first unread message, as far as a window goes.
  #isUnreadFurtherUp() {
    const { items, atStart } = this.#timeline;
    if (this.#unreadFrom === null || atStart || items.length === 0 || items.length > WINDOW_MAX / 2 || items[0].seq <= this.#unreadFrom) return false;
    this.#timeline.loadBefore();
    return true;
  }

  #distanceToEnd() {
    return this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight;
  }

  #scrollToEnd() {
    this.scroll.scrollTop = this.scroll.scrollHeight;
  }

  #scrolled() {
    this.#stick = this.#timeline.atEnd && this.#distanceToEnd() < AT_END_PX;
    this.#afterMove();
  }

  #afterMove() {
    if (!this.#timeline.loaded) return;
    if (this.#stick) this.#newBelow = 0;
    this.#store.setAtEnd(this.#chat_id, this.#stick);
    this.#showJump();
    this.#markRead();
    if (this.#goal || this.#timeline.isLoading) return;
    if (this.scroll.scrollTop < LOAD_WITHIN_PX) this.#timeline.loadBefore();
    else if (this.#distanceToEnd() < LOAD_WITHIN_PX) this.#timeline.loadAfter();
  }

  #showJump() {
    const away = !this.#timeline.atEnd || this.#distanceToEnd() > 3 * AT_END_PX;
    this.#jump.hidden = !away;
    this.#jump.dataset.count = this.#newBelow > 0 ? String(this.#newBelow) : '';
    this.#jump.setAttribute('aria-label', this.#newBelow > 0 ? `Go to the newest message, ${this.#newBelow} new` : 'Go to the newest message');
  }

  // What is in view while somebody looks counts as read.
  #markRead() {
    if (document.visibilityState !== 'visible' || !document.hasFocus() || !this.#timeline.loaded || this.#goal) return;
    const chat = this.#store.chats.get(this.#chat_id);
    if (!chat || chat.unread === 0) return;
    const seq = this.#stick ? chat.last_seq : this.#lastSeqInView();
    if (seq > chat.read_seq) this.#store.markRead(this.#chat_id, seq);
  }

  #lastSeqInView() {
    const bottom = this.scroll.scrollTop + this.scroll.clientHeight;
    const rows = this.#rows.children;
    for (let index = rows.length - 1; index >= 0; index -= 1) {
      if (rows[index].offsetTop + rows[index].offsetHeight / 2 <= bottom && rows[index].dataset.seq) return Number(rows[index].dataset.seq);
    }
    return 0;
  }

  // ---- the keyboard

  #key(event) {
    const row = event.target.closest?.('.message-row');
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (step && (event.target === row || event.target === this.scroll)) {
      event.preventDefault();
      const next = row ? (step < 0 ? row.previousElementSibling : row.nextElementSibling) : this.#rows.lastElementChild;
      next?.focus();
      next?.scrollIntoView({ block: 'nearest' });
    } else if (event.key === 'End' && !event.target.closest('button')) {
      event.preventDefault();
      this.toEnd();
    } else if (row && event.target === row) this.#rowKey(event, row);
  }

  #rowKey(event, row) {
    const message = this.#timeline.find(row.dataset.id);
    if (!message || message.deleted || event.ctrlKey || event.metaKey || event.altKey) return;
    const keys = { Enter: 'menu', ' ': 'menu', r: 'reply', e: 'edit', Delete: 'delete' };
    const action = keys[event.key];
    if (!action) return;
    event.preventDefault();
    if (action === 'menu') this.#actions.menu(message, { anchor: row.querySelector('.bubble') });
    else this.#actions.key(action, message);
  }

  focusLast() {
    this.#rows.lastElementChild?.focus();
  }

  // The last message of the user's own that can be edited, for the arrow up in an empty composer.
  lastOwn() {
    return this.#timeline.items.findLast((message) => message.sender_id === this.#store.me.id && message.text && !message.deleted) ?? null;
  }

  // All pictures of the window, for the viewer.
  pictures() {
    return this.#timeline.items.flatMap((message) => (message.attachments ?? [])
      .filter((file) => file.content_type.startsWith('image/') && !file.content_type.startsWith('image/svg'))
      .map((file) => ({ ...file, sender: message.sender_id === this.#store.me.id ? 'You' : this.#store.nameOf(message.sender_id), time: fullTime(message.created_at) })));
  }
}

// A message on its way looks like one that has arrived.
function asMessage(entry, sender_id) {
  const files = entry.uploads?.length ? entry.uploads.map(fileOfUpload) : entry.files ?? [];
  return {
    key: entry.key, client_key: entry.key, sender_id, created_at: new Date(entry.written_ms).toISOString(), text: entry.body.text ?? entry.shown?.text ?? '', mentions: entry.body.mentions,
    reply_to: entry.shown?.reply_to, attachments: files, reactions: [], pending: true, failed: entry.failed, progress: progressOf(entry), forwarded: entry.body.forward ? true : undefined,
  };
}

// How much of the files has been sent, from 0 to 1; null when there is nothing to send.
function progressOf({ uploads = [] }) {
  if (uploads.every((upload) => upload.isReady)) return null;
  return uploads.reduce((sum, upload) => sum + upload.progress, 0) / uploads.length;
}

function fileOfUpload(upload) {
  return {
    id: upload.media_id ?? undefined, name: upload.name, file_name: upload.name, content_type: upload.type, size: upload.file.size, preview_url: upload.preview_url,
    width: upload.attachment?.width, height: upload.attachment?.height, duration_ms: upload.about.duration_ms,
  };
}

function follows(before, message) {
  if (!before || !message || before.sender_id !== message.sender_id) return false;
  const between_ms = Date.parse(message.created_at) - Date.parse(before.created_at);
  return between_ms < GROUP_WITHIN_MS && isSameDay(before.created_at, message.created_at);
}

function signatureOf({ message, reacted, ...row }) {
  return JSON.stringify({ ...row, message, reacted: [...reacted] });
}
