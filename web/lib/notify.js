// Desktop notifications, and the number of unread chats in the title, while the page is open.
import { preferences } from './preferences.js';
import { summaryOf } from './text.js';

const TITLE = 'Parley';

export function canNotify() {
  return 'Notification' in globalThis;
}

// Asks the user; answers whether they may be shown.
export async function allowNotifications() {
  if (!canNotify()) return false;
  const permission = Notification.permission === 'default' ? await Notification.requestPermission() : Notification.permission;
  return permission === 'granted';
}

export function notifyOf(message, { title, sender, open }) {
  if (!preferences().notifications || !canNotify() || Notification.permission !== 'granted') return;
  const text = summaryOf(message);
  const notification = new Notification(title, { body: sender ? `${sender}: ${text}` : text, tag: message.chat_id, renotify: true, icon: '/icon.svg' });
  notification.onclick = () => {
    window.focus();
    open();
    notification.close();
  };
}

export function showUnread(count) {
  document.title = count > 0 ? `(${count}) ${TITLE}` : TITLE;
}
