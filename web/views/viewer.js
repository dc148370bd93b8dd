// One picture in full, with the others of the window before and after it.
import { iconButton } from './controls.js';
import { fill, h } from './dom.js';

// `pictures`: { id, file_name, sender, time }; `at`: which is shown first.
export function openViewer(pictures, at) {
  let index = at;
  const image = h('img', { class: 'viewer-image', alt: '' });
  const caption = h('p', { class: 'viewer-caption', 'aria-live': 'polite' });
  const download = h('a', { class: 'button plain', target: '_blank', rel: 'noopener' }, 'Download');
  const previous = iconButton('back', 'Previous photo', () => show(index - 1), 'viewer-step previous');
  const next = iconButton('back', 'Next photo', () => show(index + 1), 'viewer-step next');
  const element = h('dialog', { class: 'viewer', 'aria-label': 'Photo' },
    h('header', { class: 'viewer-header' }, caption, download, iconButton('close', 'Close', () => element.close())), previous, image, next);
  const show = (wanted) => {
    if (!pictures[wanted]) return;
    index = wanted;
    const { id, file_name, sender, time, preview_url } = pictures[index];
    image.src = preview_url ?? `/v1/media/${id}/content`;
    image.alt = file_name ?? 'Photo';
    fill(caption, `${sender} · ${time}`);
    download.hidden = !id;
    download.href = id ? `/v1/media/${id}/content` : '';
    download.download = file_name ?? 'photo';
    previous.disabled = index === 0;
    next.disabled = index === pictures.length - 1;
  };
  element.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowLeft') show(index - 1);
    if (event.key === 'ArrowRight') show(index + 1);
  });
  element.addEventListener('click', (event) => { if (event.target === element) element.close(); });
  element.addEventListener('close', () => element.remove());
  document.body.append(element);
  element.showModal();
  show(index);
}
