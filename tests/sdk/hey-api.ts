// The same client by @hey-api/openapi-ts: a function for each operation, and the stream as an iterator of typed events.
import { createClient, createConfig } from './hey-api/client/index.js';
import {
  addReaction, completeMedia, createChat, createMedia, createUser, getChat, getMedia, listMessages, postMessage, streamEvents,
} from './hey-api/sdk.gen.js';
import type { Message, PostMessageRequest } from './hey-api/types.gen.js';

const PASSWORD = 'correct horse battery';

interface Given {
  md5: (bytes: Uint8Array) => string;
  names: [string, string, string];
}

export async function run(origin: string, { md5, names: [aliceName, bobName, strangerName] }: Given) {
  const alice = await register(origin, aliceName);
  const bob = await register(origin, bobName);
  const { data: chat } = await createChat({ client: alice.client, body: { type: 'direct', member_ids: [bob.id] }, throwOnError: true });

  const first = await post(alice, chat.id, { text: 'Tea at four?' });
  const again = await post(alice, chat.id, { text: 'Tea at four?' });
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
    heard: await firstMessageHeard(bob, chat.last_id),
    refusals: [await nameTaken(origin, aliceName), await strangersChat(origin, strangerName, chat.id)],
  };
}

type Account = Awaited<ReturnType<typeof register>>;

async function register(origin: string, username: string) {
  const { data } = await createUser({ client: clientOf(origin), body: { username, password: PASSWORD }, throwOnError: true });
  return { client: clientOf(origin, data.access_token ?? ''), id: data.user.id };
}

const clientOf = (baseUrl: string, token?: string) => createClient(createConfig({ baseUrl, auth: token }));

async function post({ client }: Account, chatId: string, body: PostMessageRequest) {
  const key = (body.text ?? 'a picture').replaceAll(' ', '-');
  const { data } = await postMessage({ client, path: { chat_id: chatId }, headers: { 'Idempotency-Key': key }, body, throwOnError: true });
  if (!('text' in data)) throw new Error('a posted message has a text');
  return data;
}

async function upload({ client }: Account, bytes: Uint8Array<ArrayBuffer>, md5: Given['md5']) {
  const { data: media } = await createMedia({ client, body: { content_type: 'image/png', size: bytes.length, md5: md5(bytes) }, throwOnError: true });
  if (media.state !== 'pending' || media.upload.kind !== 'single') throw new Error('a small file goes in one piece');
  const { url, method, headers } = media.upload;
  const sent = await fetch(url, { method, headers, body: bytes });
  if (!sent.ok) throw new Error(`the storage answered ${sent.status}`);
  const { data } = await completeMedia({ client, path: { media_id: media.id }, throwOnError: true });
  return data;
}

async function fetchContent({ client }: Account, mediaId: string) {
  const { data } = await getMedia({ client, path: { media_id: mediaId }, throwOnError: true });
  return data.state === 'ready' ? (await fetch(data.url)).text() : undefined;
}

// Two at a time, the newest first.
async function history({ client }: Account, chatId: string) {
  const messages: Message[] = [];
  for (let before: string | null | undefined; before !== null; ) {
    const { data } = await listMessages({ client, path: { chat_id: chatId }, query: { limit: 2, ...(before && { before }) }, throwOnError: true });
    messages.unshift(...data.items);
    before = data.next;
  }
  return messages;
}

const textOf = (message: Message) => ('text' in message ? message.text : '');

async function react({ client }: Account, chatId: string, messageId: string, emoji: string) {
  const { data } = await addReaction({ client, path: { chat_id: chatId, message_id: messageId, emoji }, throwOnError: true });
  return data.reactions;
}

async function firstMessageHeard({ client }: Account, after: string) {
  const stop = new AbortController();
  const { stream } = await streamEvents({ client, headers: { 'Last-Event-ID': after }, signal: stop.signal });
  for await (const event of stream) {
    if (event.type !== 'message.created') continue;
    stop.abort();
    return 'text' in event.message ? event.message.text : '';
  }
  throw new Error('the stream ended');
}

async function nameTaken(origin: string, username: string) {
  const { error } = await createUser({ client: clientOf(origin), body: { username, password: PASSWORD } });
  return error?.code === 'username_taken' ? error.field : undefined;
}

async function strangersChat(origin: string, username: string, chatId: string) {
  const { client } = await register(origin, username);
  const { error } = await getChat({ client, path: { chat_id: chatId } });
  return error?.code;
}
