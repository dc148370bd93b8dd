// Files in a message: pictures as a grid, films and sounds with the browser's own controls, anything else as a row to download.
import { durationOf, sizeOf } from '../lib/format.js';
import { kindOf } from '../lib/text.js';
import { h } from './dom.js';
import { icon } from './icons.js';

const WIDTH_MAX = 320;
const HEIGHT_MAX = 340;

const contentUrl = (id) => `/v1/media/${id}/content`;

// `files` are attachments, or uploads that are still on their way.
export function attachmentsView(files, row, actions) {
  const element = h('div', { class: `attachments count-${Math.min(files.length, 4)}` });
  element.dataset.ids = files.map((file) => file.id ?? file.name).join();
  for (const file of files) element.append(views[kindOf(file)](file, row, actions));
  return element;
}

// The source of what is shown: the local copy while it is sent, later the server's.
function sourceOf(file, { small = false } = {}) {
  if (file.preview_url) return file.preview_url;
  return contentUrl(small && file.thumbnail ? file.thumbnail.id : file.id);
}

const views = {
  image(file, row, actions) {
    const { width, height } = fit(file);
    const image = h('img', { src: sourceOf(file, { small: true }), alt: file.file_name ? `Photo ${file.file_name}` : 'Photo', width, height, loading: 'lazy', decoding: 'async', draggable: false });
    const open = h('button', { type: 'button', class: 'photo', 'aria-label': `Open ${image.alt.toLowerCase()}`, onClick: () => actions.open(file, row) }, image);
    open.style.aspectRatio = `${width} / ${height}`;
    open.style.width = `${width}px`;
    return open;
  },
  video(file) {
    return h('video', { class: 'film', src: sourceOf(file), controls: true, preload: 'metadata', 'aria-label': file.file_name ?? 'Video' });
  },
  audio(file) {
    const label = file.file_name?.startsWith('voice-') ? 'Voice message' : file.file_name ?? 'Audio';
    return h('div', { class: 'sound' }, icon('mic'), h('audio', { src: sourceOf(file), controls: true, preload: 'metadata', 'aria-label': label }),
      file.duration_ms && h('span', { class: 'sound-time' }, durationOf(file.duration_ms)));
  },
  file(file) {
    const name = file.file_name ?? 'File';
    const inside = [icon('file'), h('span', { class: 'file-text' }, h('span', { class: 'file-name' }, name), h('span', { class: 'file-size' }, sizeOf(file.size))), icon('download')];
    if (!file.id) return h('div', { class: 'file' }, inside);
    return h('a', { class: 'file', href: contentUrl(file.id), download: name, target: '_blank', rel: 'noopener', 'aria-label': `Download ${name}, ${sizeOf(file.size)}` }, inside);
  },
};

// The room a picture takes, known before it is there, so that nothing moves when it comes.
function fit({ width, height }) {
  if (!width || !height) return { width: WIDTH_MAX * 0.75, height: WIDTH_MAX * 0.75 };
  const scale = Math.min(1, WIDTH_MAX / width, HEIGHT_MAX / height);
  return { width: Math.max(64, Math.round(width * scale)), height: Math.max(48, Math.round(height * scale)) };
}
