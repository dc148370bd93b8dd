// A small client by openapi-typescript and openapi-fetch: every value has the type that openapi.yaml gives it.
import createClient from 'openapi-fetch';
import type { components, paths } from './openapi-fetch/schema.js';

type Message = components['schemas']['Message'];
type Event = components['schemas']['Event'];

const PASSWORD = 'correct horse battery';

interface Given {
  md5: (bytes: Uint8Array) => string;
  names: [string, string, string];
}

export async function run(origin: string, { md5, names: [aliceName, bobName, strangerName] }: Given) {
  const alice = await register(origin, aliceName);
  const bob = await register(origin, bobName);
  const chat = await openChat(alice, bob);

  const first = await post(alice, chat.id, { text: 'Tea at four?' });
  const again = await post(alice, chat.id, { text: 'Tea at four?' }, first.id);
  for (const text of ['Or at five?', 'With cake.']) await post(bob, chat.id, { text });
  const picture = await upload(alice, new TextEncoder().encode('hardly a picture'), md5);
  const shown = await post(alice, chat.id, { attachments: [picture.id] });

  return {
    first: first.text,
    repeated: again.id === first.id ? 'the same' : 'another',
    history: (await history(bob, chat.id)).map(textOf),
    attachment: shown.attachments?.[0]?.content_type,
    content: await fetchContent(bob, picture.id),
    reactions: await react(bob, chat.id, first.id, '👍'),
    heard: await firstMessageHeard(origin, bob.token, chat.last_id),
    refusals: [await nameTaken(origin, aliceName), await strangersChat(origin, strangerName, chat.id)],
  };
}

type Account = Awaited<ReturnType<typeof register>>;

async function register(origin: string, username: string) {
  const { data, error } = await createClient<paths>({ baseUrl: origin }).POST('/v1/users', { body: { username, password: PASSWORD } });
  if (error) throw new Error(`${error.code}: ${error.detail}`);
  const token = data.access_token ?? '';
  return { client: createClient<paths>({ baseUrl: origin, headers: { Authorization: `Bearer ${token}` } }), token, id: data.user.id };
}

async function openChat(alice: Account, bob: Account) {
  const { data, error } = await alice.client.POST('/v1/chats', { body: { type: 'direct', member_ids: [bob.id] } });
  if (error) throw new Error(error.code);
  return data;
}

// The key of a request that is sent again: here the text's own, so that the second is answered with the first's message.
async function post(account: Account, chatId: string, body: components['schemas']['PostMessageRequest'], repeats?: string) {
  const key = body.text ?? 'a picture';
  const { data, error, response } = await account.client.POST('/v1/chats/{chat_id}/messages', {
    params: { path: { chat_id: chatId }, header: { 'Idempotency-Key': key.replaceAll(' ', '-') } },
    body,
  });
  if (error) throw new Error(error.code);
  if (!('text' in data)) throw new Error('a posted message has a text');
  if (response.status !== (repeats ? 200 : 201)) throw new Error(`status ${response.status}`);
  return data;
}

async function upload(account: Account, bytes: Uint8Array<ArrayBuffer>, md5: Given['md5']) {
  const announced = await account.client.POST('/v1/media', { body: { content_type: 'image/png', size: bytes.length, md5: md5(bytes) } });
  if (announced.error) throw new Error(announced.error.code);
  if (announced.data.state !== 'pending') throw new Error('it was announced before');
  const { id, upload } = announced.data;
  if (upload.kind !== 'single') throw new Error('a small file goes in one piece');
  const sent = await fetch(upload.url, { method: upload.method, headers: upload.headers, body: bytes });
  if (!sent.ok) throw new Error(`the storage answered ${sent.status}`);
  const completed = await account.client.POST('/v1/media/{media_id}/complete', { params: { path: { media_id: id } } });
  if (completed.error) throw new Error(completed.error.code);
  return completed.data;
}

async function fetchContent(account: Account, mediaId: string) {
  const { data, error } = await account.client.GET('/v1/media/{media_id}', { params: { path: { media_id: mediaId } } });
  if (error) throw new Error(error.code);
  return data.state === 'ready' ? (await fetch(data.url)).text() : undefined;
}

// Two at a time, the newest first.
async function history(account: Account, chatId: string) {
  const messages: Message[] = [];
  for (let before: string | null | undefined; before !== null; ) {
    const { data, error } = await account.client.GET('/v1/chats/{chat_id}/messages', {
      params: { path: { chat_id: chatId }, query: { limit: 2, ...(before && { before }) } },
    });
    if (error) throw new Error(error.code);
    messages.unshift(...data.items);
    before = data.next;
  }
  return messages;
}

const textOf = (message: Message) => ('text' in message ? message.text : '');

async function react(account: Account, chatId: string, messageId: string, emoji: string) {
  const { data, error } = await account.client.PUT('/v1/chats/{chat_id}/messages/{message_id}/reactions/{emoji}', {
    params: { path: { chat_id: chatId, message_id: messageId, emoji } },
  });
  if (error) throw new Error(error.code);
  return data.reactions;
}

// The stream is read as bytes: each frame's `data:` is one event.
async function firstMessageHeard(origin: string, token: string, after: string) {
  const stop = new AbortController();
  const response = await fetch(`${origin}/v1/events`, { headers: { Authorization: `Bearer ${token}`, 'Last-Event-ID': after }, signal: stop.signal });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error('the stream ended');
    text += value;
    for (const [, data] of text.matchAll(/^data: (.*)\n/gm)) {
      const event: Event = JSON.parse(data!);
      if (event.type !== 'message.created') continue;
      stop.abort();
      return 'text' in event.message ? event.message.text : '';
    }
  }
}

async function nameTaken(origin: string, username: string) {
  const { error } = await createClient<paths>({ baseUrl: origin }).POST('/v1/users', { body: { username, password: PASSWORD } });
  return error?.code === 'username_taken' ? error.field : undefined;
}

async function strangersChat(origin: string, username: string, chatId: string) {
  const stranger = await register(origin, username);
  const { error } = await stranger.client.GET('/v1/chats/{chat_id}', { params: { path: { chat_id: chatId } } });
  return error?.code;
}
