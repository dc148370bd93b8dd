// Messages that the server posts later: writing one, and the list of those that wait in a chat.
import { getAll, post, remove } from '../lib/api.js';
import { fullTime } from '../lib/format.js';
import { freshKey } from '../lib/ids.js';
import { summaryOf } from '../lib/text.js';
import { button, field, iconButton, spinner, toast } from './controls.js';
import { act, openDialog, openForm } from './dialog.js';
import { fill, h } from './dom.js';

const FIRST_MS = 60_000;
const PROPOSED_MS = 3_600_000;
const FAILURES = { forbidden: 'You may not write here any more.', not_found: 'You are not in this chat any more.', already_deleted: 'What it answers is gone.' };

export function openScheduled(store, chat, text = '') {
  const list = h('ul', { class: 'people', 'aria-label': 'Scheduled messages' }, h('li', {}, spinner()));
  const load = () => act(async () => {
    const items = await getAll(`/v1/chats/${chat.id}/scheduled`, 100);
    fill(list, items.length === 0 && h('li', { class: 'hint' }, 'Nothing waits here.'), items.map((item) => row(chat, item, load)));
  });
  openDialog('Scheduled messages', { kind: 'small', body: [list], actions: [button('New', () => openNew(chat, text, load), { icon: 'add', kind: 'primary' })] });
  load();
}

function row(chat, item, changed) {
  const state = item.failed ? `Not sent: ${FAILURES[item.failed] ?? item.failed}` : fullTime(item.send_at);
  return h('li', { class: 'person' }, h('span', { class: 'person-text' }, h('span', {}, summaryOf(item)), h('span', { class: 'hint' }, state)),
    iconButton('delete', 'Delete this scheduled message', () => act(async () => {
      await remove(`/v1/chats/${chat.id}/scheduled/${item.id}`);
      await changed();
    })));
}

function openNew(chat, text, changed) {
  const input = h('textarea', { rows: 4, required: true, maxLength: 100_000, value: text });
  const at = h('input', { type: 'datetime-local', required: true, min: localTime(Date.now() + FIRST_MS), value: localTime(Date.now() + PROPOSED_MS) });
  const key = freshKey();
  openForm('Send later', {
    fields: [field('Message text', input), field('When', at)], submitLabel: 'Schedule',
    submit: async () => {
      const item = await post(`/v1/chats/${chat.id}/scheduled`, { text: input.value.trim(), send_at: new Date(at.value).toISOString() }, { key });
      toast(`It is sent ${fullTime(item.send_at)}.`);
      await changed();
    },
  });
}

// As a field of date and time wants it: local, to the minute.
function localTime(time_ms) {
  const offset_ms = new Date(time_ms).getTimezoneOffset() * 60_000;
  return new Date(time_ms - offset_ms).toISOString().slice(0, 16);
}
