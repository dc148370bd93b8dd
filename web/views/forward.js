// Choosing a chat: to forward a message to it.
import { mayDo } from '../lib/chats.js';
import { chatPath, go } from '../lib/router.js';
import { summaryOf } from '../lib/text.js';
import { avatar, toast } from './controls.js';
import { openDialog } from './dialog.js';
import { fill, h } from './dom.js';

const SHOWN_MAX = 60;

export function openForward(store, message) {
  chooseChat(store, 'Forward to', (chat) => {
    const entry = store.outbox.add(chat.id, { forward: { chat_id: message.chat_id, message_id: message.id } });
    entry.shown = { text: summaryOf(message) };
    toast(`Forwarded to ${store.titleOf(chat)}`);
    go(chatPath(chat.id));
  });
}

function chooseChat(store, title, chosen) {
  const search = h('input', { type: 'search', class: 'search plain', placeholder: 'Search chats', 'aria-label': 'Search chats' });
  const list = h('ul', { class: 'choice-list' });
  const dialog = openDialog(title, { body: [search, list] });
  const draw = () => {
    const wanted = search.value.trim().toLowerCase();
    const chats = store.chats.sorted().filter((chat) => mayDo(chat, 'post') && store.titleOf(chat).toLowerCase().includes(wanted)).slice(0, SHOWN_MAX);
    fill(list, chats.map((chat) => choice(store, chat, () => { dialog.close(); chosen(chat); })));
  };
  search.addEventListener('input', draw);
  draw();
  search.focus();
}

function choice(store, chat, onClick) {
  const name = store.titleOf(chat);
  return h('li', {}, h('button', { type: 'button', class: 'choice', onClick },
    avatar(chat.type === 'direct' ? chat.peer_id : chat.id, name, { image_id: chat.avatar_id, size: 'small' }), h('span', {}, name)));
}
