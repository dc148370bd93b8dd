// Reporting a message, or somebody, to those who run the server.
import { post } from '../lib/api.js';
import { freshKey } from '../lib/ids.js';
import { field, select, toast } from './controls.js';
import { openForm } from './dialog.js';
import { h } from './dom.js';

const CATEGORIES = [
  ['spam', 'Spam'], ['harassment', 'Harassment'], ['violence', 'Violence'], ['sexual', 'Sexual content'], ['illegal', 'Something illegal'], ['impersonation', 'Pretends to be somebody'],
  ['other', 'Something else'],
];

// `subject`: { user_id }, or { chat_id, message_id }.
export function openReport(title, subject) {
  const category = select(CATEGORIES, 'spam', () => {});
  const reason = h('textarea', { rows: 4, maxLength: 500, required: true });
  const key = freshKey();
  openForm(title, {
    note: 'Those who run this server see your report. Whoever is reported is not told.',
    fields: [field('What it is', category), field('What happened', reason)], submitLabel: 'Report',
    submit: async () => {
      await post('/v1/reports', { ...subject, category: category.value, reason: reason.value.trim() }, { key });
      toast('Reported');
    },
  });
}
