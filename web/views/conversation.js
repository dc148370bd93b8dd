// One chat: its header, its history, the composer, and what is laid over them.
import { get, post, put, remove } from '../lib/api.js';
import { canAdminister, mayDo, membersOf } from '../lib/chats.js';
import { countOf, lastSeen } from '../lib/format.js';
import { chatPath, go } from '../lib/router.js';
import { summaryOf } from '../lib/text.js';
import { openChatMenu } from './chat-menu.js';
import { Composer } from './composer.js';
import { avatar, button, copyText, iconButton, toast } from './controls.js';
import { act, ask, openMenu } from './dialog.js';
import { Subscriptions, fill, h } from './dom.js';
import { QUICK, openEmojiPicker } from './emoji.js';
import { openForward } from './forward.js';
import { icon } from './icons.js';
import { openMessageInfo } from './message-info.js';
import { MessageList } from './message-list.js';
import { openReport } from './report.js';
import { openScheduled } from './scheduled.js';
import { openViewer } from './viewer.js';

const NAMED_MEMBERS_MAX = 300;

export class Conversation {
  #store;
  #drafts;
  #actions;
  #subscriptions = new Subscriptions();
  #members = [];
  #header = h('header', { class: 'conversation-header' });
  #pinBar = h('div', { class: 'pin-bar-place' });
  #foot = h('div', { class: 'conversation-foot' });
  #drop = h('div', { class: 'drop-here', hidden: true }, icon('attach'), h('span', {}, 'Drop files to send them'));
  #composer = null;
  chat_id;
  list;

  // `actions`: showDetails(), back().
  constructor({ store, drafts, chat_id, message_id, actions }) {
    this.#store = store;
    this.#drafts = drafts;
    this.#actions = actions;
    this.chat_id = chat_id;
    this.list = new MessageList({ store, chat_id, message_id, actions: this.#messageActions() });
    this.element = h('section', { class: 'conversation', 'aria-label': 'Conversation' }, this.#header, this.#pinBar, this.list.element, this.#foot, this.#drop);
    this.#listen();
    this.#render();
    this.#load();
  }

  get #chat() {
    return this.#store.chats.get(this.chat_id);
  }

  #listen() {
    const store = this.#store;
    for (const topic of [`chat:${this.chat_id}`, 'people', 'presence', 'blocks', `typing:${this.chat_id}`, `pins:${this.chat_id}`]) this.#subscriptions.add(store.on(topic, () => this.#render()));
    this.#subscriptions.add(store.on(`members:${this.chat_id}`, () => this.#loadMembers()));
    for (const kind of ['dragenter', 'dragover']) this.element.addEventListener(kind, (event) => this.#dragged(event));
    this.element.addEventListener('dragleave', (event) => { if (!this.element.contains(event.relatedTarget)) this.#drop.hidden = true; });
    this.element.addEventListener('drop', (event) => this.#dropped(event));
  }

  #load() {
    this.#store.loadReceipts(this.chat_id);
    this.#store.loadPins(this.chat_id).catch(() => {});
    this.#loadMembers();
  }

  async #loadMembers() {
    const chat = this.#chat;
    if (!chat || chat.type !== 'group' || chat.member_count > NAMED_MEMBERS_MAX) return;
    const members = await membersOf(this.chat_id).catch(() => []);
    this.#members = members.map((member) => member.user_id);
    this.#members.forEach((id) => this.#store.people.get(id));
  }

  #namedMembers() {
    return this.#members.filter((id) => id !== this.#store.me.id).map((user_id) => ({ user_id, name: this.#store.nameOf(user_id) })).filter(({ name }) => name !== '…');
  }

  dispose() {
    this.#subscriptions.end();
    this.#composer?.dispose();
    this.list.dispose();
    this.#store.forgetReceipts(this.chat_id);
  }

  focus() {
    if (this.#composer) this.#composer.focus();
    else this.list.scroll.focus();
  }

  // ---- drawing

  #render() {
    const chat = this.#chat;
    if (!chat) return;
    this.element.setAttribute('aria-label', `Conversation with ${this.#store.titleOf(chat)}`);
    this.element.dataset.kind = chat.type === 'direct' ? 'direct' : 'group';
    this.#renderHeader(chat);
    this.#renderPins(chat);
    this.#renderFoot(chat);
  }

  #renderHeader(chat) {
    const title = this.#store.titleOf(chat);
    const status = this.#status(chat);
    const online = chat.type === 'direct' && !this.#store.blocked.has(chat.peer_id) && (this.#store.presence.get(chat.peer_id)?.online ?? false);
    const shown = JSON.stringify([title, status, online, chat.avatar_id]);
    if (this.#header.dataset.shown === shown) return;
    this.#header.dataset.shown = shown;
    fill(this.#header,
      iconButton('back', 'Back to chats', this.#actions.back, 'phone-only'),
      h('h1', { class: 'conversation-heading', 'aria-label': title },
        h('button', { type: 'button', class: 'conversation-title', 'aria-label': `${title}, details`, onClick: () => this.#actions.showDetails() },
          avatar(chat.type === 'direct' ? chat.peer_id : chat.id, title, { image_id: chat.avatar_id, online }),
          h('span', { class: 'conversation-names' }, h('span', { class: 'conversation-name' }, title), h('span', { class: 'conversation-status' }, status)))),
      iconButton('more', 'Chat actions', (event) => this.#menu(event.currentTarget)));
  }

  #status(chat) {
    const typers = this.#store.typersIn(chat.id);
    if (typers.length > 0) return chat.type === 'direct' ? 'typing…' : `${typers.slice(0, 2).map((id) => this.#store.nameOf(id)).join(' and ')} typing…`;
    if (chat.type === 'channel') return countOf(chat.member_count, 'follower');
    if (chat.type !== 'direct') return countOf(chat.member_count, 'member');
    if (this.#store.blocked.has(chat.peer_id)) return 'blocked';
    const presence = this.#store.presence.get(chat.peer_id);
    return presence?.online ? 'online' : lastSeen(presence?.last_seen_at);
  }

  #menu(anchor) {
    openChatMenu(this.#store, this.#chat, { anchor }, [
      { label: 'Details', icon: 'info', action: () => this.#actions.showDetails() },
      this.#composer && { label: 'Scheduled messages', icon: 'timer', action: () => openScheduled(this.#store, this.#chat, this.#drafts.of(this.chat_id).text) },
    ]);
  }

  #renderPins(chat) {
    const [pin] = this.#store.pinsOf(chat.id);
    const message = pin && (this.#store.timeline(chat.id).find(pin.message_id) ?? this.#store.quoted(chat.id, pin.message_id));
    if (!message || message.deleted) return fill(this.#pinBar);
    return fill(this.#pinBar, h('button', { type: 'button', class: 'pin-bar', 'aria-label': `Pinned: ${summaryOf(message)}`, onClick: () => this.list.goTo(pin.message_id) },
      icon('pin'), h('span', { class: 'pin-text' }, h('strong', {}, 'Pinned'), h('span', {}, summaryOf(message)))));
  }

  // The composer, or why there is none.
  #renderFoot(chat) {
    const blocked = chat.type === 'direct' && this.#store.blocked.has(chat.peer_id);
    const state = blocked ? 'blocked' : mayDo(chat, 'post') ? 'writing' : 'reading';
    if (this.#foot.dataset.state === state) return;
    this.#foot.dataset.state = state;
    if (state === 'writing') return this.#showComposer();
    this.#composer?.dispose();
    this.#composer = null;
    if (state === 'blocked') {
      return fill(this.#foot, h('div', { class: 'no-composer' }, h('span', {}, 'You have blocked this person.'), button('Unblock', () => act(() => this.#unblock(chat.peer_id)))));
    }
    return fill(this.#foot, h('div', { class: 'no-composer' }, chat.type === 'channel' ? 'Only admins post in this channel.' : 'Only admins post in this group.'));
  }

  #showComposer() {
    this.#composer = new Composer({
      store: this.#store, drafts: this.#drafts, chat_id: this.chat_id, members: () => this.#namedMembers(),
      editLast: () => this.#editLast(), focusHistory: () => this.list.focusLast(), sent: () => this.list.toEnd(),
    });
    fill(this.#foot, this.#composer.element);
  }

  async #unblock(user_id) {
    await remove(`/v1/blocks/${user_id}`);
    this.#store.setBlocked(user_id, false);
  }

  // ---- files dropped anywhere on the chat

  #dragged(event) {
    if (!this.#composer || !event.dataTransfer.types.includes('Files')) return;
    event.preventDefault();
    this.#drop.hidden = false;
  }

  #dropped(event) {
    this.#drop.hidden = true;
    if (!this.#composer || event.dataTransfer.files.length === 0) return;
    event.preventDefault();
    this.#composer.addFiles(event.dataTransfer.files);
  }

  // ---- what can be done with a message

  #messageActions() {
    return {
      menu: (message, where) => this.#messageMenu(message, where),
      key: (action, message) => this.#messageKey(action, message),
      react: (message, emoji, on) => act(() => this.#react(message, emoji, on)),
      open: (file) => this.#openPicture(file),
      retry: (key) => this.#store.outbox.retry(key),
      discard: (key) => this.#store.outbox.discard(key),
    };
  }

  #editLast() {
    const message = this.list.lastOwn();
    if (message) this.#composer.edit(message);
    return message !== null;
  }

  #messageKey(action, message) {
    const mine = message.sender_id === this.#store.me.id;
    if (action === 'reply' && this.#composer) this.#composer.reply(message);
    if (action === 'edit' && mine && message.text && this.#composer) this.#composer.edit(message);
    if (action === 'delete') this.#askDelete(message);
  }

  #messageMenu(message, where) {
    const chat = this.#chat;
    const mine = message.sender_id === this.#store.me.id;
    const pinned = this.#store.pinsOf(chat.id).some((pin) => pin.message_id === message.id);
    const react = (emoji) => ({ label: `React with ${emoji}`, text: h('span', { 'aria-hidden': 'true' }, emoji), kind: 'emoji', action: () => this.#react(message, emoji, true) });
    const anchor = where.anchor ?? null;
    openMenu({
      ...where, label: 'Message actions',
      above: [...QUICK.map(react), { label: 'More reactions', icon: 'add', kind: 'emoji', action: () => this.#pickReaction(message, anchor) }],
      items: [
        this.#composer && { label: 'Reply', icon: 'reply', action: () => this.#composer.reply(message) },
        message.text && { label: 'Copy text', icon: 'copy', action: () => copyText(message.text) },
        mine && message.text && this.#composer && { label: 'Edit', icon: 'edit', action: () => this.#composer.edit(message) },
        { label: 'Forward', icon: 'forward', action: () => openForward(this.#store, message) },
        (chat.type === 'direct' || canAdminister(chat)) && { label: pinned ? 'Unpin' : 'Pin', icon: 'pin', action: () => this.#pin(message, !pinned) },
        mine && chat.type !== 'channel' && { label: 'Info', icon: 'info', action: () => openMessageInfo(this.#store, message) },
        !mine && { label: 'Report', icon: 'warn', action: () => openReport('Report this message', { chat_id: chat.id, message_id: message.id }) },
        { label: 'Delete', icon: 'delete', kind: 'danger', action: () => this.#askDelete(message) },
      ],
    });
  }

  #pickReaction(message, anchor) {
    openEmojiPicker(anchor?.isConnected ? anchor : this.#foot, (emoji) => this.#react(message, emoji, true));
  }

  // Messages only count reactions, so the own ones of a message from the history are looked up before one is taken back.
  async #react(message, emoji, on) {
    const path = `/v1/chats/${this.chat_id}/messages/${message.id}/reactions`;
    const counted = message.reactions?.some((reaction) => reaction.emoji === emoji);
    let wanted = on;
    if (on && counted && !this.#store.ownReactions(message.id).has(emoji)) {
      const { items } = await get(`${path}?emoji=${encodeURIComponent(emoji)}&limit=1000`);
      wanted = !items.some((item) => item.user_id === this.#store.me.id);
    }
    const one = `${path}/${encodeURIComponent(emoji)}`;
    const answer = await (wanted ? put(one) : remove(one));
    this.#store.setOwnReaction(message.id, emoji, wanted);
    this.#store.applyReactions(this.chat_id, answer);
  }

  async #pin(message, on) {
    await (on ? put : remove)(`/v1/chats/${this.chat_id}/pins/${message.id}`);
    await this.#store.loadPins(this.chat_id);
  }

  #askDelete(message) {
    const forAll = message.sender_id === this.#store.me.id || canAdminister(this.#chat);
    const path = `/v1/chats/${this.chat_id}/messages/${message.id}`;
    ask('Delete this message?', summaryOf(message), [
      ['Delete for me', async () => { await remove(`${path}?for=me`); this.#store.hideMessage(this.chat_id, message.id); }, 'danger'],
      ...(forAll ? [['Delete for everyone', () => remove(path), 'danger']] : []),
    ]);
  }

  #openPicture(file) {
    const pictures = this.list.pictures();
    const at = pictures.findIndex((picture) => picture.id === file.id);
    if (at >= 0) openViewer(pictures, at);
    else openViewer([{ ...file, sender: 'You', time: 'Sending' }], 0);
  }
}

// Begins, or finds, the direct chat with somebody and goes there.
export async function openDirectChat(store, user_id) {
  const known = store.chats.directWith(user_id);
  const chat = known ?? await post('/v1/chats', { type: 'direct', member_ids: [user_id] });
  if (!known) await store.refreshChat(chat.id);
  go(chatPath(chat.id));
}

export async function blockUser(store, user_id, name) {
  await put(`/v1/blocks/${user_id}`);
  store.setBlocked(user_id, true);
  toast(`${name} is blocked.`);
}
