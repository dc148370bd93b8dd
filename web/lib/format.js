// Times, sizes and numbers as people read them, in the language of the browser.
const DAY_MS = 86_400_000;
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: 'long' });
const shortDate = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const longDate = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'short' });
const SIZE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

function startOfDay(time) {
  return new Date(time).setHours(0, 0, 0, 0);
}

function daysAgo(time) {
  return Math.round((startOfDay(Date.now()) - startOfDay(time)) / DAY_MS);
}

export function timeOf(timestamp) {
  return clock.format(new Date(timestamp));
}

export function fullTime(timestamp) {
  return full.format(new Date(timestamp));
}

// For a list: the time today, then the day, then the date.
export function shortTime(timestamp) {
  const days = daysAgo(timestamp);
  if (days <= 0) return timeOf(timestamp);
  if (days === 1) return 'Yesterday';
  return days < 7 ? weekday.format(new Date(timestamp)) : shortDate.format(new Date(timestamp));
}

// For the line between two days.
export function dayOf(timestamp) {
  const days = daysAgo(timestamp);
  if (days <= 0) return 'Today';
  if (days === 1) return 'Yesterday';
  return days < 7 ? weekday.format(new Date(timestamp)) : longDate.format(new Date(timestamp));
}

export function isSameDay(one, other) {
  return startOfDay(one) === startOfDay(other);
}

export function lastSeen(timestamp) {
  if (!timestamp) return '';
  const days = daysAgo(timestamp);
  const day = days <= 0 ? 'today' : days === 1 ? 'yesterday' : `on ${shortDate.format(new Date(timestamp))}`;
  return `last seen ${day} at ${timeOf(timestamp)}`;
}

export function sizeOf(bytes) {
  let unit = 0;
  let value = bytes;
  while (value >= 1000 && unit < SIZE_UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value >= 10 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${SIZE_UNITS[unit]}`;
}

export function durationOf(duration_ms) {
  const seconds = Math.round(duration_ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

export function countOf(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}

export function initialsOf(name) {
  const words = name.split(/[\s._-]+/u).filter(Boolean);
  const letters = [words[0], words.length > 1 ? words.at(-1) : null].filter(Boolean).map((word) => [...word][0]);
  return letters.join('').toUpperCase() || '?';
}

// Which of the eight colours (.hue-0 to .hue-7) is that of an id. Ids of one moment are alike but for a few bits, so each digit moves all of them.
export function hueOf(id) {
  let hash = 0;
  for (const digit of String(id)) hash = Math.imul(hash ^ digit.charCodeAt(0), 0x9e3779b1);
  return hash >>> 29;
}
