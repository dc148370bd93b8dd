// What a chat is, beside its conversation: the person, or the group with its members, invitations and rules.
import { patch, put, remove } from '../lib/api.js';
import { canAdminister, isMuted } from '../lib/chats.js';
import { countOf, fullTime, lastSeen } from '../lib/format.js';
import { Upload } from '../lib/uploads.js';
import { changeSettings, leaveChat, openMuteMenu } from './chat-menu.js';
import { avatar, button, copyText, field, iconButton, select, toggle } from './controls.js';
import { blockUser } from './conversation.js';
import { act, ask, openForm } from './dialog.js';
import { Subscriptions, fill, h } from './dom.js';
import { invitationsSection, requestsSection } from './invitations.js';
import { bansSection, membersSection } from './members.js';
import { openReport } from './report.js';

const DAY_S = 86_400;
const DISAPPEAR = [[0, 'Off'], [3600, 'After 1 hour'], [DAY_S, 'After 1 day'], [7 * DAY_S, 'After 7 days'], [90 * DAY_S, 'After 90 days']];
const SLOW_MODE = [[0, 'Off'], [10, '10 seconds'], [60, '1 minute'], [600, '10 minutes'], [3600, '1 hour']];
const WHO = [['members', 'All members'], ['admins', 'Admins only']];

export class Details {
  #store;
  #chat_id;
  #subscriptions = new Subscriptions();
  #parts = new Subscriptions();
  #shown = '';
  #body = h('div', { class: 'details-body' });

  constructor({ store, chat_id, close }) {
    this.#store = store;
    this.#chat_id = chat_id;
    this.element = h('aside', { class: 'details', 'aria-label': 'Details' },
      h('header', { class: 'details-header' }, h('h1', {}, 'Details'), iconButton('close', 'Close details', close)), this.#body);
    for (const topic of [`chat:${chat_id}`, 'blocks', 'contacts', 'people', 'presence']) this.#subscriptions.add(store.on(topic, () => this.#render()));
    if (store.chats.get(chat_id)?.type === 'channel') store.refreshChat(chat_id); // nobody is told how many follow it
    this.#render();
  }

  dispose() {
    this.#subscriptions.end();
    this.#parts.end();
  }

  focus() {
    this.element.querySelector('button').focus();
  }

  // Draws anew when something that is shown here has changed, so that nothing is taken from under a hand.
  #render() {
    const chat = this.#store.chats.get(this.#chat_id);
    if (!chat) return;
    const { id, type, title, description, avatar_id, member_count, settings, message_ttl_s, slow_mode_s, permissions, history, my_role, until_delivered, public: isPublic } = chat;
    const shown = JSON.stringify([id, type, title, description, avatar_id, member_count, settings, message_ttl_s, slow_mode_s, permissions, history, my_role, until_delivered, isPublic, this.#ofPeer(chat)]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#parts.end();
    fill(this.#body, chat.type === 'direct' ? this.#direct(chat) : this.#group(chat));
  }

  #ofPeer({ type, peer_id }) {
    if (type !== 'direct') return null;
    const store = this.#store;
    return [store.nameOf(peer_id), store.people.get(peer_id)?.username, store.presence.get(peer_id)?.online, store.presence.get(peer_id)?.last_seen_at, store.blocked.has(peer_id), store.contacts.has(peer_id)];
  }

  async #change(body) {
    const chat = await patch(`/v1/chats/${this.#chat_id}`, body);
    this.#store.chats.put(chat);
  }

  // ---- a person

  #direct(chat) {
    const store = this.#store;
    const name = store.nameOf(chat.peer_id);
    const user = store.people.get(chat.peer_id);
    const presence = store.presence.get(chat.peer_id);
    return [
      h('div', { class: 'details-top' }, avatar(chat.peer_id, name, { size: 'large', online: presence?.online }), h('p', { class: 'details-name' }, name),
        h('p', { class: 'hint' }, user ? `@${user.username}` : ''), h('p', { class: 'hint' }, presence?.online ? 'online' : lastSeen(presence?.last_seen_at))),
      this.#muteSwitch(chat), this.#disappearing(chat), this.#untilDelivered(chat),
      h('div', { class: 'details-buttons' }, this.#contactButton(chat.peer_id, user), this.#blockButton(chat.peer_id, name),
        button('Report', () => openReport(`Report ${name}`, { user_id: chat.peer_id }), { icon: 'warn', kind: 'danger' })),
    ];
  }

  #contactButton(user_id, user) {
    const store = this.#store;
    if (store.contacts.has(user_id)) {
      return button('Remove from contacts', () => act(async () => { await remove(`/v1/contacts/${user_id}`); store.setContact(user_id, null); }), { icon: 'person' });
    }
    return button('Add to contacts', () => {
      const name = h('input', { type: 'text', maxLength: 64, value: user?.display_name ?? '' });
      openForm('Add to contacts', {
        fields: [field('Name', name, { hint: 'What you call this person; nobody else sees it.' })], submitLabel: 'Add',
        submit: async () => store.setContact(user_id, await put(`/v1/contacts/${user_id}`, name.value.trim() ? { name: name.value.trim() } : {})),
      });
    }, { icon: 'person' });
  }

  #blockButton(user_id, name) {
    const store = this.#store;
    if (store.blocked.has(user_id)) return button('Unblock', () => act(async () => { await remove(`/v1/blocks/${user_id}`); store.setBlocked(user_id, false); }), { icon: 'ban' });
    return button('Block', () => ask(`Block ${name}?`, 'You see nothing of what they write to you, and they do not see when you are online. They are not told.', [
      ['Block', () => blockUser(store, user_id, name), 'danger'],
    ]), { icon: 'ban', kind: 'danger' });
  }

  // ---- a group or a channel

  #group(chat) {
    const store = this.#store;
    const mayEdit = canAdminister(chat) || chat.permissions?.edit === 'members';
    const isChannel = chat.type === 'channel';
    return [
      h('div', { class: 'details-top' }, avatar(chat.id, chat.title, { image_id: chat.avatar_id, size: 'large' }), h('p', { class: 'details-name' }, chat.title),
        h('p', { class: 'hint' }, countOf(chat.member_count, isChannel ? 'follower' : 'member')), chat.description && h('p', {}, chat.description),
        mayEdit && h('div', { class: 'row' }, button('Edit', () => this.#edit(chat), { icon: 'edit' }), button('Picture', () => this.#choosePicture(chat), { icon: 'palette' }))),
      this.#muteSwitch(chat),
      canAdminister(chat) && this.#rules(chat),
      canAdminister(chat) && requestsSection(store, chat, this.#parts),
      (canAdminister(chat) || (!isChannel && chat.permissions?.add === 'members')) && invitationsSection(store, chat),
      membersSection(store, chat, this.#parts),
      canAdminister(chat) && bansSection(store, chat, this.#parts),
      h('div', { class: 'details-buttons' }, button(isChannel ? 'Unfollow' : 'Leave group', () => leaveChat(store, chat), { icon: 'leave', kind: 'danger' }),
        chat.my_role === 'owner' && button(isChannel ? 'Delete channel' : 'Delete group', () => this.#delete(chat), { icon: 'delete', kind: 'danger' })),
    ];
  }

  #edit(chat) {
    const title = h('input', { type: 'text', required: true, maxLength: 128, value: chat.title });
    const description = h('textarea', { rows: 3, maxLength: 512, value: chat.description ?? '' });
    openForm('Edit', {
      fields: [field('Name', title), field('Description', description)], submitLabel: 'Save',
      submit: () => this.#change({ title: title.value.trim(), description: description.value.trim() }),
    });
  }

  #choosePicture(chat) {
    const input = h('input', { type: 'file', accept: 'image/png,image/jpeg,image/webp,image/gif', onChange: () => act(async () => {
      const upload = new Upload(input.files[0]);
      await this.#change({ avatar_id: await upload.done });
      upload.release();
    }) });
    if (!chat.avatar_id) return input.click();
    return ask('Picture of the chat', 'Choose another one, or take it away.', [['Remove', () => this.#change({ avatar_id: null }), 'danger'], ['Choose', () => input.click(), 'primary']]);
  }

  #rules(chat) {
    const who = (label, name) => field(label, select(WHO, chat.permissions[name], (value) => act(() => this.#change({ permissions: { [name]: value } }))));
    if (chat.type === 'channel') return this.#channelRules(chat);
    return h('section', {}, h('h2', {}, 'Rules'),
      who('Who may write', 'post'), who('Who may add people', 'add'), who('Who may edit the group', 'edit'),
      field('Slow mode', select(SLOW_MODE, chat.slow_mode_s, (value) => act(() => this.#change({ slow_mode_s: Number(value) })))),
      this.#historyField(chat), this.#disappearing(chat), this.#untilDelivered(chat));
  }

  #channelRules(chat) {
    const address = `${location.origin}/#/follow/${chat.id}`;
    return h('section', {}, h('h2', {}, 'Rules'),
      toggle('Anybody may follow it', chat.public ?? false, (on) => act(() => this.#change({ public: on })), { hint: 'Who has its address. Otherwise only by invitation links.' }),
      chat.public && h('div', { class: 'link-box' }, h('code', {}, address), iconButton('copy', 'Copy the address', () => copyText(address))),
      this.#historyField(chat), this.#disappearing(chat));
  }

  #historyField(chat) {
    return field('New members see', select([['from_join', 'From when they join'], ['all', 'Everything']], chat.history, (history) => act(() => this.#change({ history }))));
  }

  #disappearing(chat) {
    const options = DISAPPEAR.some(([seconds]) => seconds === chat.message_ttl_s) ? DISAPPEAR : [...DISAPPEAR, [chat.message_ttl_s, `After ${chat.message_ttl_s} seconds`]];
    return field('Disappearing messages', select(options, chat.message_ttl_s, (value) => act(() => this.#change({ message_ttl_s: Number(value) }))));
  }

  #untilDelivered(chat) {
    return toggle('Disappear once delivered', chat.until_delivered, (until_delivered) => act(() => this.#change({ until_delivered })), { hint: 'When all devices of all members have got a message.' });
  }

  #muteSwitch(chat) {
    const muted = isMuted(chat);
    const hint = muted ? `Until ${fullTime(chat.settings.muted_until)}` : null;
    return toggle('Mute', muted, (on, input) => {
      if (!on) return act(() => changeSettings(this.#store, chat, { muted_until: null }));
      input.checked = false;
      return openMuteMenu(this.#store, chat, { anchor: input });
    }, { hint });
  }

  #delete(chat) {
    ask('Delete for everyone?', `All messages of ${chat.title} are deleted.`, [['Delete', async () => { await remove(`/v1/chats/${chat.id}`); this.#store.leftChat(chat.id); }, 'danger']]);
  }
}
