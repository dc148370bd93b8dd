// Who has got, and who has read, an own message.
import { get } from '../lib/api.js';
import { fullTime } from '../lib/format.js';
import { avatar, spinner } from './controls.js';
import { act, openDialog } from './dialog.js';
import { fill, h } from './dom.js';

export function openMessageInfo(store, message) {
  const dialog = openDialog('Message info', { kind: 'small', body: [spinner()] });
  act(async () => {
    const receipts = await get(`/v1/chats/${message.chat_id}/messages/${message.id}/receipts`);
    const read = receipts.read ?? [];
    const delivered = (receipts.delivered ?? []).filter((id) => !read.includes(id));
    fill(dialog.body, h('p', { class: 'hint' }, `Sent ${fullTime(message.created_at)}`),
      people(store, `Read by ${receipts.read_count} of ${receipts.member_count}`, read),
      people(store, `Delivered to ${receipts.delivered_count} of ${receipts.member_count}`, delivered));
  });
}

function people(store, title, ids) {
  return h('section', {}, h('h3', {}, title), h('ul', { class: 'people' }, ids.map((id) => {
    const name = store.nameOf(id);
    return h('li', { class: 'person' }, avatar(id, name, { size: 'small' }), h('span', {}, name));
  })));
}
