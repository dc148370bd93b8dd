// What a text is made of: plain pieces, links and mentions. Views make nodes of the pieces; none of it is ever markup.
const LINK = /\bhttps?:\/\/[^\s<>"'`]+/giu;
const TRAILING = /[.,;:!?)\]}'"]+$/u;
const EMOJI_ONLY = /^(?:\p{Extended_Pictographic}|\p{Emoji_Modifier}|\p{Regional_Indicator}|\u200d|\ufe0f){1,12}$/u;

// Answers pieces { kind: 'text' | 'link' | 'mention', text, url?, user_id? } whose texts, joined, are the text.
export function piecesOf(text, mentions = []) {
  if (mentions.length === 0) return linksIn(text);
  const characters = [...text];
  const pieces = [];
  let at = 0;
  for (const { user_id, offset, length } of [...mentions].sort((one, other) => one.offset - other.offset)) {
    pieces.push(...linksIn(characters.slice(at, offset).join('')));
    pieces.push({ kind: 'mention', text: characters.slice(offset, offset + length).join(''), user_id });
    at = offset + length;
  }
  pieces.push(...linksIn(characters.slice(at).join('')));
  return pieces;
}

function linksIn(text) {
  const pieces = [];
  let at = 0;
  for (const found of text.matchAll(LINK)) {
    const url = found[0].replace(TRAILING, '');
    if (!URL.canParse?.(url) && !parses(url)) continue;
    if (found.index > at) pieces.push({ kind: 'text', text: text.slice(at, found.index) });
    pieces.push({ kind: 'link', text: url, url });
    at = found.index + url.length;
  }
  if (at < text.length) pieces.push({ kind: 'text', text: text.slice(at) });
  return pieces;
}

function parses(url) {
  try {
    return new URL(url) !== null;
  } catch {
    return false;
  }
}

export function isOnlyEmoji(text) {
  return EMOJI_ONLY.test(text.replace(/\s/gu, ''));
}

// Where `@name` stands for one of the people: what a request says of mentions. Offsets count code points.
export function mentionsIn(text, people) {
  const taken = [];
  for (const { user_id, name } of [...people].sort((one, other) => other.name.length - one.name.length)) {
    const wanted = `@${name}`;
    for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) {
      if (taken.some((other) => at < other.end && other.start < at + wanted.length)) continue;
      taken.push({ user_id, start: at, end: at + wanted.length });
    }
  }
  return taken.sort((one, other) => one.start - other.start).map(({ user_id, start, end }) => ({
    user_id, offset: [...text.slice(0, start)].length, length: [...text.slice(start, end)].length,
  }));
}

// What a message is in one line: its text, or what it carries.
export function summaryOf(message) {
  if (!message) return '';
  if (message.hidden) return 'Message removed for you';
  if (message.deleted) return 'Message deleted';
  if (message.withheld) return 'Message edited';
  if (message.text) return message.text.replace(/\s+/gu, ' ').slice(0, 200);
  const [first] = message.attachments ?? [];
  if (!first) return '';
  const more = message.attachments.length > 1 ? ` and ${message.attachments.length - 1} more` : '';
  return kindName(first) + more;
}

export function kindOf({ content_type }) {
  const kind = content_type.split('/')[0];
  if (kind === 'image' && content_type.startsWith('image/svg')) return 'file';
  return ['image', 'video', 'audio'].includes(kind) ? kind : 'file';
}

function kindName(file) {
  const kind = kindOf(file);
  if (kind === 'image') return 'Photo';
  if (kind === 'video') return 'Video';
  if (kind === 'audio') return file.file_name?.startsWith('voice-') ? 'Voice message' : 'Audio';
  return file.file_name ?? 'File';
}
