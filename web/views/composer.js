// Where messages are written: text, files by choice, paste and drop, voice, mentions, and the message that is answered or edited.
import { patch, send } from '../lib/api.js';
import { durationOf, sizeOf } from '../lib/format.js';
import { preferences } from '../lib/preferences.js';
import { Recorder, canRecord } from '../lib/recorder.js';
import { mentionsIn, summaryOf } from '../lib/text.js';
import { Upload } from '../lib/uploads.js';
import { complain, iconButton, toast } from './controls.js';
import { act } from './dialog.js';
import { Subscriptions, add, fill, h, uniqueId } from './dom.js';
import { openEmojiPicker } from './emoji.js';
import { icon } from './icons.js';

const FILES_MAX = 10;
const TYPING_EVERY_MS = 3000;
const HEIGHT_MAX_PX = 180;
const TEXT_MAX = 100_000;

export class Composer {
  #store;
  #drafts;
  #chat_id;
  #members;
  #editLast;
  #focusHistory;
  #sent;
  #subscriptions = new Subscriptions();
  #typed_at = 0;
  #recorder = null;
  #recordTimer = null;
  #suggested = [];
  #selected = 0;
  #input;
  #buttons;
  #context = h('div', { class: 'composer-context' });
  #tray = h('ul', { class: 'tray', 'aria-label': 'Files to send' });
  #suggestions = h('ul', { class: 'suggestions', role: 'listbox', 'aria-label': 'Members', id: uniqueId('suggestions'), hidden: true });
  #picker = h('input', { type: 'file', multiple: true, hidden: true, 'aria-label': 'Files', onChange: () => this.#picked() });
  #bar = h('div', { class: 'composer-bar' });
  #recording = h('div', { class: 'composer-bar', hidden: true });

  // `members()` answers [{ user_id, name }] for mentions; `editLast()` and `focusHistory()` are for the keyboard; `sent()` is called when
  // something was written.
  constructor({ store, drafts, chat_id, members, editLast, focusHistory, sent }) {
    this.#store = store;
    this.#drafts = drafts;
    this.#chat_id = chat_id;
    this.#members = members;
    this.#editLast = editLast;
    this.#focusHistory = focusHistory;
    this.#sent = sent;
    this.#input = this.#makeInput();
    this.#buttons = this.#makeButtons();
    this.element = h('form', { class: 'composer', 'aria-label': 'Write a message', onSubmit: (event) => { event.preventDefault(); this.submit(); } },
      this.#suggestions, this.#context, this.#tray, this.#bar, this.#recording, this.#picker);
    this.#subscriptions.add(store.on(`chat:${chat_id}`, () => { if (drafts.takeOver(chat_id)) this.#showDraft(); }));
    this.#showDraft();
  }

  #makeButtons() {
    const attach = iconButton('attach', 'Attach files', () => this.#picker.click());
    const emoji = iconButton('emoji', 'Insert emoji', () => openEmojiPicker(emoji, (chosen) => this.#insert(chosen)));
    const record = iconButton('mic', 'Record a voice message', () => act(() => this.#record()));
    const submit = h('button', { type: 'submit', class: 'icon-button send' }, icon('send'));
    add(this.#bar, [attach, emoji, this.#input, record, submit]);
    return { attach, record, submit };
  }

  #makeInput() {
    return h('textarea', {
      class: 'composer-input', rows: 1, maxLength: TEXT_MAX, placeholder: 'Message', 'aria-label': 'Message', dir: 'auto', 'aria-controls': this.#suggestions.id, 'aria-autocomplete': 'list',
      onInput: () => this.#typed(), onKeydown: (event) => this.#key(event), onPaste: (event) => this.#pasted(event), onBlur: () => this.#drafts.save(this.#chat_id),
    });
  }

  get #draft() {
    return this.#drafts.of(this.#chat_id);
  }

  dispose() {
    this.#subscriptions.end();
    this.#recorder?.cancel();
    clearInterval(this.#recordTimer);
    for (const upload of this.#draft.uploads) upload.onChange = () => {};
    this.#drafts.save(this.#chat_id);
  }

  focus() {
    this.#input.focus();
  }

  reply(message) {
    if (this.#draft.edit) this.#drafts.endEdit(this.#chat_id);
    this.#draft.reply = message;
    this.#showDraft();
    this.focus();
  }

  edit(message) {
    this.#drafts.startEdit(this.#chat_id, message);
    this.#showDraft();
    this.focus();
    this.#input.setSelectionRange(message.text.length, message.text.length);
  }

  #cancelContext() {
    if (this.#draft.edit) this.#drafts.endEdit(this.#chat_id);
    this.#draft.reply = null;
    this.#showDraft();
    this.focus();
  }

  // ---- drawing

  #showDraft() {
    this.#input.value = this.#draft.text;
    this.#grow();
    this.#showContext();
    this.#showTray();
    this.#showBar();
  }

  #showContext() {
    const { reply, edit } = this.#draft;
    const message = edit ?? reply;
    if (!message) return fill(this.#context);
    const sender = message.sender_id === this.#store.me.id ? 'yourself' : this.#store.nameOf(message.sender_id);
    return fill(this.#context, h('div', { class: 'context-bar' }, icon(edit ? 'edit' : 'reply'),
      h('span', { class: 'context-text' }, h('strong', {}, edit ? 'Edit message' : `Reply to ${sender}`), h('span', {}, summaryOf(message))),
      iconButton('close', edit ? 'Cancel editing' : 'Cancel reply', () => this.#cancelContext())));
  }

  #showTray() {
    const { uploads } = this.#draft;
    this.#tray.hidden = uploads.length === 0;
    fill(this.#tray, uploads.map((upload) => this.#trayItem(upload)));
  }

  #trayItem(upload) {
    const bar = h('progress', { max: 1, value: upload.progress, 'aria-label': `Upload of ${upload.name}` });
    const status = h('span', { class: 'tray-status' });
    const item = h('li', { class: 'tray-item' },
      upload.type.startsWith('image/') && upload.preview_url ? h('img', { src: upload.preview_url, alt: '' }) : icon('file'),
      h('span', { class: 'tray-text' }, h('span', { class: 'tray-name' }, upload.name), status, bar),
      iconButton('close', `Remove ${upload.name}`, () => this.#removeUpload(upload)));
    const draw = () => {
      bar.value = upload.progress;
      bar.hidden = upload.isReady || upload.failed !== null;
      item.classList.toggle('failed', upload.failed !== null);
      fill(status, upload.failed ? upload.failed.message : upload.isReady ? sizeOf(upload.file.size) : `${Math.round(upload.progress * 100)} % of ${sizeOf(upload.file.size)}`);
    };
    upload.onChange = draw;
    draw();
    return item;
  }

  #removeUpload(upload) {
    upload.cancel();
    this.#draft.uploads = this.#draft.uploads.filter((other) => other !== upload);
    this.#showTray();
    this.#showBar();
    this.focus();
  }

  // The field never leaves its place, so that neither the focus nor what an input method composes is lost.
  #showBar() {
    if (this.#recorder) return;
    const { text, uploads, edit } = this.#draft;
    const canSend = text.trim() !== '' || uploads.length > 0 || edit !== null || !canRecord();
    const { attach, record, submit } = this.#buttons;
    attach.hidden = edit !== null;
    record.hidden = canSend;
    submit.hidden = !canSend;
    submit.setAttribute('aria-label', edit ? 'Save' : 'Send');
    submit.title = edit ? 'Save' : 'Send';
  }

  #grow() {
    this.#input.style.height = 'auto';
    this.#input.style.height = `${Math.min(HEIGHT_MAX_PX, this.#input.scrollHeight)}px`;
  }

  // ---- typing

  #typed() {
    this.#drafts.setText(this.#chat_id, this.#input.value);
    this.#grow();
    this.#showBar();
    this.#suggest();
    const now = Date.now();
    if (this.#input.value === '' || this.#draft.edit || this.#store.chats.get(this.#chat_id)?.type === 'channel' || now - this.#typed_at < TYPING_EVERY_MS) return;
    this.#typed_at = now;
    send('POST', `/v1/chats/${this.#chat_id}/typing`).catch(() => {});
  }

  #insert(text) {
    this.#input.setRangeText(text, this.#input.selectionStart, this.#input.selectionEnd, 'end');
    this.#typed();
    this.focus();
  }

  #key(event) {
    if (this.#suggestionKey(event)) return;
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing && preferences().enterSends) {
      event.preventDefault();
      this.submit();
    } else if (event.key === 'Escape' && (this.#draft.edit || this.#draft.reply)) {
      event.stopPropagation();
      this.#cancelContext();
    } else if (event.key === 'ArrowUp' && this.#input.value === '' && !event.ctrlKey) {
      event.preventDefault();
      if (event.shiftKey || !this.#editLast()) this.#focusHistory();
    }
  }

  // ---- mentions

  #suggest() {
    const before = this.#input.value.slice(0, this.#input.selectionStart);
    const wanted = /(?:^|\s)@([^\s@]*)$/u.exec(before)?.[1]?.toLowerCase();
    this.#suggested = wanted === undefined ? [] : this.#members().filter(({ name }) => name.toLowerCase().startsWith(wanted)).slice(0, 6);
    this.#selected = 0;
    this.#showSuggestions();
  }

  #showSuggestions() {
    this.#suggestions.hidden = this.#suggested.length === 0;
    fill(this.#suggestions, this.#suggested.map(({ name }, index) => h('li', {
      role: 'option', id: `${this.#suggestions.id}-${index}`, 'aria-selected': String(index === this.#selected),
      onPointerdown: (event) => { event.preventDefault(); this.#complete(index); },
    }, `@${name}`)));
    if (this.#suggested.length > 0) this.#input.setAttribute('aria-activedescendant', `${this.#suggestions.id}-${this.#selected}`);
    else this.#input.removeAttribute('aria-activedescendant');
  }

  #suggestionKey(event) {
    if (this.#suggested.length === 0) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) this.#selected = (this.#selected + step + this.#suggested.length) % this.#suggested.length;
    else if (event.key === 'Enter' || event.key === 'Tab') this.#complete(this.#selected);
    else if (event.key === 'Escape') this.#suggested = [];
    else return false;
    event.preventDefault();
    event.stopPropagation();
    this.#showSuggestions();
    return true;
  }

  #complete(index) {
    const end = this.#input.selectionStart;
    const start = this.#input.value.lastIndexOf('@', end - 1);
    this.#input.setRangeText(`@${this.#suggested[index].name} `, start, end, 'end');
    this.#suggested = [];
    this.#showSuggestions();
    this.#typed();
  }

  // ---- files and voice

  #picked() {
    this.addFiles(this.#picker.files);
    this.#picker.value = '';
  }

  #pasted(event) {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0) return;
    event.preventDefault();
    this.addFiles(files);
  }

  addFiles(files) {
    if (this.#draft.edit) return;
    const room = FILES_MAX - this.#draft.uploads.length;
    const wanted = [...files].filter((file) => file.size > 0);
    if (wanted.length > room) toast(`A message has ${FILES_MAX} files at most.`, { kind: 'bad' });
    for (const file of wanted.slice(0, room)) this.#draft.uploads.push(new Upload(file));
    this.#showTray();
    this.#showBar();
    this.focus();
  }

  async #record() {
    const recorder = new Recorder();
    try {
      await recorder.start();
    } catch {
      return toast('The microphone may not be used.', { kind: 'bad' });
    }
    this.#recorder = recorder;
    return this.#showRecording();
  }

  #showRecording() {
    const time = h('span', { class: 'record-time', role: 'timer' }, '0:00');
    this.#recordTimer = setInterval(() => fill(time, durationOf(Date.now() - this.#recorder.started_ms)), 500);
    const finish = iconButton('send', 'Send the recording', () => this.#endRecording(true), 'send');
    fill(this.#recording, iconButton('delete', 'Discard the recording', () => this.#endRecording(false)), h('span', { class: 'record-dot', 'aria-hidden': 'true' }),
      h('span', { class: 'record-label' }, 'Recording'), time, finish);
    this.#bar.hidden = true;
    this.#recording.hidden = false;
    finish.focus();
  }

  async #endRecording(isSent) {
    const recorder = this.#recorder;
    this.#recorder = null;
    clearInterval(this.#recordTimer);
    this.#bar.hidden = false;
    this.#recording.hidden = true;
    if (!isSent) recorder.cancel();
    else {
      const { file, duration_ms } = await recorder.finish();
      this.#store.outbox.add(this.#chat_id, {}, [new Upload(file, this.#uploadChanged, { duration_ms })]);
      this.#sent();
    }
    this.#showBar();
    this.focus();
  }

  #uploadChanged = () => this.#store.emitter.changed(`outbox:${this.#chat_id}`);

  // ---- sending

  submit() {
    const { text, edit } = this.#draft;
    if (edit) return act(() => this.#saveEdit(edit, text.trim()));
    return this.#post(text.trim());
  }

  async #saveEdit(message, text) {
    if (text === '' || text === message.text) return this.#cancelContext();
    const mentions = mentionsIn(text, this.#members());
    this.#cancelContext();
    try {
      const changed = await patch(`/v1/chats/${this.#chat_id}/messages/${message.id}`, { text, ...(mentions.length > 0 && { mentions }) });
      this.#store.applyMessage(changed, { isNew: false });
    } catch (error) {
      complain(error);
      this.edit({ ...message, text });
    }
    return undefined;
  }

  #post(text) {
    const { uploads, reply } = this.#draft;
    if (text === '' && uploads.length === 0) return;
    if (uploads.some((upload) => upload.failed)) return toast('Remove the file that could not be sent first.', { kind: 'bad' });
    const mentions = mentionsIn(text, this.#members());
    const body = { ...(text && { text }), ...(reply && { reply_to: reply.id }), ...(mentions.length > 0 && { mentions }) };
    uploads.forEach((upload) => { upload.onChange = this.#uploadChanged; });
    const entry = this.#store.outbox.add(this.#chat_id, body, uploads);
    if (reply) entry.shown = { reply_to: { id: reply.id, seq: reply.seq, sender_id: reply.sender_id } };
    this.#drafts.clear(this.#chat_id);
    this.#showDraft();
    this.#sent();
  }
}
