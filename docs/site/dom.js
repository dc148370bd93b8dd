// Elements from plain calls. Text only ever becomes text.

// element('a', { href: '#x', class: 'y', onclick: f }, 'text', child, [more])
export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export const code = (text) => element('code', {}, text);

// A block of code with a button that copies it.
export function listing(text, label = 'Example') {
  const button = element('button', { type: 'button', class: 'copy', onclick: () => copy(button, text) }, 'Copy');
  return element('div', { class: 'listing' }, element('pre', { tabindex: '0', 'aria-label': label }, code(text)), button);
}

async function copy(button, text) {
  await navigator.clipboard.writeText(text).then(() => (button.textContent = 'Copied'), () => (button.textContent = 'Not permitted'));
  setTimeout(() => (button.textContent = 'Copy'), 1500);
}

// What opens on demand, and is made when it first does.
export function disclosure(summary, make, { open = false } = {}) {
  const details = element('details', { open }, element('summary', {}, summary));
  const fill = () => {
    if (details.open && details.childElementCount === 1) details.append(...[make()].flat());
  };
  details.addEventListener('toggle', fill);
  fill();
  return details;
}

// Tabs: entries are {name, title, make}; each panel is made when it is first shown.
export function tabs(label, entries) {
  const panel = element('div', { role: 'tabpanel', tabindex: '0', class: 'panel' });
  const made = new Map();
  const buttons = entries.map((entry) => element('button', { type: 'button', role: 'tab', class: entry.class, onclick: () => select(entry) }, entry.title ?? entry.name));
  const select = (chosen) => {
    if (!made.has(chosen)) made.set(chosen, [chosen.make()].flat());
    panel.replaceChildren(...made.get(chosen));
    panel.setAttribute('aria-label', `${label}: ${chosen.name}`);
    entries.forEach((entry, i) => {
      buttons[i].setAttribute('aria-selected', String(entry === chosen));
      buttons[i].tabIndex = entry === chosen ? 0 : -1;
    });
  };
  const move = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const next = (buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length;
    select(entries[next]);
    buttons[next].focus();
  };
  const list = element('div', { role: 'tablist', 'aria-label': label, class: 'tabs', onkeydown: move }, buttons);
  select(entries[0]);
  return element('div', { class: 'tabbed' }, list, panel);
}
