// Emoji to choose from: a short list in groups, and no more; systems have their own pickers for the rest.
import { h } from './dom.js';
import { openMenu } from './dialog.js';

export const QUICK = ['👍', '❤️', '😂', '😮', '😢', '🙏'];
const OFFERED = [
  '😀', '😄', '😁', '😅', '😂', '🙂', '😉', '😊', '😍', '😘', '😎', '🤔', '😐', '🙄', '😴', '😮', '😢', '😭', '😡', '🤯', '🥳', '🤗', '🤝', '👍', '👎', '👏', '🙌', '🙏', '💪', '👋',
  '❤️', '🧡', '💛', '💚', '💙', '💜', '💔', '🔥', '✨', '⭐', '🎉', '🎂', '🎁', '☕', '🍕', '🍺', '🌹', '🌞', '🌧️', '❄️', '🐶', '🐱', '⚽', '🎵', '📷', '💡', '✅', '❌', '❓', '❗',
];

export function openEmojiPicker(anchor, choose) {
  const above = OFFERED.map((emoji) => ({ label: emoji, text: h('span', { 'aria-hidden': 'true' }, emoji), kind: 'emoji', action: () => choose(emoji) }));
  openMenu({ anchor, items: [], above, label: 'Emoji' });
}
