// Invitation links of a chat, and who waits to be let in.
import { getAll, post, put, remove } from '../lib/api.js';
import { canAdminister } from '../lib/chats.js';
import { countOf, fullTime } from '../lib/format.js';
import { freshKey } from '../lib/ids.js';
import { avatar, button, copyText, field, iconButton, select, toggle } from './controls.js';
import { act, openDialog, openForm } from './dialog.js';
import { fill, h } from './dom.js';

const DAY_S = 86_400;
const EXPIRIES = [[0, 'Never'], [DAY_S, 'After 1 day'], [7 * DAY_S, 'After 7 days'], [30 * DAY_S, 'After 30 days']];
const USES = [[0, 'Any number'], [1, '1 person'], [10, '10 people'], [100, '100 people']];

export function invitationsSection(store, chat) {
  const list = h('ul', { class: 'people', 'aria-label': 'Invitation links' });
  const load = async () => {
    if (!canAdminister(chat)) return;
    const links = await getAll(`/v1/chats/${chat.id}/links`, 100).catch(() => []);
    fill(list, links.map((link) => linkRow(store, chat, link, load)));
  };
  load();
  return h('section', {}, h('div', { class: 'section-head' }, h('h2', {}, 'Invitation links'), button('New link', () => openNewLink(chat, load), { icon: 'link' })), list);
}

function linkRow(store, chat, link, changed) {
  const used = link.uses === null ? `${link.used} joined` : `${link.used} of ${link.uses} joined`;
  const details = [used, link.approval && 'asks an admin', link.expires_at && `until ${fullTime(link.expires_at)}`].filter(Boolean).join(', ');
  return h('li', { class: 'person' }, h('span', { class: 'person-text' }, h('span', {}, `By ${store.nameOf(link.created_by)}`), h('span', { class: 'hint' }, details)),
    iconButton('delete', 'Revoke this link', () => act(async () => { await remove(`/v1/chats/${chat.id}/links/${link.id}`); await changed(); })));
}

function openNewLink(chat, changed) {
  const expiry = select(EXPIRIES, 7 * DAY_S, () => {});
  const uses = select(USES, 0, () => {});
  let approval = false;
  const asks = toggle('An admin decides who joins', false, (on) => { approval = on; uses.disabled = on; });
  const key = freshKey();
  openForm('New invitation link', {
    fields: [field('Expires', expiry), field('Works for', uses), asks], submitLabel: 'Make link',
    submit: async () => {
      const body = { ...(Number(expiry.value) > 0 && { expires_in_s: Number(expiry.value) }), ...(Number(uses.value) > 0 && !approval && { uses: Number(uses.value) }), ...(approval && { approval }) };
      const { token } = await post(`/v1/chats/${chat.id}/links`, body, { key });
      await changed();
      return () => showLink(`${location.origin}/#/join/${token}`);
    },
  });
}

function showLink(url) {
  openDialog('Invitation link', {
    kind: 'small',
    body: [h('p', { class: 'hint' }, 'It is shown once. Whoever has it may use it.'), h('div', { class: 'link-box' }, h('code', {}, url), iconButton('copy', 'Copy the link', () => copyText(url)))],
  });
}

// Shown only when somebody waits.
export function requestsSection(store, chat, parts) {
  const section = h('section', { hidden: true });
  const load = async () => {
    const requests = await getAll(`/v1/chats/${chat.id}/requests`, 500).catch(() => []);
    section.hidden = requests.length === 0;
    fill(section, h('h2', {}, `${countOf(requests.length, 'request')} to join`), h('ul', { class: 'people', 'aria-label': 'Requests to join' }, requests.map(({ user_id }) => requestRow(store, chat, user_id, load))));
  };
  parts.add(store.on(`members:${chat.id}`, load));
  load();
  return section;
}

function requestRow(store, chat, user_id, changed) {
  const name = store.nameOf(user_id);
  const answer = (approve) => act(async () => {
    await put(`/v1/chats/${chat.id}/requests/${user_id}`, { approve });
    await changed();
  });
  return h('li', { class: 'person' }, avatar(user_id, name, { size: 'small' }), h('span', { class: 'person-text' }, name),
    iconButton('check', `Let ${name} in`, () => answer(true)), iconButton('close', `Decline ${name}`, () => answer(false)));
}
