// The authorisation matrix: every route of `parley routes` times every kind of actor, against the table in
// authorisation.mjs. A route without a row fails, and so does a row without a route.
import assert from 'node:assert/strict';
import { after, describe, it, test } from 'node:test';
import { Client, PASSWORD, addMember, createGroup, createLink, expectStatus, getChat, logIn, postMessage, register, removeMember, scheduleMessage, uniqueName } from '../support/client.mjs';
import { openEvents } from '../support/events.mjs';
import { MIB, announce, sendOk, someBytes, upload } from '../support/media.mjs';
import { readRoutes, startServer } from '../support/server.mjs';
import { ACTORS, MATRIX, THUMB } from './authorisation.mjs';

const NOBODY = '9223372036854775807';

const server = await startServer();
after(() => server.dispose());
const routes = await readRoutes();

// Path parameters are compared by their place, whatever the table calls them.
const anonymousParameters = (route) => route.replace(/\{[^}]*\}/g, '{}');
const parametersOf = (route) => [...route.matchAll(/\{([^}]*)\}/g)].map((found) => found[1]);
const nameOf = (row) => (row.variant ? `${row.route} (${row.variant})` : row.route);

test('every route has a row', () => {
  const rows = new Set(MATRIX.map((row) => anonymousParameters(row.route)));
  const missing = routes.map(({ method, path }) => `${method} ${path}`).filter((route) => !rows.has(anonymousParameters(route)));
  assert.deepEqual(missing, []);
});

test('every row has a route', () => {
  const known = new Set(routes.map(({ method, path }) => anonymousParameters(`${method} ${path}`)));
  const surplus = MATRIX.map((row) => row.route).filter((route) => !known.has(anonymousParameters(route)));
  assert.deepEqual(surplus, []);
});

test('every row has a status for every actor, and every parameter is tried with other ids', () => {
  for (const row of MATRIX) assert.equal(row.expect.length, ACTORS.length, nameOf(row));
  for (const route of new Set(MATRIX.map((row) => row.route))) {
    const tried = MATRIX.filter((row) => row.route === route).flatMap((row) => Object.keys(row.other ?? {}));
    assert.deepEqual([...new Set(tried)].sort(), parametersOf(route).sort(), route);
  }
});

test('the route table says who must be logged in and what success is', () => {
  for (const { method, path, auth, status } of routes) {
    const rows = MATRIX.filter((row) => anonymousParameters(row.route) === anonymousParameters(`${method} ${path}`));
    const open = rows.every((row) => row.expect[0] !== 401);
    assert.equal(auth === 'none', open, `${method} ${path} is "${auth}"`);
    const successes = rows.flatMap((row) => row.expect).filter((expected) => expected < 400);
    assert.ok(successes.includes(status), `${method} ${path} succeeds with ${status}`);
  }
});

// --- a scene: a group with everybody in it whom a cell needs

// Builds what the row needs for the actor: {actor, chat, owner, member, message, ...}.
async function buildScene(row, actorName) {
  const [owner, member] = await Promise.all([register(server, 'owner'), register(server, 'member')]);
  const chat = await createGroup(owner, [member]);
  const actor = await buildActor(actorName, { owner, member, chat });
  const scene = { actorName, actor, chat, owner, member, anotherUser: await register(server, 'other') };
  scene.message = await buildMessage(row, scene);
  if (row.media) Object.assign(scene, await buildMedia(row, scene));
  if (row.link || row.asks) scene.link = await createLink(owner, chat, row.link ?? { approval: true });
  if (row.asks) expectStatus(await scene.anotherUser.post(`/v1/links/${scene.link.token}/join`), 202);
  if (row.scheduled) scene.scheduled = await scheduleMessage(ownerOf(row.scheduled, scene), chat);
  if (row.bans) expectStatus(await owner.put(`/v1/chats/${chat.id}/bans/${scene.anotherUser.id}`), 201);
  if (row.knows && actorName !== 'anonymous') expectStatus(await actor.put(`/v1/${row.knows}/${scene.anotherUser.id}`, row.knows === 'contacts' ? {} : undefined), 201);
  if (actorName === 'former') await removeMember(owner, chat, actor);
  if (actorName === 'revoked') expectStatus(await owner.delete(`/v1/devices/${actor.device.id}`), 204);
  scene.before = await getChat(owner, chat);
  return scene;
}

// Somebody other than the scene's own member, so that "somebody's" is never the actor's.
async function buildActor(name, { owner, chat }) {
  if (name === 'anonymous') return new Client(server);
  if (name === 'owner') return owner;
  if (name === 'revoked') return logIn(owner);
  const actor = await register(server, name);
  if (name !== 'stranger') await addMember(owner, chat, actor, { role: name === 'admin' ? 'admin' : 'member' });
  return actor;
}

// Who cannot have one of their own uses the member's.
const ownerOf = (whose, { actorName, actor, member }) => (whose === 'own' && !['anonymous', 'stranger'].includes(actorName) ? actor : member);

// The message the row is about.
async function buildMessage(row, scene) {
  return postMessage(ownerOf(row.message, scene), scene.chat, 'of the matrix');
}

const MEDIA = {
  pending: (owner, bytes) => announce(owner, bytes),
  inParts: (owner) => announce(owner, someBytes(), { size: 40 * MIB, content_type: 'video/mp4' }),
  uploaded: async (owner, bytes) => {
    const media = await announce(owner, bytes);
    await sendOk(media.upload, bytes);
    return media;
  },
  ready: (owner, bytes) => upload(owner, bytes),
  used: async (owner, bytes, chat) => {
    const media = await upload(owner, bytes);
    await postMessage(owner, chat, 'with media', { attachments: [media.id] });
    return media;
  },
};

// The media the row is about, and its bytes.
async function buildMedia(row, scene) {
  const bytes = someBytes();
  return { bytes, media: await MEDIA[row.media](ownerOf(row.by, scene), bytes, scene.chat) };
}

const TARGETS = {
  anotherUser: (scene) => scene.anotherUser.id,
  memberOfChat: (scene) => scene.member.id,
  ownerOfChat: (scene) => scene.owner.id,
  oneself: (scene) => scene.actor.id ?? scene.anotherUser.id,
};

// The ids that the route's parameters have for the actor.
async function idsFor(row, scene) {
  return {
    chat_id: scene.chat.id,
    message_id: scene.message.id,
    user_id: row.target && TARGETS[row.target](scene),
    device_id: parametersOf(row.route).includes('device_id') ? await ownDevice(scene) : undefined,
    emoji: THUMB,
    media_id: scene.media?.id,
    object: row.blob && objectOf(scene.media),
    scheduled_id: scene.scheduled?.id,
    link_id: scene.link?.id,
    token: scene.link?.token,
    page: 'docs',
  };
}

// The URL that the owner was given, for uploading or for fetching.
const urlOf = (media) => new URL(media.url ?? media.upload.url);
const objectOf = (media) => urlOf(media).pathname.replace('/blobs/', '');

// A device of the actor that is not the one it asks with.
async function ownDevice({ actor, anotherUser, actorName, owner }) {
  const account = { anonymous: anotherUser, revoked: owner }[actorName] ?? actor;
  return (await logIn(account)).device.id;
}

const BODIES = {
  registration: () => ({ username: uniqueName(), password: PASSWORD }),
  login: (scene) => ({ username: scene.anotherUser.username, password: PASSWORD }),
  acknowledgement: (scene) => ({ id: scene.message.id }),
  scheduled: () => ({ text: 'later', send_at: new Date(Date.now() + 24 * 3600 * 1000).toISOString() }),
  reportOfUser: (scene) => ({ user_id: scene.anotherUser.id, reason: 'spam' }),
  reportOfMessage: (scene) => ({ chat_id: scene.chat.id, message_id: scene.message.id, reason: 'spam' }),
  reportOfOneself: (scene) => ({ user_id: scene.actor.id ?? scene.anotherUser.id, reason: 'spam' }),
  withMedia: (scene) => ({ attachments: [scene.media.id] }),
};

async function ask(row, scene, ids) {
  const [method, template] = row.route.split(' ');
  const path = template.replace(/\{([^}]*)\}/g, (_, name) => ids[name]) + (row.query ? `?${row.query}` : '');
  if (row.stream) return askForStream(scene, path);
  if (row.blob) return askForBlob(row, scene, method, path);
  const body = typeof row.body === 'string' ? BODIES[row.body](scene) : row.body;
  return scene.actor.request(method, path, { body });
}

// A stream has no end to wait for; its status and its first event are what counts.
async function askForStream({ actor }, path) {
  const stream = await openEvents(server, { token: actor.token, path });
  if (stream.status === 200) assert.equal((await stream.next('ready')).user_id, actor.id);
  stream.cut();
  return { method: 'GET', path, status: stream.status, text: stream.summary() };
}

// As the presigned URL says, but for its path; or with nothing of what it signs.
async function askForBlob(row, { actor, media, bytes }, method, path) {
  const search = row.blob === 'signed' ? urlOf(media).search : '';
  if (method === 'GET') return actor.get(path + search);
  return actor.request(method, path + search, { raw: bytes, headers: { 'Content-Type': null, ...media.upload.headers } });
}

// A refused request must have changed nothing that the chat's owner can see.
async function checkUnchanged(response, { owner, chat, before }) {
  if (response.status >= 400) assert.deepEqual(await getChat(owner, chat), before, 'refused, and yet it changed something');
}

// What was read, and has a tag, is not sent again to whoever has it.
async function checkTag({ method, path, status, headers }, { actor }) {
  if (method !== 'GET' || status !== 200 || !headers?.etag) return;
  expectStatus(await actor.get(path, { headers: { 'If-None-Match': headers.etag } }), 304);
}

for (const row of MATRIX) {
  describe(nameOf(row), { concurrency: 4 }, () => {
    for (const [index, actorName] of ACTORS.entries()) {
      const expected = row.expect[index];
      it(`${actorName}: ${expected}`, async () => {
        const scene = await buildScene(row, actorName);
        const response = await ask(row, scene, await idsFor(row, scene));
        expectStatus(response, expected);
        await checkUnchanged(response, scene);
        await checkTag(response, scene);
      });
    }
  });
}

// --- another user's ids in each path parameter, asked by an owner

// Where the other ids come from: another user's things, the owner's own things of another chat, nothing, things of another kind.
const OTHERS = {
  chat_id: {
    anotherUsers: async ({ anotherUser }) => (await createGroup(anotherUser)).id,
    ofOwn: async ({ owner }) => (await createGroup(owner)).id,
    aUser: async ({ anotherUser }) => anotherUser.id,
    nobodys: async () => NOBODY,
  },
  message_id: {
    anotherUsers: async ({ anotherUser }) => (await postMessage(anotherUser, await createGroup(anotherUser), 'theirs')).id,
    ofOwn: async ({ owner }) => (await postMessage(owner, await createGroup(owner), 'elsewhere')).id,
    aUser: async ({ anotherUser }) => anotherUser.id,
    nobodys: async () => NOBODY,
  },
  user_id: {
    anotherUsers: async ({ anotherUser }) => anotherUser.id,
    aChat: async ({ chat }) => chat.id,
    nobodys: async () => NOBODY,
  },
  media_id: {
    anotherUsers: async ({ anotherUser }) => (await upload(anotherUser, someBytes())).id,
    aUser: async ({ anotherUser }) => anotherUser.id,
    nobodys: async () => NOBODY,
  },
  link_id: {
    anotherUsers: async ({ anotherUser }) => (await createLink(anotherUser, await createGroup(anotherUser))).id,
    ofOwn: async ({ owner }) => (await createLink(owner, await createGroup(owner))).id,
    aUser: async ({ anotherUser }) => anotherUser.id,
    nobodys: async () => NOBODY,
  },
  scheduled_id: {
    anotherUsers: async ({ member, chat }) => (await scheduleMessage(member, chat)).id,
    ofOwn: async ({ owner }) => (await scheduleMessage(owner, await createGroup(owner))).id,
    aUser: async ({ anotherUser }) => anotherUser.id,
    nobodys: async () => NOBODY,
  },
  token: {
    malformed: async ({ link }) => link.token.slice(1),
    nobodys: async () => 'x'.repeat(43),
  },
  object: {
    anotherUsers: async ({ anotherUser }) => objectOf(await upload(anotherUser, someBytes())),
    nobodys: async () => `${NOBODY}-${'0'.repeat(32)}`,
  },
  page: {
    nobodys: async () => NOBODY,
  },
  emoji: {
    aWord: async () => 'like',
  },
  device_id: {
    anotherUsers: async ({ anotherUser }) => anotherUser.device.id,
    aUser: async ({ owner }) => owner.id,
    nobodys: async () => NOBODY,
  },
};

for (const row of MATRIX.filter((candidate) => candidate.other)) {
  describe(`${nameOf(row)} with other ids`, { concurrency: 4 }, () => {
    for (const [parameter, kinds] of Object.entries(row.other)) {
      for (const [kind, expected] of Object.entries(kinds)) {
        it(`${parameter} ${kind}: ${expected}`, async () => {
          const scene = await buildScene(row, 'owner');
          const ids = { ...(await idsFor(row, scene)), [parameter]: await OTHERS[parameter][kind](scene) };
          const response = await ask(row, scene, ids);
          expectStatus(response, expected);
          await checkUnchanged(response, scene);
          expectStatus(await scene.anotherUser.get('/v1/users/me'), 200);
        });
      }
    }
  });
}
