// Users and their devices, as the setup makes them.

import { acknowledged } from './records.mjs';
import { inParallel } from './timing.mjs';

const PASSWORD = 'correct horse battery staple';

async function must(http, request, statuses) {
  const operation = { attempts: [] };
  const attempt = await http.perform(operation, request);
  if (!statuses.includes(attempt.status)) {
    const detail = JSON.stringify(attempt.body ?? attempt.error);
    throw new Error(`${request.method} ${request.path}: ${attempt.status} ${detail}`);
  }
  return attempt.body;
}

function device(answer) {
  return { id: answer.device.id, token: answer.access_token };
}

async function register(http, name) {
  const first = await must(http, {
    method: 'POST', path: '/v1/users', body: { username: name, password: PASSWORD, device_name: 'first' },
  }, [201]);
  const second = await must(http, {
    method: 'POST', path: '/v1/sessions', body: { username: name, password: PASSWORD, device_name: 'second' },
  }, [201]);
  return { id: first.user.id, name, devices: [device(first), device(second)] };
}

/** Registers `count` users with two devices each, in the order of their names. */
export async function registerUsers(http, records, count) {
  const names = Array.from({ length: count }, (_, i) => `user${String(i + 1).padStart(2, '0')}`);
  const users = new Map();
  await inParallel(names, 4, async (name) => users.set(name, await register(http, name)));
  const list = names.map((name) => users.get(name));
  records.users.push(...list.map(({ id, name }) => ({ id, name })));
  return list;
}

/** Another device of the user, while the server may be dying; undefined when
 *  it could not log in. */
export async function logIn(http, records, user) {
  const operation = { kind: 'log in', user: user.id, attempts: [] };
  records.others.push(operation);
  await http.perform(operation, {
    method: 'POST', path: '/v1/sessions', body: { username: user.name, password: PASSWORD, device_name: 'late' },
  });
  const answer = acknowledged(operation)?.body;
  // The token is no evidence, and the records are printed when something fails.
  if (!answer) return undefined;
  const added = device(answer);
  answer.access_token = 'withheld';
  return added;
}

/** A stream URL with a ticket, for the reader that cannot set headers. */
export async function ticketUrl(http, user) {
  const answer = await must(http, {
    method: 'POST', path: '/v1/events/ticket', token: user.devices[0].token,
  }, [201]);
  return answer.url;
}
