// The line that says that the connection is lost. A short cut is not worth a word.
import { fill, h } from './dom.js';
import { icon } from './icons.js';

const SHOW_AFTER_MS = 1500;

export class Banner {
  #store;
  #stream;
  #timer = null;
  #lost = false;
  element = h('div', { class: 'banner-place', role: 'status', 'aria-live': 'polite' });

  constructor(store, stream) {
    this.#store = store;
    this.#stream = stream;
    store.on('connection', () => this.#changed());
    for (const kind of ['online', 'offline']) addEventListener(kind, () => this.#changed());
    this.#changed();
  }

  #changed() {
    const isLive = this.#store.connection.state === 'live' && navigator.onLine !== false;
    if (isLive) {
      clearTimeout(this.#timer);
      this.#timer = null;
      if (this.#lost) fill(this.element);
      this.#lost = false;
    } else if (this.#lost) this.#show();
    else this.#timer ??= setTimeout(() => { this.#lost = true; this.#show(); }, SHOW_AFTER_MS);
  }

  #show() {
    if (this.element.firstChild) return;
    fill(this.element, h('div', { class: 'banner' }, icon('wifiOff'), h('span', {}, 'No connection. What you write is sent as soon as it is back.'),
      h('button', { type: 'button', class: 'link-button', onClick: () => this.#stream.wake() }, 'Try now')));
  }
}
