// The user's own settings, in pages: profile, privacy, devices, appearance, notifications.
import { get, patch, put, remove } from '../lib/api.js';
import { fullTime, shortTime } from '../lib/format.js';
import { allowNotifications, canNotify } from '../lib/notify.js';
import { preferences, setPreference } from '../lib/preferences.js';
import { avatar, button, field, select, spinner, toast, toggle } from './controls.js';
import { act, ask, openDialog } from './dialog.js';
import { fill, h } from './dom.js';
import { icon } from './icons.js';

const THEMES = [['auto', 'As the system'], ['light', 'Light'], ['dark', 'Dark']];
const PAGES = [
  { name: 'profile', label: 'Profile', icon: 'person', draw: profilePage },
  { name: 'privacy', label: 'Privacy', icon: 'lock', draw: privacyPage },
  { name: 'devices', label: 'Devices', icon: 'device', draw: devicesPage },
  { name: 'appearance', label: 'Appearance', icon: 'palette', draw: appearancePage },
  { name: 'notifications', label: 'Notifications', icon: 'bell', draw: notificationsPage },
];

// `signOut()` ends the session. Answers { close }.
export function openSettings(store, { onClose, signOut }) {
  const page = h('div', { class: 'settings-page', role: 'tabpanel', tabIndex: 0 });
  const tabs = h('div', { class: 'settings-tabs', role: 'tablist', 'aria-label': 'Settings', 'aria-orientation': 'vertical' });
  const show = (wanted) => {
    for (const tab of tabs.children) {
      const isWanted = tab.dataset.name === wanted.name;
      tab.setAttribute('aria-selected', String(isWanted));
      tab.tabIndex = isWanted ? 0 : -1;
    }
    page.setAttribute('aria-label', wanted.label);
    fill(page, wanted.draw(store, { signOut }));
  };
  for (const entry of PAGES) {
    tabs.append(h('button', { type: 'button', role: 'tab', class: 'settings-tab', 'data-name': entry.name, onClick: () => show(entry) }, icon(entry.icon), entry.label));
  }
  tabs.addEventListener('keydown', (event) => moveTab(event, tabs));
  show(PAGES[0]);
  return openDialog('Settings', { kind: 'settings', body: [h('div', { class: 'settings-layout' }, tabs, page)], onClose });
}

function moveTab(event, tabs) {
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const all = [...tabs.children];
  const next = all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
  event.preventDefault();
  next.click();
  next.focus();
}

function profilePage(store, { signOut }) {
  const name = h('input', { type: 'text', required: true, maxLength: 64, value: store.me.display_name, autocomplete: 'name' });
  const rename = h('form', { class: 'form' }, field('Your name', name), button('Save name', null, { type: 'submit', kind: 'primary' }));
  rename.addEventListener('submit', (event) => {
    event.preventDefault();
    act(async () => {
      store.setMe(await patch('/v1/users/me', { display_name: name.value.trim() }));
      toast('Saved');
    });
  });
  return [
    h('div', { class: 'details-top' }, avatar(store.me.id, store.me.display_name, { size: 'large' }), h('p', { class: 'hint' }, `@${store.me.username}`)),
    rename, h('hr'), passwordForm(), h('hr'), button('Sign out', () => act(signOut), { icon: 'leave', kind: 'danger' }),
  ];
}

function passwordForm() {
  const current = h('input', { type: 'password', required: true, autocomplete: 'current-password' });
  const fresh = h('input', { type: 'password', required: true, minLength: 8, autocomplete: 'new-password' });
  const form = h('form', { class: 'form', 'aria-label': 'Change the password' }, h('h3', {}, 'Password'), field('Current password', current),
    field('New password', fresh, { hint: 'All other devices are signed out.' }), button('Change password', null, { type: 'submit' }));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    act(async () => {
      await put('/v1/users/me/password', { current_password: current.value, new_password: fresh.value });
      form.reset();
      toast('The password is changed.');
    });
  });
  return form;
}

function privacyPage(store) {
  const change = (body) => act(async () => store.setMe(await patch('/v1/users/me', body)));
  const blocks = h('ul', { class: 'people', 'aria-label': 'Blocked people' });
  const drawBlocks = () => fill(blocks, store.blocked.size === 0 && h('li', { class: 'hint' }, 'Nobody is blocked.'), [...store.blocked].map((user_id) => {
    const name = store.nameOf(user_id);
    return h('li', { class: 'person' }, avatar(user_id, name, { size: 'small' }), h('span', { class: 'person-text' }, name),
      button('Unblock', () => act(async () => { await remove(`/v1/blocks/${user_id}`); store.setBlocked(user_id, false); drawBlocks(); })));
  }));
  drawBlocks();
  return [
    h('section', {}, toggle('Read receipts', store.me.receipts, (receipts) => change({ receipts }), { hint: 'Others see what you have got and read, and you see it of them.' }),
      toggle('Show when I am online', store.me.presence === 'shared_chats', (on) => change({ presence: on ? 'shared_chats' : 'nobody' }), { hint: 'To people you share a chat with, and you see it of them.' })),
    h('hr'), h('section', {}, h('h3', {}, 'Blocked people'), blocks),
  ];
}

function devicesPage(store) {
  const list = h('ul', { class: 'people', 'aria-label': 'Devices' }, h('li', {}, spinner('Loading devices')));
  const load = () => act(async () => {
    const { items } = await get('/v1/devices');
    fill(list, items.map((device) => deviceRow(device, load)));
  });
  const end = store.on('devices', () => (list.isConnected ? load() : end()));
  load();
  return [h('p', { class: 'hint' }, 'Where you are signed in.'), list];
}

function deviceRow({ id, name, created_at, last_seen_at, current }, changed) {
  const signOut = () => ask(`Sign out ${name}?`, 'Its session ends at once.', [['Sign out', async () => { await remove(`/v1/devices/${id}`); await changed(); }, 'danger']]);
  return h('li', { class: 'person' }, icon('device'),
    h('span', { class: 'person-text' }, h('span', {}, name), h('span', { class: 'hint', title: `Since ${fullTime(created_at)}` }, current ? 'This device' : `Last seen ${shortTime(last_seen_at)}`)),
    current ? h('span', { class: 'tag' }, 'Here') : button('Sign out', signOut, { kind: 'danger' }));
}

function appearancePage() {
  return [
    field('Theme', select(THEMES, preferences().theme, (theme) => setPreference('theme', theme))),
    toggle('Enter sends the message', preferences().enterSends, (on) => setPreference('enterSends', on), { hint: 'Shift and Enter begin a new line.' }),
  ];
}

function notificationsPage() {
  const change = async (on, input) => {
    const allowed = on && (await allowNotifications());
    input.checked = allowed;
    setPreference('notifications', allowed);
    if (on && !allowed) toast('The browser does not allow notifications of this page.', { kind: 'bad' });
  };
  return [toggle('Desktop notifications', preferences().notifications, change, { hint: 'While Parley is open, and none of its tabs is in view.', disabled: !canNotify() })];
}
