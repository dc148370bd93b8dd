// What an invitation link leads to, and joining by it.
import { get, post, put } from '../lib/api.js';
import { countOf, fullTime } from '../lib/format.js';
import { freshKey } from '../lib/ids.js';
import { chatPath, currentPlace, go } from '../lib/router.js';
import { avatar, button, spinner, toast } from './controls.js';
import { act, openDialog } from './dialog.js';
import { fill, h } from './dom.js';

const ENDS = { not_found: 'There is no such invitation.', link_ended: 'This invitation has ended.', banned: 'You may not join this chat.' };

export function openJoin(store, token) {
  const dialog = openDialog('Invitation', { kind: 'small', body: [spinner()], onClose: () => { if (currentPlace().name === 'join') go('/', { replace: true }); } });
  act(async () => {
    try {
      show(store, dialog, token, await get(`/v1/links/${token}`));
    } catch (error) {
      fill(dialog.body, h('p', {}, ENDS[error.code] ?? error.message));
    }
  });
}

function show(store, dialog, token, invitation) {
  const join = async () => {
    const answer = await post(`/v1/links/${token}/join`, undefined, { key: freshKey() }).catch((error) => { throw Object.assign(error, { message: ENDS[error.code] ?? error.message }); });
    dialog.close();
    if (answer.user_id) return toast('Asked to join. An admin decides.');
    await store.refreshChat(answer.id);
    return go(chatPath(answer.id), { replace: true });
  };
  fill(dialog.body, h('div', { class: 'invitation' }, avatar(invitation.chat_id, invitation.title, { size: 'large' }),
    h('h3', {}, invitation.title), invitation.description && h('p', {}, invitation.description),
    h('p', { class: 'hint' }, countOf(invitation.member_count, invitation.type === 'channel' ? 'follower' : 'member')),
    invitation.expires_at && h('p', { class: 'hint' }, `Works until ${fullTime(invitation.expires_at)}`),
    button(invitation.approval ? 'Ask to join' : invitation.type === 'channel' ? 'Follow' : 'Join', () => act(join), { kind: 'primary wide' })));
}

// A public channel, by its address.
export function openFollow(store, chat_id) {
  const follow = async () => {
    await put(`/v1/chats/${chat_id}/members/${store.me.id}`, {}).catch((error) => {
      throw Object.assign(error, { message: error.status === 404 ? 'There is no such channel, or it cannot be followed without an invitation.' : error.message });
    });
    await store.refreshChat(chat_id);
    dialog.close();
    go(chatPath(chat_id), { replace: true });
  };
  const dialog = openDialog('Follow a channel', {
    kind: 'small', body: [h('p', {}, 'You get what is posted there; other followers do not see you.'), button('Follow', () => act(follow), { kind: 'primary wide' })],
    onClose: () => { if (currentPlace().name === 'follow') go('/', { replace: true }); },
  });
}
