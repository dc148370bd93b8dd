// The page of somebody who is signed in: the list of chats, one conversation, its details, and what lies over them. Follows the address.
import { isMuted } from '../lib/chats.js';
import { Drafts } from '../lib/drafts.js';
import { notifyOf, showUnread } from '../lib/notify.js';
import { chatPath, currentPlace, go, onPlace } from '../lib/router.js';
import { currentUser, signOut } from '../lib/session.js';
import { Store } from '../lib/store.js';
import { Banner } from './banner.js';
import { ChatList } from './chat-list.js';
import { spinner, toast } from './controls.js';
import { Conversation } from './conversation.js';
import { Details } from './details.js';
import { closeMenu } from './dialog.js';
import { Subscriptions, fill, h, isEditable } from './dom.js';
import { icon } from './icons.js';
import { openFollow, openJoin } from './join.js';
import { openNewChat } from './new-chat.js';
import { openSettings } from './settings.js';

export class Shell {
  #store;
  #drafts;
  #list;
  #conversation = null;
  #details = null;
  #settings = null;
  #wanted = null;
  #signedOut;
  #stream;
  #subscriptions = new Subscriptions();
  #main = h('div', { class: 'main' });
  #side = h('div', { class: 'details-place' });

  // `signedOut(note)` is called when the session is over.
  constructor({ me, stream, signedOut }) {
    this.#signedOut = signedOut;
    this.#stream = stream;
    this.#store = new Store(me, stream, (kind, details) => this.#told(kind, details));
    this.#drafts = new Drafts(this.#store);
    this.#list = new ChatList({
      store: this.#store,
      actions: { newChat: () => openNewChat(this.#store), openSettings: () => go('/settings'), leave: () => this.#conversation?.focus() },
    });
    this.element = h('div', { class: 'shell' }, new Banner(this.#store, stream).element, h('div', { class: 'panes' }, h('main', { class: 'stage' }, this.#list.element, this.#main), this.#side));
    this.#listen();
  }

  hear(message) {
    this.#store.hear(message);
  }

  start() {
    this.#follow();
  }

  dispose() {
    this.#subscriptions.end();
    this.#closeConversation();
    this.#store.outbox.close();
    this.#settings?.close();
    document.querySelectorAll('dialog').forEach((dialog) => dialog.close());
    closeMenu();
    showUnread(0);
  }

  #listen() {
    this.#subscriptions.add(onPlace(() => this.#follow()));
    this.#subscriptions.add(this.#store.on('chats', () => this.#chatsChanged()));
    const key = (event) => this.#key(event);
    const leaving = (event) => { if (this.#isUploading()) event.preventDefault(); };
    addEventListener('keydown', key);
    addEventListener('beforeunload', leaving);
    this.#subscriptions.add(() => { removeEventListener('keydown', key); removeEventListener('beforeunload', leaving); });
  }

  #isUploading() {
    if (this.#store.outbox.isUploading) return true;
    return this.#conversation !== null && this.#drafts.of(this.#conversation.chat_id).uploads.some((upload) => !upload.isReady && !upload.failed);
  }

  #chatsChanged() {
    showUnread(this.#store.chats.unreadChats);
    if (this.#wanted && this.#store.chats.get(this.#wanted.chat_id)) this.#follow();
  }

  // ---- places

  #follow() {
    const place = currentPlace();
    this.#wanted = null;
    if (place.name === 'chat') this.#showChat(place);
    else if (place.name === 'home') this.#showHome();
    if (place.name === 'settings') this.#settings ??= openSettings(this.#store, { onClose: () => this.#settingsClosed(), signOut: () => this.#signOut() });
    else this.#settings?.close();
    if (place.name === 'follow') openFollow(this.#store, place.chat_id);
    if (place.name === 'join') openJoin(this.#store, place.token);
    if (!this.#conversation && place.name !== 'chat') this.#showWelcome();
  }

  #settingsClosed() {
    this.#settings = null;
    if (currentPlace().name === 'settings') go(this.#conversation ? chatPath(this.#conversation.chat_id) : '/');
  }

  #showHome() {
    this.#closeConversation();
    this.#showWelcome();
  }

  #showWelcome() {
    this.element.classList.remove('in-chat');
    fill(this.#main, h('div', { class: 'welcome' }, icon('emoji', 'huge'), h('p', {}, 'Choose a chat, or begin a new one.')));
  }

  async #showChat({ chat_id, message_id }) {
    if (this.#conversation?.chat_id === chat_id) {
      if (message_id) this.#conversation.list.goTo(message_id);
      else this.#conversation.focus();
      return;
    }
    this.#closeConversation();
    this.element.classList.add('in-chat');
    this.#list.setCurrent(chat_id);
    if (this.#store.chats.get(chat_id)) return this.#openConversation(chat_id, message_id);
    this.#wanted = { chat_id, message_id };
    fill(this.#main, h('div', { class: 'welcome' }, spinner('Loading the chat')));
    if (await this.#store.refreshChat(chat_id) || currentPlace().chat_id !== chat_id) return;
    fill(this.#main, h('div', { class: 'welcome' }, h('p', {}, 'There is no such chat, or you are not in it.')));
  }

  #openConversation(chat_id, message_id) {
    this.#conversation = new Conversation({
      store: this.#store, drafts: this.#drafts, chat_id, message_id,
      actions: { showDetails: () => this.#toggleDetails(), back: () => go('/') },
    });
    fill(this.#main, this.#conversation.element);
    if (!message_id && matchMedia('(hover: hover)').matches) this.#conversation.focus();
  }

  #closeConversation() {
    this.#closeDetails();
    this.#conversation?.dispose();
    this.#conversation = null;
    this.#list.setCurrent(null);
  }

  #toggleDetails() {
    if (this.#details) return this.#closeDetails();
    this.#details = new Details({ store: this.#store, chat_id: this.#conversation.chat_id, close: () => this.#closeDetails() });
    fill(this.#side, this.#details.element);
    this.element.classList.add('with-details');
    return this.#details.focus();
  }

  #closeDetails() {
    if (!this.#details) return;
    this.#details.dispose();
    this.#details = null;
    fill(this.#side);
    this.element.classList.remove('with-details');
    this.#conversation?.focus();
  }

  // ---- what the page as a whole reacts to

  #told(kind, details) {
    const tell = {
      message: ({ message, notify }) => this.#messageCame(message, notify),
      'signed-out': () => this.#streamEnded(),
      left: ({ chat }) => this.#left(chat),
      request: ({ user_id, chat_id }) => toast(`${this.#store.nameOf(user_id)} asks to join ${this.#titleOf(chat_id)}.`),
      declined: () => toast('Your request to join was declined.'),
      failed: ({ chat_id }) => toast(`A scheduled message could not be sent to ${this.#titleOf(chat_id)}.`, { kind: 'bad' }),
    };
    tell[kind](details);
  }

  // The stream's session is over; this browser may have got another one since.
  async #streamEnded() {
    const me = await currentUser().catch(() => this.#store.me);
    if (me?.id === this.#store.me.id) this.#stream.join(me.id);
    else this.#signedOut('Your session has ended. Sign in again.');
  }

  #titleOf(chat_id) {
    const chat = this.#store.chats.get(chat_id);
    return chat ? this.#store.titleOf(chat) : 'a chat';
  }

  #messageCame(message, notify) {
    const chat = this.#store.chats.get(message.chat_id);
    if (!notify || (isMuted(chat) && !chat.mentioned)) return;
    const sender = chat.type === 'direct' ? null : this.#store.nameOf(message.sender_id);
    notifyOf(message, { title: this.#store.titleOf(chat), sender, open: () => go(chatPath(chat.id)) });
  }

  #left(chat) {
    if (this.#conversation?.chat_id !== chat.id) return;
    go('/', { replace: true });
    toast(`You are no longer in ${this.#store.titleOf(chat)}.`);
  }

  async #signOut() {
    await signOut();
    this.#store.outbox.clear();
    this.#signedOut(null);
    go('/', { replace: true });
  }

  // ---- the keyboard

  #key(event) {
    if (document.querySelector('dialog[open]')) return;
    const command = event.ctrlKey || event.metaKey;
    if (command && event.key.toLowerCase() === 'k') this.#command(event, () => this.#list.focusSearch());
    else if (event.altKey && event.key === 'ArrowDown') this.#command(event, () => this.#step(1));
    else if (event.altKey && event.key === 'ArrowUp') this.#command(event, () => this.#step(-1));
    else if (event.altKey && event.key.toLowerCase() === 'n') this.#command(event, () => openNewChat(this.#store));
    else if (event.key === 'Escape' && this.#details) this.#command(event, () => this.#closeDetails());
    else if (event.key === 'Escape' && !isEditable(event.target)) this.#conversation?.focus();
  }

  #command(event, action) {
    event.preventDefault();
    action();
  }

  #step(direction) {
    const chat = this.#list.neighbour(direction);
    if (chat) go(chatPath(chat.id));
  }
}
