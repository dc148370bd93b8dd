// Who may do what: for each route the expected status of each kind of actor.
//
// The chat of the matrix is a group. `former` was a member and left; `revoked` is an owner's device that was revoked. Where a route
// is about a message, `own` rows use one that the actor posted (the stranger's and the anonymous one's is a member's); where it
// is about a member, the target is named by `target`. Where it is about media, `media` says in which state, and `by` whose they are: `own` as
// for messages, or a `member`'s, which are in a message of the chat when they are `used`. `blob` rows ask for what a presigned URL names.
//
// Rows about `blocks` and `contacts` say with `knows` in which list of the actor's the target is.
//
// `other` lists what an owner gets when one path parameter is replaced: see OTHERS in authorisation.test.mjs.

export const ACTORS = ['anonymous', 'stranger', 'member', 'former', 'admin', 'owner', 'revoked'];

const everybody = (status) => Array(ACTORS.length).fill(status);
const loggedIn = (status) => [401, status, status, status, status, status, 401];

const PASSWORDS = { current_password: 'correct horse battery', new_password: 'another long password' };

const ANNOUNCEMENT = { content_type: 'image/png', size: 7, md5: '0123456789abcdef0123456789abcdef' };
const PARTS = { parts: [{ number: 1, md5: '0123456789abcdef0123456789abcdef' }] };
export const THUMB = encodeURIComponent('👍');
const OTHER_MEDIA = { anotherUsers: 404, nobodys: 404, aUser: 404 };
const OTHER_BLOB = { anotherUsers: 403, nobodys: 403 };

// route, statuses in the order of ACTORS, and what the request needs.
export const MATRIX = [
  // anybody
  { route: 'POST /v1/users', expect: everybody(201), body: 'registration' },
  { route: 'POST /v1/sessions', expect: everybody(201), body: 'login' },
  { route: 'GET /', expect: everybody(200) },
  { route: 'GET /{page}', expect: everybody(200), other: { page: { nobodys: 404 } } },
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
  { route: 'POST /v1/events/ack', expect: loggedIn(204), body: 'acknowledgement' },

  { route: 'PUT /v1/presence', expect: loggedIn(204), body: { active: true } },
  { route: 'PUT /v1/presence/subscriptions', expect: loggedIn(200), body: { user_ids: ['1'] } },

  // other users
  { route: 'GET /v1/presence', query: 'user_ids=1', expect: loggedIn(200) },
  { route: 'GET /v1/users', query: 'username=somebody-else', expect: loggedIn(200) },
  { route: 'GET /v1/users/{user_id}', target: 'anotherUser', expect: loggedIn(200), other: { user_id: { nobodys: 404, aChat: 404 } } },

  // people
  { route: 'GET /v1/blocks', expect: loggedIn(200) },
  { route: 'PUT /v1/blocks/{user_id}', target: 'anotherUser', expect: loggedIn(201), other: { user_id: { nobodys: 404, aChat: 404 } } },
  { route: 'PUT /v1/blocks/{user_id}', variant: 'oneself', target: 'oneself', expect: [401, 400, 400, 400, 400, 400, 401] },
  { route: 'DELETE /v1/blocks/{user_id}', target: 'anotherUser', knows: 'blocks', expect: loggedIn(204), other: { user_id: { nobodys: 404, aChat: 404 } } },
  { route: 'GET /v1/contacts', expect: loggedIn(200) },
  { route: 'PUT /v1/contacts/{user_id}', target: 'anotherUser', body: { name: 'A friend' }, expect: loggedIn(201), other: { user_id: { nobodys: 404, aChat: 404 } } },
  { route: 'PUT /v1/contacts/{user_id}', variant: 'oneself', target: 'oneself', body: {}, expect: [401, 400, 400, 400, 400, 400, 401] },
  { route: 'DELETE /v1/contacts/{user_id}', target: 'anotherUser', knows: 'contacts', expect: loggedIn(204), other: { user_id: { nobodys: 404, aChat: 404 } } },

  { route: 'POST /v1/reports', variant: 'a user', body: 'reportOfUser', expect: loggedIn(201) },
  { route: 'POST /v1/reports', variant: "somebody's message", message: 'aMembers', body: 'reportOfMessage', expect: [401, 404, 201, 201, 201, 201, 401] },
  { route: 'POST /v1/reports', variant: 'oneself', body: 'reportOfOneself', expect: [401, 400, 400, 400, 400, 400, 401] },

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

  // invitation links
  {
    route: 'POST /v1/chats/{chat_id}/links', body: {}, expect: [401, 404, 403, 404, 201, 201, 401],
    other: { chat_id: { anotherUsers: 404, nobodys: 404, aUser: 404 } },
  },
  { route: 'GET /v1/chats/{chat_id}/links', expect: [401, 404, 403, 404, 200, 200, 401], other: { chat_id: { anotherUsers: 404, nobodys: 404, aUser: 404 } } },
  {
    route: 'DELETE /v1/chats/{chat_id}/links/{link_id}', link: {}, expect: [401, 404, 403, 404, 204, 204, 401],
    other: { chat_id: { anotherUsers: 404, nobodys: 404, ofOwn: 404, aUser: 404 }, link_id: { anotherUsers: 404, ofOwn: 404, nobodys: 404, aUser: 404 } },
  },
  { route: 'GET /v1/links/{token}', link: {}, expect: loggedIn(200), other: { token: { nobodys: 404, malformed: 404 } } },
  { route: 'POST /v1/links/{token}/join', link: {}, expect: [401, 201, 200, 201, 200, 200, 401], other: { token: { nobodys: 404, malformed: 404 } } },
  { route: 'POST /v1/links/{token}/join', variant: 'asking', link: { approval: true }, expect: [401, 202, 200, 202, 200, 200, 401] },
  { route: 'GET /v1/chats/{chat_id}/requests', expect: [401, 404, 403, 404, 200, 200, 401], other: { chat_id: { anotherUsers: 404, nobodys: 404, aUser: 404 } } },
  {
    route: 'PUT /v1/chats/{chat_id}/requests/{user_id}', variant: 'approving', target: 'anotherUser', asks: true, body: { approve: true },
    expect: [401, 404, 403, 404, 204, 204, 401],
    other: { chat_id: { anotherUsers: 404, nobodys: 404, aUser: 404 }, user_id: { nobodys: 404, aChat: 404 } },
  },
  { route: 'PUT /v1/chats/{chat_id}/requests/{user_id}', variant: 'declining', target: 'anotherUser', asks: true, body: { approve: false }, expect: [401, 404, 403, 404, 204, 204, 401] },

  // bans
  { route: 'GET /v1/chats/{chat_id}/bans', expect: [401, 404, 403, 404, 200, 200, 401], other: { chat_id: { anotherUsers: 404, nobodys: 404, aUser: 404 } } },
  {
    route: 'PUT /v1/chats/{chat_id}/bans/{user_id}', variant: 'a member', target: 'memberOfChat', expect: [401, 404, 403, 404, 201, 201, 401],
    other: { chat_id: { anotherUsers: 404, nobodys: 404, aUser: 404 }, user_id: { nobodys: 404, aChat: 404 } },
  },
  { route: 'PUT /v1/chats/{chat_id}/bans/{user_id}', variant: 'somebody else', target: 'anotherUser', expect: [401, 404, 403, 404, 201, 201, 401] },
  { route: 'PUT /v1/chats/{chat_id}/bans/{user_id}', variant: 'the owner', target: 'ownerOfChat', expect: [401, 404, 403, 404, 403, 409, 401] },
  { route: 'PUT /v1/chats/{chat_id}/bans/{user_id}', variant: 'oneself', target: 'oneself', expect: [401, 404, 403, 404, 409, 409, 401] },
  {
    route: 'DELETE /v1/chats/{chat_id}/bans/{user_id}', target: 'anotherUser', bans: true, expect: [401, 404, 403, 404, 204, 204, 401],
    other: { chat_id: { anotherUsers: 404, nobodys: 404, aUser: 404 }, user_id: { nobodys: 404, aChat: 404 } },
  },

  // what lasts for seconds
  { route: 'POST /v1/chats/{chat_id}/typing', expect: [401, 404, 204, 404, 204, 204, 401], other: { chat_id: { anotherUsers: 404, nobodys: 404, aUser: 404 } } },

  // messages
  { route: 'GET /v1/chats/{chat_id}/messages', expect: [401, 404, 200, 200, 200, 200, 401], other: { chat_id: { anotherUsers: 404, nobodys: 404, aUser: 404 } } },
  { route: 'POST /v1/chats/{chat_id}/messages', expect: [401, 404, 201, 404, 201, 201, 401], body: { text: 'hello' }, other: { chat_id: { anotherUsers: 404, nobodys: 404, aUser: 404 } } },
  // scheduled messages
  {
    route: 'POST /v1/chats/{chat_id}/scheduled', expect: [401, 404, 201, 404, 201, 201, 401], body: 'scheduled',
    other: { chat_id: { anotherUsers: 404, nobodys: 404, aUser: 404 } },
  },
  { route: 'GET /v1/chats/{chat_id}/scheduled', expect: [401, 404, 200, 404, 200, 200, 401], other: { chat_id: { anotherUsers: 404, nobodys: 404, aUser: 404 } } },
  {
    route: 'DELETE /v1/chats/{chat_id}/scheduled/{scheduled_id}', variant: 'an own one', scheduled: 'own', expect: [401, 404, 204, 404, 204, 204, 401],
    other: { chat_id: { anotherUsers: 404, nobodys: 404, ofOwn: 404, aUser: 404 }, scheduled_id: { anotherUsers: 404, ofOwn: 404, nobodys: 404, aUser: 404 } },
  },
  { route: 'DELETE /v1/chats/{chat_id}/scheduled/{scheduled_id}', variant: "somebody's", scheduled: 'aMembers', expect: [401, 404, 404, 404, 404, 404, 401] },

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

  { route: 'DELETE /v1/chats/{chat_id}/messages/{message_id}', variant: "somebody's message for oneself", message: 'aMembers', query: 'for=me', expect: [401, 404, 204, 404, 204, 204, 401] },

  // what a message said before
  {
    route: 'GET /v1/chats/{chat_id}/messages/{message_id}/edits', message: 'aMembers', expect: [401, 404, 200, 200, 200, 200, 401],
    other: { chat_id: { anotherUsers: 404, nobodys: 404, ofOwn: 404, aUser: 404 }, message_id: { anotherUsers: 404, ofOwn: 404, nobodys: 404, aUser: 404 } },
  },

  // reactions
  {
    route: 'GET /v1/chats/{chat_id}/messages/{message_id}/reactions', message: 'aMembers', query: `emoji=${THUMB}`,
    expect: [401, 404, 200, 404, 200, 200, 401],
    other: { chat_id: { anotherUsers: 404, nobodys: 404, ofOwn: 404, aUser: 404 }, message_id: { anotherUsers: 404, ofOwn: 404, nobodys: 404, aUser: 404 } },
  },
  {
    route: 'PUT /v1/chats/{chat_id}/messages/{message_id}/reactions/{emoji}', message: 'aMembers', expect: [401, 404, 200, 404, 200, 200, 401],
    other: {
      chat_id: { anotherUsers: 404, nobodys: 404, ofOwn: 404, aUser: 404 }, message_id: { anotherUsers: 404, ofOwn: 404, nobodys: 404, aUser: 404 }, emoji: { aWord: 400 },
    },
  },
  {
    route: 'DELETE /v1/chats/{chat_id}/messages/{message_id}/reactions/{emoji}', message: 'aMembers', expect: [401, 404, 200, 404, 200, 200, 401],
    other: {
      chat_id: { anotherUsers: 404, nobodys: 404, ofOwn: 404, aUser: 404 }, message_id: { anotherUsers: 404, ofOwn: 404, nobodys: 404, aUser: 404 }, emoji: { aWord: 400 },
    },
  },

  // pins
  { route: 'GET /v1/chats/{chat_id}/pins', expect: [401, 404, 200, 404, 200, 200, 401], other: { chat_id: { anotherUsers: 404, nobodys: 404, aUser: 404 } } },
  {
    route: 'PUT /v1/chats/{chat_id}/pins/{message_id}', message: 'aMembers', expect: [401, 404, 403, 404, 204, 204, 401],
    other: { chat_id: { anotherUsers: 404, nobodys: 404, ofOwn: 404, aUser: 404 }, message_id: { anotherUsers: 404, ofOwn: 404, nobodys: 404, aUser: 404 } },
  },
  {
    route: 'DELETE /v1/chats/{chat_id}/pins/{message_id}', message: 'aMembers', expect: [401, 404, 403, 404, 204, 204, 401],
    other: { chat_id: { anotherUsers: 404, nobodys: 404, ofOwn: 404, aUser: 404 }, message_id: { anotherUsers: 404, ofOwn: 404, nobodys: 404, aUser: 404 } },
  },

  // how far members have come, and what they have set
  { route: 'PUT /v1/chats/{chat_id}/read', body: { seq: 0 }, expect: [401, 404, 200, 404, 200, 200, 401], other: { chat_id: { anotherUsers: 404, nobodys: 404, aUser: 404 } } },
  { route: 'GET /v1/chats/{chat_id}/receipts', expect: [401, 404, 200, 404, 200, 200, 401], other: { chat_id: { anotherUsers: 404, nobodys: 404, aUser: 404 } } },
  {
    route: 'GET /v1/chats/{chat_id}/messages/{message_id}/receipts', message: 'aMembers',
    expect: [401, 404, 200, 404, 200, 200, 401],
    other: { chat_id: { anotherUsers: 404, nobodys: 404, ofOwn: 404, aUser: 404 }, message_id: { anotherUsers: 404, ofOwn: 404, nobodys: 404, aUser: 404 } },
  },
  { route: 'PATCH /v1/chats/{chat_id}/me', body: { archived: true }, expect: [401, 404, 200, 404, 200, 200, 401], other: { chat_id: { anotherUsers: 404, nobodys: 404, aUser: 404 } } },

  // media
  { route: 'POST /v1/media', expect: loggedIn(201), body: ANNOUNCEMENT },
  { route: 'GET /v1/media/{media_id}', variant: 'own', media: 'ready', by: 'own', expect: [401, 404, 200, 200, 200, 200, 401], other: { media_id: OTHER_MEDIA } },
  { route: 'GET /v1/media/{media_id}', variant: 'own, not uploaded', media: 'pending', by: 'own', expect: [401, 404, 200, 200, 200, 200, 401] },
  { route: 'GET /v1/media/{media_id}', variant: 'own, being uploaded in parts', media: 'inParts', by: 'own', expect: [401, 404, 200, 200, 200, 200, 401] },
  { route: 'GET /v1/media/{media_id}', variant: "somebody's in a message", media: 'used', by: 'member', expect: [401, 404, 200, 200, 200, 200, 401] },
  { route: 'GET /v1/media/{media_id}', variant: "somebody's in no message", media: 'ready', by: 'member', expect: [401, 404, 404, 404, 404, 404, 401] },
  { route: 'GET /v1/media/{media_id}/content', variant: 'own', media: 'ready', by: 'own', expect: [401, 404, 307, 307, 307, 307, 401], other: { media_id: OTHER_MEDIA } },
  { route: 'GET /v1/media/{media_id}/content', variant: 'own, not uploaded', media: 'pending', by: 'own', expect: [401, 404, 409, 409, 409, 409, 401] },
  { route: 'GET /v1/media/{media_id}/content', variant: "somebody's in a message", media: 'used', by: 'member', expect: [401, 404, 307, 307, 307, 307, 401] },
  { route: 'GET /v1/media/{media_id}/content', variant: "somebody's in no message", media: 'ready', by: 'member', expect: [401, 404, 404, 404, 404, 404, 401] },
  { route: 'DELETE /v1/media/{media_id}', variant: 'own', media: 'ready', by: 'own', expect: [401, 404, 204, 204, 204, 204, 401], other: { media_id: OTHER_MEDIA } },
  { route: 'DELETE /v1/media/{media_id}', variant: 'own in a message', media: 'used', by: 'own', expect: [401, 404, 409, 409, 409, 409, 401] },
  { route: 'DELETE /v1/media/{media_id}', variant: "somebody's in a message", media: 'used', by: 'member', expect: [401, 404, 404, 404, 404, 404, 401] },
  { route: 'POST /v1/media/{media_id}/complete', variant: 'own', media: 'uploaded', by: 'own', expect: [401, 404, 200, 200, 200, 200, 401], other: { media_id: OTHER_MEDIA } },
  { route: 'POST /v1/media/{media_id}/complete', variant: "somebody's in a message", media: 'used', by: 'member', expect: [401, 404, 404, 404, 404, 404, 401] },
  { route: 'GET /v1/media/{media_id}/parts', variant: 'own', media: 'inParts', by: 'own', expect: [401, 404, 200, 200, 200, 200, 401], other: { media_id: OTHER_MEDIA } },
  { route: 'GET /v1/media/{media_id}/parts', variant: "somebody's", media: 'inParts', by: 'member', expect: [401, 404, 404, 404, 404, 404, 401] },
  { route: 'POST /v1/media/{media_id}/parts', variant: 'own', media: 'inParts', by: 'own', body: PARTS, expect: [401, 404, 200, 200, 200, 200, 401], other: { media_id: OTHER_MEDIA } },
  { route: 'POST /v1/media/{media_id}/parts', variant: "somebody's", media: 'inParts', by: 'member', body: PARTS, expect: [401, 404, 404, 404, 404, 404, 401] },
  {
    route: 'POST /v1/chats/{chat_id}/messages', variant: 'with own media', media: 'ready', by: 'own', body: 'withMedia', expect: [401, 404, 201, 404, 201, 201, 401],
  },
  {
    route: 'POST /v1/chats/{chat_id}/messages', variant: "with somebody's media", media: 'ready', by: 'member', body: 'withMedia',
    expect: [401, 404, 400, 404, 400, 400, 401],
  },
  {
    route: 'POST /v1/chats/{chat_id}/messages', variant: 'forwarding', media: 'used', by: 'member', body: 'withMedia', expect: [401, 404, 201, 404, 201, 201, 401],
  },

  // the embedded storage: the signature decides, whoever sends it
  { route: 'GET /blobs/{object}', variant: 'as signed', media: 'ready', by: 'member', blob: 'signed', expect: everybody(200), other: { object: OTHER_BLOB } },
  { route: 'GET /blobs/{object}', variant: 'unsigned', media: 'ready', by: 'own', blob: 'unsigned', expect: everybody(403) },
  { route: 'PUT /blobs/{object}', variant: 'as signed', media: 'pending', by: 'member', blob: 'signed', expect: everybody(200), other: { object: OTHER_BLOB } },
  { route: 'PUT /blobs/{object}', variant: 'unsigned', media: 'pending', by: 'own', blob: 'unsigned', expect: everybody(403) },
];
