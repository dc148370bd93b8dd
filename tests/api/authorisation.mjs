// Who may do what: for each route the expected status of each kind of actor.
//
// The chat of the matrix is a group. `former` was a member and left; `revoked` is an owner's device that was revoked. Where a route
// is about a message, `own` rows use one that the actor posted (the stranger's and the anonymous one's is a member's); where it
// is about a member, the target is named by `target`.
//
// `other` lists what an owner gets when one path parameter is replaced: see OTHERS in authorisation.test.mjs.

export const ACTORS = ['anonymous', 'stranger', 'member', 'former', 'admin', 'owner', 'revoked'];

const everybody = (status) => Array(ACTORS.length).fill(status);
const loggedIn = (status) => [401, status, status, status, status, status, 401];

const PASSWORDS = { current_password: 'correct horse battery', new_password: 'another long password' };

// route, statuses in the order of ACTORS, and what the request needs.
export const MATRIX = [
  // anybody
  { route: 'POST /v1/users', expect: everybody(201), body: 'registration' },
  { route: 'POST /v1/sessions', expect: everybody(201), body: 'login' },
  { route: 'GET /', expect: everybody(200) },
  { route: 'GET /openapi.yaml', expect: everybody(200) },
  { route: 'GET /healthz', expect: everybody(200) },
  { route: 'GET /readyz', expect: everybody(200) },
  { route: 'GET /metrics', expect: everybody(200) },

  // oneself
  { route: 'GET /v1/users/me', expect: loggedIn(200) },
  { route: 'PATCH /v1/users/me', expect: loggedIn(200), body: { display_name: 'New Name' } },
  { route: 'PUT /v1/users/me/password', expect: loggedIn(204), body: PASSWORDS },
  { route: 'DELETE /v1/sessions/current', expect: loggedIn(204) },
  { route: 'GET /v1/devices', expect: loggedIn(200) },
  { route: 'DELETE /v1/devices/{device_id}', expect: loggedIn(204), other: { device_id: { anotherUsers: 404, nobodys: 404, aUser: 404 } } },
  { route: 'GET /v1/events', expect: loggedIn(200), stream: true },
  { route: 'POST /v1/events/ticket', expect: loggedIn(201) },

  // other users
  { route: 'GET /v1/users', query: 'username=somebody-else', expect: loggedIn(200) },
  { route: 'GET /v1/users/{user_id}', target: 'anotherUser', expect: loggedIn(200), other: { user_id: { nobodys: 404, aChat: 404 } } },

  // chats
  { route: 'GET /v1/chats', expect: loggedIn(200) },
  { route: 'POST /v1/chats', expect: loggedIn(201), body: { type: 'group', title: 'New', member_ids: [] } },
  { route: 'GET /v1/chats/{chat_id}', expect: [401, 404, 200, 404, 200, 200, 401], other: { chat_id: { anotherUsers: 404, nobodys: 404, aUser: 404 } } },
  { route: 'PATCH /v1/chats/{chat_id}', expect: [401, 404, 403, 404, 200, 200, 401], body: { title: 'Renamed' }, other: { chat_id: { anotherUsers: 404, nobodys: 404, aUser: 404 } } },
  { route: 'DELETE /v1/chats/{chat_id}', expect: [401, 404, 403, 404, 403, 204, 401], other: { chat_id: { anotherUsers: 404, nobodys: 404, aUser: 404 } } },

  // members
  { route: 'GET /v1/chats/{chat_id}/members', expect: [401, 404, 200, 404, 200, 200, 401], other: { chat_id: { anotherUsers: 404, nobodys: 404, aUser: 404 } } },
  {
    route: 'PUT /v1/chats/{chat_id}/members/{user_id}', variant: 'adding somebody', target: 'anotherUser', body: {},
    expect: [401, 404, 403, 404, 201, 201, 401],
    other: { chat_id: { anotherUsers: 404, nobodys: 404, aUser: 404 }, user_id: { nobodys: 404, aChat: 404 } },
  },
  { route: 'PUT /v1/chats/{chat_id}/members/{user_id}', variant: 'adding an admin', target: 'anotherUser', body: { role: 'admin' }, expect: [401, 404, 403, 404, 403, 201, 401] },
  { route: 'PUT /v1/chats/{chat_id}/members/{user_id}', variant: 'promoting a member', target: 'memberOfChat', body: { role: 'admin' }, expect: [401, 404, 403, 404, 403, 200, 401] },
  { route: 'PUT /v1/chats/{chat_id}/members/{user_id}', variant: 'promoting oneself', target: 'oneself', body: { role: 'owner' }, expect: [401, 404, 403, 404, 403, 200, 401] },
  {
    route: 'DELETE /v1/chats/{chat_id}/members/{user_id}', variant: 'removing a member', target: 'memberOfChat',
    expect: [401, 404, 403, 404, 204, 204, 401],
    other: { chat_id: { anotherUsers: 404, nobodys: 404, aUser: 404 }, user_id: { anotherUsers: 404, nobodys: 404, aChat: 404 } },
  },
  { route: 'DELETE /v1/chats/{chat_id}/members/{user_id}', variant: 'removing the owner', target: 'ownerOfChat', expect: [401, 404, 403, 404, 403, 204, 401] },
  { route: 'DELETE /v1/chats/{chat_id}/members/{user_id}', variant: 'leaving', target: 'oneself', expect: [401, 404, 204, 404, 204, 204, 401] },

  // messages
  { route: 'GET /v1/chats/{chat_id}/messages', expect: [401, 404, 200, 200, 200, 200, 401], other: { chat_id: { anotherUsers: 404, nobodys: 404, aUser: 404 } } },
  { route: 'POST /v1/chats/{chat_id}/messages', expect: [401, 404, 201, 404, 201, 201, 401], body: { text: 'hello' }, other: { chat_id: { anotherUsers: 404, nobodys: 404, aUser: 404 } } },
  {
    route: 'GET /v1/chats/{chat_id}/messages/{message_id}', message: 'aMembers',
    expect: [401, 404, 200, 200, 200, 200, 401],
    other: { chat_id: { anotherUsers: 404, nobodys: 404, ofOwn: 404, aUser: 404 }, message_id: { anotherUsers: 404, ofOwn: 404, nobodys: 404, aUser: 404 } },
  },
  {
    route: 'PATCH /v1/chats/{chat_id}/messages/{message_id}', variant: 'an own message', message: 'own', body: { text: 'edited' },
    expect: [401, 404, 200, 404, 200, 200, 401],
    other: { chat_id: { anotherUsers: 404, nobodys: 404, ofOwn: 404, aUser: 404 }, message_id: { anotherUsers: 404, ofOwn: 404, nobodys: 404, aUser: 404 } },
  },
  { route: 'PATCH /v1/chats/{chat_id}/messages/{message_id}', variant: "somebody's message", message: 'aMembers', body: { text: 'edited' }, expect: [401, 404, 403, 404, 403, 403, 401] },
  {
    route: 'DELETE /v1/chats/{chat_id}/messages/{message_id}', variant: 'an own message', message: 'own',
    expect: [401, 404, 204, 404, 204, 204, 401],
    other: { chat_id: { anotherUsers: 404, nobodys: 404, ofOwn: 404, aUser: 404 }, message_id: { anotherUsers: 404, ofOwn: 404, nobodys: 404, aUser: 404 } },
  },
  { route: 'DELETE /v1/chats/{chat_id}/messages/{message_id}', variant: "somebody's message", message: 'aMembers', expect: [401, 404, 403, 404, 204, 204, 401] },
];
