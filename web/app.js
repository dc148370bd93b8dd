// The browser client of Parley. Asks who is signed in, and shows the chats, or the page for signing in.
import { onUnauthorized, pause } from './lib/api.js';
import { applyTheme } from './lib/preferences.js';
import { currentUser } from './lib/session.js';
import { Stream } from './lib/stream.js';
import { fill, h } from './views/dom.js';
import { Shell } from './views/shell.js';
import { signInView } from './views/sign-in.js';
import { spinner } from './views/controls.js';

const RETRY_MS = 2000;
const SIGNED_IN = 'parley:signed-in';
const app = document.getElementById('app');
let stream = null;
let shell = null;

applyTheme();
addEventListener('pageshow', ({ persisted }) => { if (persisted) location.reload(); });
addEventListener('storage', ({ key }) => { if (key === SIGNED_IN && !shell) enter(); });
onUnauthorized(() => leave('Your session has ended. Sign in again.'));
enter();

async function enter() {
  fill(app, h('main', { class: 'starting' }, spinner('Starting')));
  const me = await whoIsThere();
  if (!me) return askToSignIn(null);
  stream ??= new Stream((message) => shell?.hear(message));
  shell = new Shell({ me, stream, signedOut: (note) => leave(note) });
  fill(app, shell.element);
  stream.join(me.id);
  return shell.start();
}

// Asks until somebody answers: a server that is restarted does not need a reload.
async function whoIsThere() {
  for (;;) {
    try {
      return await currentUser();
    } catch (error) {
      if (!error.mayPass) throw error;
      fill(app, h('main', { class: 'starting' }, spinner('Starting'), h('p', { role: 'status' }, 'The server cannot be reached. Trying again…')));
      await pause(RETRY_MS);
    }
  }
}

function leave(note) {
  if (!shell) return;
  shell.dispose();
  shell = null;
  stream.leave();
  askToSignIn(note);
}

function askToSignIn(note) {
  fill(app, signInView({ note, entered }));
}

// The other tabs of this browser are signed in by this, too.
function entered() {
  try {
    localStorage.setItem(SIGNED_IN, String(Date.now()));
  } catch {
    // They find out by themselves when they are loaded again.
  }
  enter();
}
