// Small parts that all views are made of: buttons, avatars, fields, switches, messages at the edge of the page.
import { hueOf, initialsOf } from '../lib/format.js';
import { add, h, uniqueId } from './dom.js';
import { icon } from './icons.js';

const TOAST_MS = 5000;

export function iconButton(name, label, onClick, extra = '') {
  return h('button', { type: 'button', class: `icon-button ${extra}`, 'aria-label': label, title: label, onClick }, icon(name));
}

export function button(label, onClick, { kind = 'plain', type = 'button', icon: name = null } = {}) {
  return h('button', { type, class: `button ${kind}`, onClick }, name && icon(name), h('span', {}, label));
}

// A circle with initials, whose colour goes by the id, or with a picture. It is decoration: the name stands beside it.
export function avatar(id, name, { image_id = null, size = '', online = false } = {}) {
  const element = h('span', { class: `avatar hue-${hueOf(id)} ${size} ${online ? 'online' : ''}`, 'aria-hidden': 'true' });
  if (!image_id) return add(element, [h('span', {}, initialsOf(name))]);
  return add(element, [h('img', { src: `/v1/media/${image_id}/content`, alt: '', loading: 'lazy', draggable: false })]);
}

// A labelled input; `hint` is said with it.
export function field(label, input, { hint = null } = {}) {
  input.id ||= uniqueId('field');
  const note = hint && h('p', { class: 'hint', id: uniqueId('hint') }, hint);
  if (note) input.setAttribute('aria-describedby', note.id);
  return h('div', { class: 'field' }, h('label', { htmlFor: input.id }, label), input, note);
}

export function toggle(label, checked, onChange, { hint = null, disabled = false } = {}) {
  const input = h('input', { type: 'checkbox', role: 'switch', checked, disabled, onChange: () => onChange(input.checked, input) });
  const note = hint && h('span', { class: 'hint' }, hint);
  return h('label', { class: 'toggle' }, h('span', { class: 'toggle-text' }, h('span', {}, label), note), input, h('span', { class: 'toggle-track', 'aria-hidden': 'true' }));
}

export function select(options, value, onChange, properties = {}) {
  const element = h('select', { ...properties, onChange: () => onChange(element.value) });
  for (const [key, text] of options) element.append(h('option', { value: key, selected: String(key) === String(value) }, text));
  return element;
}

export function spinner(label = 'Loading') {
  return h('div', { class: 'spinner', role: 'status', 'aria-label': label });
}

// A line that appears for a moment and is read out, above dialogs, too, where browsers have popovers.
export function toast(text, { kind = 'plain' } = {}) {
  const place = document.getElementById('toasts');
  const element = h('div', { class: `toast ${kind}` }, text);
  if (place.showPopover) {
    place.hidePopover();
    place.showPopover();
  }
  place.append(element);
  setTimeout(() => element.remove(), TOAST_MS);
}

// Says what went wrong, in the words of the server.
export function complain(error) {
  if (error.code === 'unauthorized' || error.code === 'cancelled') return;
  toast(error.message, { kind: 'bad' });
}

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h('textarea', { value: text, class: 'off-screen' });
    (document.querySelector('dialog[open]') ?? document.body).append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  toast('Copied');
}
