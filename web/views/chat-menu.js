// What one can do with a chat for oneself: mute, pin, archive, leave.
import { patch, remove } from '../lib/api.js';
import { isMuted } from '../lib/chats.js';
import { ask, openMenu } from './dialog.js';

const HOUR_MS = 3_600_000;
const MUTE_TIMES = [['1 hour', HOUR_MS], ['8 hours', 8 * HOUR_MS], ['1 week', 168 * HOUR_MS], ['Always', 100 * 8766 * HOUR_MS]];

export async function changeSettings(store, chat, body) {
  const { settings, draft } = await patch(`/v1/chats/${chat.id}/me`, body);
  store.chats.update(chat.id, { settings, draft });
}

export function openMuteMenu(store, chat, where) {
  const items = MUTE_TIMES.map(([label, duration_ms]) => ({
    label, icon: 'mute', action: () => changeSettings(store, chat, { muted_until: new Date(Date.now() + duration_ms).toISOString() }),
  }));
  openMenu({ ...where, items, label: 'Mute for' });
}

export function leaveChat(store, chat) {
  const isChannel = chat.type === 'channel';
  ask(isChannel ? 'Unfollow the channel?' : 'Leave the group?', 'You get no more of its messages.', [
    [isChannel ? 'Unfollow' : 'Leave', async () => {
      await remove(`/v1/chats/${chat.id}/members/${store.me.id}`);
      store.leftChat(chat.id);
    }, 'danger'],
  ]);
}

// `where`: { anchor } or { point }; `more`: items before the others.
export function openChatMenu(store, chat, where, more = []) {
  const { archived, pinned_at } = chat.settings;
  const items = [
    ...more,
    { label: pinned_at ? 'Unpin chat' : 'Pin chat', icon: 'pin', action: () => changeSettings(store, chat, { pinned: !pinned_at }) },
    isMuted(chat)
      ? { label: 'Unmute', icon: 'bell', action: () => changeSettings(store, chat, { muted_until: null }) }
      : { label: 'Mute…', icon: 'mute', action: () => openMuteMenu(store, chat, where) },
    { label: archived ? 'Unarchive' : 'Archive', icon: 'archive', action: () => changeSettings(store, chat, { archived: !archived }) },
    chat.type !== 'direct' && { label: chat.type === 'channel' ? 'Unfollow' : 'Leave group', icon: 'leave', kind: 'danger', action: () => leaveChat(store, chat) },
  ];
  openMenu({ ...where, items, label: 'Chat actions' });
}
