// Dialogs and menus. A dialog is the browser's own, which keeps the focus inside and returns it; a menu is moved through by arrow keys.
import { button, complain, iconButton } from './controls.js';
import { add, fill, h, uniqueId } from './dom.js';
import { icon } from './icons.js';

// Opens a dialog; it is gone when it closes. Answers { element, body, close }.
export function openDialog(title, { body = [], actions = [], kind = '', onClose = () => {} } = {}) {
  const id = uniqueId('dialog');
  const close = () => element.close();
  const content = h('div', { class: 'dialog-body' }, body);
  const element = h('dialog', { class: `dialog ${kind}`, 'aria-labelledby': id },
    h('header', { class: 'dialog-header' }, h('h2', { id }, title), iconButton('close', 'Close', close)),
    content, actions.length > 0 && h('footer', { class: 'dialog-actions' }, actions));
  element.addEventListener('click', (event) => { if (event.target === element) close(); });
  element.addEventListener('close', () => { element.remove(); onClose(); });
  document.body.append(element);
  element.showModal();
  return { element, body: content, close };
}

// Asks before something that cannot be undone. `choices`: [label, action, kind].
export function ask(title, text, choices) {
  const actions = choices.map(([label, action, kind]) => button(label, () => { dialog.close(); act(action); }, { kind }));
  const dialog = openDialog(title, { kind: 'small', body: [h('p', {}, text)], actions: [button('Cancel', () => dialog.close()), ...actions] });
}

// Runs what a button does and says so when it fails.
export async function act(action) {
  try {
    return await action();
  } catch (error) {
    complain(error);
    return null;
  }
}

let openMenuElement = null;

// Opens a menu at `anchor` (an element) or `point` ({ x, y }). Items: { label, icon, action, kind }; `above`: elements before them.
export function openMenu({ anchor = null, point = null, items, above = [], label }) {
  closeMenu();
  const returnTo = document.activeElement;
  const menu = h('div', { class: 'menu', role: 'menu', 'aria-label': label, tabIndex: -1 });
  const finish = (action) => { closeMenu(); returnTo?.focus({ preventScroll: true }); if (action) act(action); };
  const entry = (item) => h('button', { type: 'button', role: 'menuitem', class: `menu-item ${item.kind ?? ''}`, tabIndex: -1, onClick: () => finish(item.action) },
    item.icon && icon(item.icon), item.text, h('span', { class: item.kind === 'emoji' ? 'visually-hidden' : '' }, item.label));
  if (above.length > 0) menu.append(h('div', { class: 'menu-above', role: 'group', 'aria-label': 'Reactions' }, above.map(entry)));
  add(menu, items.filter(Boolean).map(entry));
  menu.addEventListener('keydown', (event) => moveInMenu(menu, event, finish));
  const origin = anchor ?? document.elementFromPoint(point.x, point.y);
  (origin?.closest('dialog, main, nav, aside') ?? document.body).append(menu);
  place(menu, anchor?.getBoundingClientRect() ?? { left: point.x, right: point.x, top: point.y, bottom: point.y });
  openMenuElement = menu;
  menu.querySelector('[role=menuitem]')?.focus();
}

export function closeMenu() {
  openMenuElement?.remove();
  openMenuElement = null;
}

function moveInMenu(menu, event, finish) {
  const items = [...menu.querySelectorAll('[role=menuitem]')];
  const at = items.indexOf(document.activeElement);
  const steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };
  if (event.key in steps) items[(at + steps[event.key] + items.length) % items.length].focus();
  else if (event.key === 'Home') items[0].focus();
  else if (event.key === 'End') items.at(-1).focus();
  else if (event.key === 'Escape' || event.key === 'Tab') finish(null);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

const EDGE = 8;

function place(menu, box) {
  const { width, height } = menu.getBoundingClientRect();
  const wanted = box.left + width + EDGE <= innerWidth ? box.left : box.right - width;
  const left = Math.max(EDGE, Math.min(wanted, innerWidth - width - EDGE));
  const below = box.bottom + 4 + height + EDGE <= innerHeight;
  const top = below ? box.bottom + 4 : Math.max(EDGE, box.top - height - 4);
  menu.style.left = `${left}px`;
  menu.style.top = `${top}px`;
}

addEventListener('pointerdown', (event) => { if (openMenuElement && !openMenuElement.contains(event.target)) closeMenu(); }, true);
addEventListener('resize', closeMenu);

// A form in a dialog: what it asks for, and what is done with it. `submit()` may throw a problem, which is shown in the dialog; a function that it
// answers is called when the dialog is closed.
export function openForm(title, { fields, submitLabel, submit, kind = 'small', note = null }) {
  const error = h('p', { class: 'form-error', role: 'alert' });
  const form = h('form', { class: 'form' }, note && h('p', { class: 'hint' }, note), fields, error,
    h('div', { class: 'dialog-actions' }, button('Cancel', () => dialog.close()), button(submitLabel, null, { kind: 'primary', type: 'submit' })));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const send = form.querySelector('[type=submit]');
    send.disabled = true;
    fill(error);
    try {
      const next = await submit();
      dialog.close();
      if (typeof next === 'function') next();
    } catch (problem) {
      fill(error, problem.message);
    } finally {
      send.disabled = false;
    }
  });
  const dialog = openDialog(title, { kind, body: [form] });
  form.querySelector('input, textarea, select')?.focus();
  return dialog;
}
