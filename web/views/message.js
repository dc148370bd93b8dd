// One message as a row of the history. What it shows comes in `row`, which is also what decides whether it is drawn anew.
import { fullTime, timeOf } from '../lib/format.js';
import { isOnlyEmoji, piecesOf, summaryOf } from '../lib/text.js';
import { attachmentsView } from './attachments.js';
import { avatar, button } from './controls.js';
import { h } from './dom.js';
import { icon, tick } from './icons.js';

// `actions`: menu(message, where), open(attachment), goTo(message_id), react(message, emoji, on), retry(key), discard(key).
export function messageRow(row, actions, before) {
  const { message } = row;
  const element = h('li', { class: rowClass(row), tabIndex: -1, 'data-id': message.id ?? message.key, 'data-seq': message.seq ?? '' },
    row.day && h('div', { class: 'day' }, h('span', {}, row.day)),
    row.unreadLine && h('div', { class: 'unread-line' }, h('span', {}, 'New messages')),
    h('div', { class: 'message-line' },
      row.showAvatar && avatar(message.sender_id, row.sender, { size: 'small' }),
      h('div', { class: 'bubble-column' }, bubble(row, actions, before), reactionsView(row, actions)),
      message.id && !message.deleted && h('button', { type: 'button', class: 'icon-button message-actions', tabIndex: -1, 'aria-label': 'Message actions', 'aria-haspopup': 'menu',
        onClick: (event) => actions.menu(message, { anchor: event.currentTarget }) }, icon('down'))));
  if (message.id) element.addEventListener('contextmenu', (event) => openMenuAt(event, message, actions));
  return element;
}

function rowClass({ mine, first, last, grouped }) {
  return ['message-row', mine ? 'mine' : 'theirs', first && 'first', last && 'last', grouped && 'grouped'].filter(Boolean).join(' ');
}

function openMenuAt(event, message, actions) {
  if (event.target.closest('a, audio, video') || String(getSelection())) return;
  event.preventDefault();
  actions.menu(message, { point: { x: event.clientX, y: event.clientY } });
}

function bubble(row, actions, before) {
  const { message } = row;
  if (message.deleted || message.withheld) return h('div', { class: 'bubble gone' }, icon(message.deleted ? 'ban' : 'edit', 'tiny'), h('span', {}, summaryOf(message)), meta(row));
  const files = message.attachments ?? [];
  const large = files.length === 0 && isOnlyEmoji(message.text) && !message.reply_to;
  return h('div', { class: `bubble ${large ? 'large' : ''} ${files.length > 0 ? 'with-files' : ''}` },
    row.showName && h('div', { class: `sender hue-text-${row.hue}` }, row.sender),
    !row.showName && h('span', { class: 'visually-hidden' }, row.mine ? 'You: ' : `${row.sender}: `),
    message.forwarded && h('div', { class: 'forwarded' }, icon('forward', 'tiny'), 'Forwarded'),
    row.reply && quote(row.reply, actions),
    files.length > 0 && (keptFiles(before, files) ?? attachmentsView(files, row, actions)),
    message.progress !== null && message.progress !== undefined && !row.failed && h('progress', { max: 1, value: message.progress, 'aria-label': 'Uploading' }),
    message.text && h('div', { class: 'text', dir: 'auto' }, textNodes(message, row)),
    meta(row),
    row.failed && failure(row, actions));
}

// Pictures that are shown already are not fetched again because a tick or a reaction changed.
function keptFiles(before, files) {
  const shown = before?.querySelector('.attachments');
  return shown?.dataset.ids === files.map((file) => file.id ?? file.name).join() ? shown : null;
}

function textNodes(message, row) {
  return piecesOf(message.text, message.mentions).map((piece) => {
    if (piece.kind === 'link') return h('a', { href: piece.url, target: '_blank', rel: 'noopener noreferrer' }, piece.text);
    if (piece.kind === 'mention') return h('span', { class: `mention ${piece.user_id === row.me_id ? 'me' : ''}` }, piece.text);
    return document.createTextNode(piece.text);
  });
}

function quote({ id, name, sender, text }, actions) {
  return h('button', { type: 'button', class: 'quote', 'aria-label': `In reply to ${name}: ${text}`, onClick: () => actions.goTo(id) },
    h('span', { class: 'quote-sender' }, sender), h('span', { class: 'quote-text' }, text));
}

function meta({ message, mine, state, isPinned }) {
  return h('span', { class: 'meta' },
    isPinned && h('span', { role: 'img', 'aria-label': 'Pinned' }, icon('pin', 'tiny')),
    message.expires_at && h('span', { role: 'img', 'aria-label': `Disappears ${fullTime(message.expires_at)}`, title: `Disappears ${fullTime(message.expires_at)}` }, icon('timer', 'tiny')),
    message.edited_at && !message.deleted && h('span', { class: 'edited', title: fullTime(message.edited_at) }, 'edited'),
    h('time', { dateTime: message.created_at, title: fullTime(message.created_at) }, timeOf(message.created_at)),
    mine && !message.deleted && tick(state));
}

function failure({ failed, message }, actions) {
  return h('div', { class: 'failure', role: 'alert' }, h('span', {}, failed.detail),
    button('Try again', () => actions.retry(message.key), { icon: 'retry' }), button('Delete', () => actions.discard(message.key), { icon: 'delete' }));
}

function reactionsView({ message, reacted }, actions) {
  const reactions = message.deleted ? [] : message.reactions ?? [];
  if (reactions.length === 0) return null;
  return h('div', { class: 'reactions', role: 'group', 'aria-label': 'Reactions' }, reactions.map(({ emoji, count }) => {
    const own = reacted.has(emoji);
    return h('button', { type: 'button', class: 'reaction', 'aria-pressed': String(own), 'aria-label': `${emoji} ${count}`, onClick: () => actions.react(message, emoji, !own) },
      h('span', {}, emoji), h('span', { class: 'reaction-count' }, String(count)));
  }));
}
