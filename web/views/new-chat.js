// Beginning a chat: with one person, a group, or a channel.
import { post } from '../lib/api.js';
import { freshKey } from '../lib/ids.js';
import { chatPath, go } from '../lib/router.js';
import { avatar, button, field, iconButton, select, toggle } from './controls.js';
import { act, openDialog, openForm } from './dialog.js';
import { fill, h } from './dom.js';
import { icon } from './icons.js';
import { openDirectChat } from './conversation.js';

export function openNewChat(store) {
  const search = userSearch(store, 'Find somebody by username', (user) => { dialog.close(); act(() => openDirectChat(store, user.id)); });
  const dialog = openDialog('New chat', {
    kind: 'small',
    body: [
      search.element,
      h('div', { class: 'choices' },
        choice('group', 'New group', () => { dialog.close(); openNewGroup(store); }),
        choice('megaphone', 'New channel', () => { dialog.close(); openNewChannel(store); }),
        choice('link', 'Join by a link', () => { dialog.close(); openJoinForm(); })),
      knownPeople(store, (user_id) => { dialog.close(); act(() => openDirectChat(store, user_id)); }),
    ],
  });
  search.focus();
}

function choice(name, label, onClick) {
  return h('button', { type: 'button', class: 'choice', onClick }, h('span', { class: 'choice-icon' }, icon(name)), h('span', {}, label));
}

function knownPeople(store, chosen) {
  if (store.contacts.size === 0) return null;
  return h('section', {}, h('h3', {}, 'Contacts'), h('ul', { class: 'choice-list' }, [...store.contacts.keys()].map((user_id) => h('li', {},
    h('button', { type: 'button', class: 'choice', onClick: () => chosen(user_id) }, avatar(user_id, store.nameOf(user_id), { size: 'small' }), h('span', {}, store.nameOf(user_id)))))));
}

// A field that finds a user by the whole username; `found(user)` is called with whom it finds.
export function userSearch(store, label, found) {
  const input = h('input', { type: 'text', autocomplete: 'off', autocapitalize: 'none', spellcheck: false, maxLength: 32 });
  const note = h('p', { class: 'form-error', role: 'alert' });
  const element = h('form', { class: 'user-search' }, h('div', { class: 'row' }, field(label, input), button('Find', null, { type: 'submit', kind: 'primary' })), note);
  element.addEventListener('submit', (event) => {
    event.preventDefault();
    fill(note);
    act(async () => {
      const username = input.value.trim();
      const user = username ? await store.people.find(username) : null;
      if (!user) return fill(note, `Nobody is called ${username || 'that'}.`);
      if (user.id === store.me.id) return fill(note, 'That is you.');
      input.value = '';
      return found(user);
    });
  });
  return { element, focus: () => input.focus() };
}

function openNewGroup(store) {
  const title = h('input', { type: 'text', required: true, maxLength: 128 });
  const history = select([['from_join', 'From when they join'], ['all', 'Everything']], 'from_join', () => {});
  const chosen = new Map();
  const list = h('ul', { class: 'chips', 'aria-label': 'People in the group' });
  const draw = () => fill(list, [...chosen.values()].map((user) => h('li', { class: 'chip' }, avatar(user.id, user.display_name, { size: 'tiny' }), user.display_name,
    iconButton('close', `Remove ${user.display_name}`, () => { chosen.delete(user.id); draw(); }))));
  const search = userSearch(store, 'Add somebody by username', (user) => { chosen.set(user.id, user); draw(); search.focus(); });
  const key = freshKey();
  const create = async () => {
    const chat = await post('/v1/chats', { type: 'group', title: title.value.trim(), history: history.value, member_ids: [...chosen.keys()] }, { key });
    await store.refreshChat(chat.id);
    go(chatPath(chat.id));
  };
  const dialog = openForm('New group', { fields: [field('Name', title), field('New members see', history)], submitLabel: 'Create group', submit: create, kind: '' });
  dialog.body.prepend(search.element, list);
  title.focus();
}

function openNewChannel(store) {
  const title = h('input', { type: 'text', required: true, maxLength: 128 });
  const description = h('textarea', { rows: 3, maxLength: 512 });
  let isPublic = false;
  const open = toggle('Anybody may follow it', false, (on) => { isPublic = on; }, { hint: 'Who has its address. Otherwise only by invitation links.' });
  const key = freshKey();
  const create = async () => {
    const about = description.value.trim();
    const chat = await post('/v1/chats', { type: 'channel', title: title.value.trim(), public: isPublic, ...(about && { description: about }) }, { key });
    await store.refreshChat(chat.id);
    go(chatPath(chat.id));
  };
  openForm('New channel', {
    fields: [field('Name', title), field('What it is about', description), open], submitLabel: 'Create channel', submit: create,
    note: 'You and the admins you name post; everybody else reads.',
  });
}

// Takes a whole invitation link or only its last part.
function openJoinForm() {
  const link = h('input', { type: 'text', required: true, autocomplete: 'off', spellcheck: false });
  openForm('Join by a link', {
    fields: [field('Invitation link', link)], submitLabel: 'Look at it',
    submit: async () => {
      const token = /([A-Za-z0-9_-]{20,})\/?$/.exec(link.value.trim())?.[1];
      if (!token) throw new Error('This is no invitation link.');
      go(`/join/${token}`);
    },
  });
}
