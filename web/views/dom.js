// Makes elements. Text is always a text node: nothing here, or anywhere in the client, parses markup.

// Properties: `class`, `onEvent` functions, `aria-…`, `data-…` and `role` as attributes, all others as the element's properties. Children that are null or false
// are left out.
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) set(element, name, value);
  add(element, children);
  return element;
}

function set(element, name, value) {
  if (value === null || value === undefined) return;
  if (name === 'class') element.className = value;
  else if (name.startsWith('on')) element.addEventListener(name.slice(2).toLowerCase(), value);
  else if (name in element && !name.includes('-') && name !== 'list' && name !== 'form') element[name] = value;
  else element.setAttribute(name, value);
}

export function add(element, children) {
  for (const child of children.flat(2)) if (child !== null && child !== undefined && child !== false) element.append(child);
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren();
  return add(element, children);
}

// Makes the children of `parent` one for each item, in order; keeps those whose key and signature are as before.
//
// `create(item, before)` answers the element; `before` is the one that it replaces, or null.
export function reconcile(parent, items, { keyOf, signatureOf, create }) {
  const before = parent.rows ?? new Map();
  const rows = new Map();
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const signature = signatureOf(item);
    const known = before.get(key);
    before.delete(key);
    const row = known?.signature === signature ? known : { signature, element: create(item, known?.element ?? null) };
    if (known && known !== row) {
      if (place === known.element) place = known.element.nextElementSibling;
      known.element.remove();
    }
    rows.set(key, row);
    if (row.element === place) place = place.nextElementSibling;
    else parent.insertBefore(row.element, place);
  }
  for (const { element } of before.values()) {
    if (element === place) place = element.nextElementSibling;
    element.remove();
  }
  parent.rows = rows;
}

let lastId = 0;
export function uniqueId(prefix) {
  lastId += 1;
  return `${prefix}-${lastId}`;
}

export function isEditable(element) {
  return element instanceof HTMLElement && (element.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(element.tagName));
}

// Listeners and subscriptions that end together.
export class Subscriptions {
  #ends = [];

  add(end) {
    this.#ends.push(end);
  }

  end() {
    this.#ends.splice(0).forEach((end) => end());
  }
}
