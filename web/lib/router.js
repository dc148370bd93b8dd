// Where the user is, in the fragment of the address: `#/`, `#/chat/ID`, `#/chat/ID/MESSAGE`, `#/settings`, `#/join/TOKEN`, `#/follow/CHANNEL`. So the back button works and links
// can be shared.
const PLACES = [
  { name: 'chat', pattern: /^#\/chat\/(\d+)(?:\/(\d+))?$/, names: ['chat_id', 'message_id'] },
  { name: 'settings', pattern: /^#\/settings(?:\/(\w+))?$/, names: ['page'] },
  { name: 'follow', pattern: /^#\/follow\/(\d+)$/, names: ['chat_id'] },
  { name: 'join', pattern: /^#\/join\/([A-Za-z0-9_-]+)$/, names: ['token'] },
];

export function currentPlace() {
  for (const { name, pattern, names } of PLACES) {
    const found = pattern.exec(location.hash);
    if (found) return { name, ...Object.fromEntries(names.map((key, index) => [key, found[index + 1] ?? null])) };
  }
  return { name: 'home' };
}

export function go(path, { replace = false } = {}) {
  const fragment = `#${path}`;
  if (location.hash === fragment) return dispatchEvent(new HashChangeEvent('hashchange'));
  if (!replace) location.hash = fragment;
  else location.replace(fragment);
  return true;
}

export const chatPath = (chat_id, message_id = null) => (message_id ? `/chat/${chat_id}/${message_id}` : `/chat/${chat_id}`);

export function onPlace(listener) {
  addEventListener('hashchange', listener);
  return () => removeEventListener('hashchange', listener);
}
