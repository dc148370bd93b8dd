// Who is in a group, and in which role; who is banned from it.
import { getAll, put, remove } from '../lib/api.js';
import { canAdminister, mayDo, membersOf } from '../lib/chats.js';
import { openDirectChat } from './conversation.js';
import { avatar, button, iconButton, spinner } from './controls.js';
import { act, ask, openDialog, openMenu } from './dialog.js';
import { fill, h } from './dom.js';
import { userSearch } from './new-chat.js';

const SHOWN_FIRST = 12;
const RANKS = { owner: 0, admin: 1, member: 2 };
const ROLE_NAMES = { owner: 'Owner', admin: 'Admin', member: 'Member' };

// A section that follows the members of the chat; `parts` gets what ends it.
export function membersSection(store, chat, parts) {
  const list = h('ul', { class: 'people', 'aria-label': 'Members' }, h('li', {}, spinner('Loading members')));
  let members = [];
  let all = false;
  const draw = () => {
    const shown = [...members].sort((one, other) => RANKS[one.role] - RANKS[other.role]).slice(0, all ? undefined : SHOWN_FIRST);
    fill(list, shown.map((member) => memberRow(store, chat, member, load)),
      members.length > shown.length && h('li', {}, button(`Show all ${members.length}`, () => { all = true; draw(); })));
  };
  const load = async () => {
    members = await membersOf(chat.id).catch(() => members);
    draw();
  };
  parts.add(store.on(`members:${chat.id}`, load));
  parts.add(store.on('people', draw));
  load();
  return h('section', {}, h('div', { class: 'section-head' }, h('h2', {}, chat.type === 'channel' ? 'Admins' : 'Members'),
    mayAdd(chat) && button('Add', () => addMember(store, chat), { icon: 'add' })), list);
}

// Nobody is made to follow a channel; its owners make admins of followers.
function mayAdd(chat) {
  return chat.type === 'channel' ? chat.my_role === 'owner' : mayDo(chat, 'add');
}

function memberRow(store, chat, { user_id, role }, changed) {
  const name = store.nameOf(user_id);
  const isMe = user_id === store.me.id;
  return h('li', { class: 'person' }, avatar(user_id, name, { size: 'small' }),
    h('span', { class: 'person-text' }, h('span', {}, isMe ? `${name} (you)` : name), h('span', { class: 'hint' }, store.people.get(user_id) ? `@${store.people.get(user_id).username}` : '')),
    role !== 'member' && h('span', { class: 'tag' }, ROLE_NAMES[role]),
    !isMe && iconButton('more', `Actions for ${name}`, (event) => memberMenu(store, chat, { user_id, role, name }, changed, event.currentTarget)));
}

function memberMenu(store, chat, { user_id, role, name }, changed, anchor) {
  const path = `/v1/chats/${chat.id}/members/${user_id}`;
  const isOwner = chat.my_role === 'owner';
  const outranked = isOwner || (chat.my_role === 'admin' && role === 'member');
  const setRole = (wanted) => async () => { await put(path, { role: wanted }); await changed(); };
  openMenu({
    anchor, label: `Actions for ${name}`,
    items: [
      { label: 'Write a message', icon: 'send', action: () => openDirectChat(store, user_id) },
      isOwner && role !== 'admin' && { label: 'Make admin', icon: 'shield', action: setRole('admin') },
      isOwner && role !== 'owner' && { label: 'Make owner', icon: 'shield', action: setRole('owner') },
      isOwner && role !== 'member' && { label: 'Make member', icon: 'person', action: setRole('member') },
      outranked && { label: 'Remove', icon: 'leave', kind: 'danger', action: () => ask(`Remove ${name}?`, 'They can be added again.', [['Remove', async () => { await remove(path); await changed(); }, 'danger']]) },
      outranked && { label: 'Ban', icon: 'ban', kind: 'danger', action: () => ask(`Ban ${name}?`, 'They are removed, and can neither join nor be added until the ban is lifted.', [
        ['Ban', async () => { await put(`/v1/chats/${chat.id}/bans/${user_id}`); store.emitter.changed(`members:${chat.id}`); }, 'danger'],
      ]) },
    ],
  });
}

function addMember(store, chat) {
  const isChannel = chat.type === 'channel';
  const search = userSearch(store, isChannel ? 'Make a follower an admin, by username' : 'Add somebody by username', (user) => act(async () => {
    await put(`/v1/chats/${chat.id}/members/${user.id}`, isChannel ? { role: 'admin' } : {});
    store.emitter.changed(`members:${chat.id}`);
    dialog.close();
  }));
  const dialog = openDialog(isChannel ? 'Add an admin' : 'Add a member', { kind: 'small', body: [search.element] });
  search.focus();
}

// Shown only when somebody is banned.
export function bansSection(store, chat, parts) {
  const section = h('section', { hidden: true });
  if (!canAdminister(chat)) return section;
  const load = async () => {
    const bans = await getAll(`/v1/chats/${chat.id}/bans`, 500).catch(() => []);
    section.hidden = bans.length === 0;
    fill(section, h('h2', {}, 'Banned'), h('ul', { class: 'people', 'aria-label': 'Banned' }, bans.map(({ user_id }) => {
      const name = store.nameOf(user_id);
      return h('li', { class: 'person' }, avatar(user_id, name, { size: 'small' }), h('span', { class: 'person-text' }, name),
        button('Lift', () => act(async () => { await remove(`/v1/chats/${chat.id}/bans/${user_id}`); await load(); })));
    })));
  };
  parts.add(store.on(`members:${chat.id}`, load));
  load();
  return section;
}
