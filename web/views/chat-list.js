// The list of chats: who, the last message, when, and how many are unread.
import { isMuted } from '../lib/chats.js';
import { shortTime } from '../lib/format.js';
import { chatPath, go } from '../lib/router.js';
import { summaryOf } from '../lib/text.js';
import { avatar, button, iconButton, spinner } from './controls.js';
import { fill, h, reconcile } from './dom.js';
import { icon } from './icons.js';
import { openChatMenu } from './chat-menu.js';

const LOAD_BEFORE_END_PX = 400;

export class ChatList {
  #store;
  #leave;
  #list = h('ul', { class: 'chat-list', 'aria-label': 'Chats' });
  #foot = h('div', { class: 'list-foot' });
  #search = h('input', { type: 'search', class: 'search', placeholder: 'Search chats', 'aria-label': 'Search chats', autocomplete: 'off' });
  #archived = false;
  #current = null;

  // `actions`: newChat(), openSettings(), leave() (back to the conversation).
  constructor({ store, actions }) {
    this.#store = store;
    this.#leave = actions.leave;
    this.#search.addEventListener('input', () => this.render());
    this.#search.addEventListener('keydown', (event) => this.#searchKey(event));
    this.#list.addEventListener('keydown', (event) => this.#listKey(event));
    const scroll = h('div', { class: 'list-scroll', onScroll: () => this.#scrolled(scroll) }, this.#list, this.#foot);
    this.element = h('nav', { class: 'sidebar', 'aria-label': 'Chats' },
      h('header', { class: 'sidebar-header' }, this.#meButton(actions), h('h1', {}, 'Chats'),
        iconButton('add', 'New chat', actions.newChat), iconButton('settings', 'Settings', actions.openSettings)),
      h('div', { class: 'search-box' }, icon('search'), this.#search), scroll);
    for (const topic of ['chats', 'people', 'typing', 'presence', 'me']) store.on(topic, () => this.render());
    this.render();
  }

  #meButton({ openSettings }) {
    const place = h('button', { type: 'button', class: 'me-button', 'aria-label': 'Your profile', onClick: openSettings });
    const draw = () => fill(place, avatar(this.#store.me.id, this.#store.me.display_name, { size: 'small' }));
    this.#store.on('me', draw);
    draw();
    return place;
  }

  focusSearch() {
    this.#search.focus();
    this.#search.select();
  }

  setCurrent(chat_id) {
    this.#current = chat_id;
    this.render();
  }

  // The chat before or after the one that is shown, for the keyboard.
  neighbour(step) {
    const shown = this.#shown();
    const at = shown.findIndex((chat) => chat.id === this.#current);
    return shown[at + step] ?? null;
  }

  #shown() {
    const wanted = this.#search.value.trim().toLowerCase();
    const all = this.#store.chats.sorted();
    if (wanted) return all.filter((chat) => this.#store.titleOf(chat).toLowerCase().includes(wanted));
    return all.filter((chat) => chat.settings.archived === this.#archived);
  }

  render() {
    const shown = this.#shown();
    reconcile(this.#list, shown, {
      keyOf: (chat) => chat.id,
      signatureOf: (chat) => JSON.stringify(this.#rowOf(chat)),
      create: (chat, before) => this.#draw(chat, this.#rowOf(chat), before),
    });
    this.#renderFoot(shown.length);
  }

  #renderFoot(count) {
    const { chats } = this.#store;
    if (!chats.loaded) return fill(this.#foot, spinner('Loading chats'));
    const archived = chats.sorted().filter((chat) => chat.settings.archived).length;
    const toggleLabel = this.#archived ? 'Back to all chats' : `Archived (${archived})`;
    const empty = this.#search.value ? 'No chat of that name.' : this.#archived ? 'Nothing is archived.' : 'No chats yet. Begin one with the plus sign above.';
    return fill(this.#foot,
      count === 0 && h('p', { class: 'empty' }, empty),
      (archived > 0 || this.#archived) && button(toggleLabel, () => this.#toggleArchived(), { icon: this.#archived ? 'back' : 'archive' }),
      chats.loading && spinner('Loading chats'));
  }

  #toggleArchived() {
    this.#archived = !this.#archived;
    this.render();
  }

  #scrolled(scroll) {
    if (scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < LOAD_BEFORE_END_PX) this.#store.chats.loadMore()?.catch(() => {});
  }

  // All that a row shows.
  #rowOf(chat) {
    const store = this.#store;
    const title = store.titleOf(chat);
    const draft = chat.id === this.#current ? null : chat.draft;
    return {
      title, draft, type: chat.type, image_id: chat.avatar_id ?? null,
      preview: this.#previewOf(chat),
      time: chat.last_message?.created_at ? shortTime(chat.last_message.created_at) : '',
      unread: chat.unread, mentioned: chat.mentioned, muted: isMuted(chat), pinned: chat.settings.pinned_at !== null,
      typing: this.#typingIn(chat), online: chat.type === 'direct' && (store.presence.get(chat.peer_id)?.online ?? false),
      current: chat.id === this.#current,
    };
  }

  #typingIn(chat) {
    const typers = this.#store.typersIn(chat.id);
    if (typers.length === 0) return null;
    return chat.type === 'direct' ? 'typing…' : `${this.#store.nameOf(typers[0])} is typing…`;
  }

  #previewOf({ type, last_message: message }) {
    const text = summaryOf(message);
    if (!text || message.hidden || message.deleted) return text;
    if (message.sender_id === this.#store.me.id) return `You: ${text}`;
    return type === 'direct' ? text : `${this.#store.nameOf(message.sender_id)}: ${text}`;
  }

  #draw(chat, row, before) {
    const hadFocus = before?.contains(document.activeElement);
    const link = h('a', { class: 'chat-row', href: `#${chatPath(chat.id)}`, draggable: false, ...(row.current && { 'aria-current': 'page' }) },
      avatar(chat.type === 'direct' ? chat.peer_id : chat.id, row.title, { image_id: row.image_id, online: row.online }),
      h('span', { class: 'chat-row-main' },
        h('span', { class: 'chat-row-top' }, this.#typeIcon(row), h('span', { class: 'chat-row-title' }, row.title), h('time', { class: 'chat-row-time' }, row.time)),
        h('span', { class: 'chat-row-bottom' }, this.#previewNode(row), this.#badges(row))));
    link.addEventListener('contextmenu', (event) => {
      event.preventDefault();
      openChatMenu(this.#store, this.#store.chats.get(chat.id), { point: { x: event.clientX, y: event.clientY } });
    });
    if (hadFocus) queueMicrotask(() => link.focus());
    return h('li', {}, link);
  }

  #typeIcon({ type }) {
    return type === 'channel' ? icon('megaphone', 'tiny') : type === 'group' ? icon('group', 'tiny') : null;
  }

  #previewNode({ typing, draft, preview }) {
    if (typing) return h('span', { class: 'preview typing' }, typing);
    if (draft) return h('span', { class: 'preview' }, h('span', { class: 'draft' }, 'Draft: '), draft);
    return h('span', { class: 'preview' }, preview);
  }

  #badges({ unread, mentioned, muted, pinned }) {
    return [
      muted && h('span', { class: 'mark', role: 'img', 'aria-label': 'Muted' }, icon('mute', 'tiny')),
      pinned && h('span', { class: 'mark', role: 'img', 'aria-label': 'Pinned' }, icon('pin', 'tiny')),
      mentioned && h('span', { class: 'badge', role: 'img', 'aria-label': 'You are mentioned' }, '@'),
      unread > 0 && h('span', { class: `badge ${muted ? 'quiet' : ''}` }, unread > 999 ? '999+' : String(unread), h('span', { class: 'visually-hidden' }, ' unread')),
    ];
  }

  #searchKey(event) {
    if (event.key === 'Escape') {
      if (this.#search.value === '') this.#leave();
      this.#clearSearch();
    } else if (event.key === 'ArrowDown') {
      event.preventDefault();
      this.#list.querySelector('a')?.focus();
    } else if (event.key === 'Enter' && this.#shown().length > 0) {
      const [first] = this.#shown();
      this.#clearSearch();
      go(chatPath(first.id));
    }
  }

  #clearSearch() {
    this.#search.value = '';
    this.render();
  }

  #listKey(event) {
    const links = [...this.#list.querySelectorAll('a')];
    const at = links.indexOf(document.activeElement);
    const target = { ArrowDown: links[at + 1], ArrowUp: links[at - 1], Home: links[0], End: links.at(-1) }[event.key];
    if (at < 0 || !target) return;
    event.preventDefault();
    target.focus();
  }
}
