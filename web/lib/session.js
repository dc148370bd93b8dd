// Who is signed in. The token is in an HttpOnly cookie, so the server is asked.
import { Problem, get, remove, send } from './api.js';

export async function currentUser() {
  try {
    return await get('/v1/users/me', { anonymous: true });
  } catch (error) {
    if (error instanceof Problem && error.status === 401) return null;
    throw error;
  }
}

export function signIn({ username, password }) {
  const body = { username, password, device_name: deviceName(), cookie: true };
  return send('POST', '/v1/sessions', { body, anonymous: true });
}

export function signUp({ username, password, display_name, invite }) {
  const body = { username, password, device_name: deviceName(), cookie: true };
  if (display_name) body.display_name = display_name;
  if (invite) body.invite = invite;
  return send('POST', '/v1/users', { body, anonymous: true });
}

export function signOut() {
  return remove('/v1/sessions/current', { anonymous: true });
}

// "Firefox on Linux": what the list of devices shows.
function deviceName() {
  const agent = navigator.userAgent;
  const browsers = [['Edg/', 'Edge'], ['OPR/', 'Opera'], ['Firefox/', 'Firefox'], ['Chrome/', 'Chrome'], ['Safari/', 'Safari']];
  const systems = [['Android', 'Android'], ['iPhone', 'iPhone'], ['iPad', 'iPad'], ['Windows', 'Windows'], ['Mac OS', 'Mac'], ['Linux', 'Linux']];
  const find = (names) => names.find(([part]) => agent.includes(part))?.[1];
  return [find(browsers) ?? 'Browser', find(systems)].filter(Boolean).join(' on ');
}
