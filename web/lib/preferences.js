// What the user has chosen for this browser: appearance and notifications.
const NAME = 'parley:preferences';
const DEFAULTS = { theme: 'auto', notifications: false, enterSends: true };
const listeners = new Set();
let current = { ...DEFAULTS, ...read() };

function read() {
  try {
    return JSON.parse(localStorage.getItem(NAME)) ?? {};
  } catch {
    return {};
  }
}

export function preferences() {
  return current;
}

export function setPreference(name, value) {
  current = { ...current, [name]: value };
  try {
    localStorage.setItem(NAME, JSON.stringify(current));
  } catch {
    // It holds until the page is closed, then.
  }
  applyTheme();
  listeners.forEach((listener) => listener());
}

export function onPreferences(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

// `auto` follows the system, which the style sheets do by themselves.
export function applyTheme() {
  document.documentElement.dataset.theme = current.theme;
}

addEventListener('storage', ({ key }) => {
  if (key !== NAME) return;
  current = { ...DEFAULTS, ...read() };
  applyTheme();
  listeners.forEach((listener) => listener());
});
