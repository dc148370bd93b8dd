// The first page: signing in, or registering.
import { signIn, signUp } from '../lib/session.js';
import { button, field } from './controls.js';
import { fill, h } from './dom.js';

const MESSAGES = {
  login_failed: 'The username or the password is wrong.',
  username_taken: 'Somebody else has this username.',
  bad_invite: 'This invitation code is wrong, used up or expired.',
  registration_closed: 'This server takes no registrations.',
};

// `entered(user)` is called once the user is signed in.
export function signInView({ note = null, entered }) {
  const place = h('div', { class: 'sign-in-card' });
  const show = (page) => {
    fill(place, h('div', { class: 'brand' }, h('img', { src: '/icon.svg', alt: '', width: 56, height: 56 }), h('span', { class: 'brand-name' }, 'Parley')), page);
    place.querySelector('input')?.focus();
  };
  const toSignIn = () => show(signInForm(entered, toSignUp, note));
  const toSignUp = () => show(signUpForm(entered, toSignIn));
  toSignIn();
  return h('main', { class: 'sign-in' }, place);
}

function signInForm(entered, toSignUp, note) {
  const username = input({ name: 'username', autocomplete: 'username', required: true, maxLength: 32 });
  const password = input({ name: 'password', type: 'password', autocomplete: 'current-password', required: true });
  return form('Sign in', {
    note,
    fields: [field('Username', username), field('Password', password)],
    submit: () => signIn({ username: username.value.trim(), password: password.value }),
    entered,
    other: ['New here?', 'Create an account', toSignUp],
  });
}

function signUpForm(entered, toSignIn) {
  const name = input({ name: 'name', autocomplete: 'name', maxLength: 64 });
  const username = input({ name: 'username', autocomplete: 'username', required: true, minLength: 3, maxLength: 32, pattern: '[A-Za-z0-9_.\\-]{3,32}' });
  const password = input({ name: 'password', type: 'password', autocomplete: 'new-password', required: true, minLength: 8 });
  const invite = input({ name: 'invite', autocomplete: 'off' });
  const inviteField = field('Invitation code', invite, { hint: 'Only where the server asks for one.' });
  return form('Create an account', {
    fields: [
      field('Your name', name, { hint: 'What others see. The username if left empty.' }),
      field('Username', username, { hint: 'By which others find you: letters, digits, dots, dashes; at least 3.' }),
      field('Password', password, { hint: 'At least 8 characters.' }),
      inviteField,
    ],
    submit: () => signUp({ username: username.value.trim(), password: password.value, display_name: name.value.trim(), invite: invite.value.trim() }),
    entered,
    other: ['Have an account?', 'Sign in', toSignIn],
  });
}

function input(properties) {
  const element = h('input', { type: 'text', autocapitalize: 'none', spellcheck: false, ...properties });
  return element;
}

function form(title, { note = null, fields, submit, entered, other: [question, answer, go] }) {
  const error = h('p', { class: 'form-error', role: 'alert' });
  const send = button(title, null, { kind: 'primary wide', type: 'submit' });
  const element = h('form', { class: 'form', 'aria-labelledby': 'sign-in-title' }, h('h1', { id: 'sign-in-title' }, title), note && h('p', { class: 'notice' }, note), fields, error, send,
    h('p', { class: 'switch' }, `${question} `, h('button', { type: 'button', class: 'link-button', onClick: go }, answer)));
  element.addEventListener('submit', async (event) => {
    event.preventDefault();
    send.disabled = true;
    fill(error);
    try {
      await submit();
      entered();
    } catch (problem) {
      fill(error, MESSAGES[problem.code] ?? problem.message);
      send.disabled = false;
    }
  });
  return element;
}
