// Line icons on a grid of 24, drawn for this client.
const NAMESPACE = 'http://www.w3.org/2000/svg';
const PATHS = {
  add: 'M12 5v14M5 12h14',
  archive: 'M4 5h16v4H4zM6 9v10h12V9M10 13h4',
  attach: 'M19 11.5l-7.6 7.6a4.6 4.6 0 0 1-6.5-6.5l8-8a3 3 0 0 1 4.3 4.3l-7.9 7.9a1.5 1.5 0 0 1-2.1-2.1l7-7',
  back: 'M15 5l-7 7 7 7',
  ban: 'M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM6 6l12 12',
  bell: 'M6 16V11a6 6 0 0 1 12 0v5l1.5 2h-15zM10 20.5h4',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  close: 'M6 6l12 12M18 6L6 18',
  copy: 'M9 9h10v11H9zM5 15V4h10',
  delete: 'M5 7h14M10 7V4.5h4V7M7 7l1 13h8l1-13M10.5 11v5M13.5 11v5',
  device: 'M4 5h16v11H4zM9 20h6M12 16v4',
  down: 'M6 9l6 6 6-6',
  download: 'M12 4v11M7 10.5l5 5 5-5M5 20h14',
  edit: 'M5 19l1-4L16.5 4.5l3 3L9 18zM14.5 6.5l3 3',
  emoji: 'M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM9 9.5v.5M15 9.5v.5M8 14c1 1.7 2.3 2.5 4 2.5s3-.8 4-2.5',
  file: 'M6 3.5h8l4 4v13H6zM14 3.5v4h4',
  forward: 'M14 6l6 6-6 6M20 12H10c-3.5 0-6 2-6 6',
  group: 'M9 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 19.5c.5-3.5 3-5.5 6.5-5.5s6 2 6.5 5.5M16 4.8a3.5 3.5 0 0 1 0 6.4M18 14.5c2 .8 3.2 2.5 3.5 5',
  hide: 'M4 4l16 16M9.5 5.8c.8-.2 1.6-.3 2.5-.3 4.5 0 7.7 2.6 9.5 6.5-.6 1.3-1.4 2.5-2.4 3.5M6 7.5C4.5 8.7 3.3 10.2 2.5 12c1.8 3.9 5 6.5 9.5 6.5 1.6 0 3-.3 4.3-.9',
  info: 'M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM12 11v5.5M12 7.5v.5',
  leave: 'M10 4H5v16h5M14 8l4 4-4 4M18 12H9',
  link: 'M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7l-1 1M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7l1-1',
  lock: 'M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3',
  megaphone: 'M4 10v4h3l8 4.5v-13L7 10zM18.5 9.5a4 4 0 0 1 0 5M7.5 14.5l1 5h2.5',
  mic: 'M12 3.5a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0v-5a3 3 0 0 0-3-3zM5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3',
  more: 'M12 5.5v.01M12 12v.01M12 18.5v.01',
  mute: 'M6 16V11c0-1 .2-2 .7-2.8M9.5 5.5A6 6 0 0 1 18 11v2.5M6 16l-1.5 2H17M10 20.5h4M4 4l16 16',
  palette: 'M12 3.5a8.5 8.5 0 1 0 0 17c1.5 0 2-1 1.5-2-.8-1.7.2-3 2-3h2c2 0 3-1.3 3-3.5 0-4.7-3.8-8.5-8.5-8.5zM8 11v.01M11 7.5v.01M15.5 8.5v.01',
  person: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20c.7-3.7 3.5-6 7.5-6s6.8 2.3 7.5 6',
  pin: 'M9 4h6l-.8 6 2.8 3v1.5H7V13l2.8-3zM12 14.5V21',
  react: 'M12 20S4 15.3 4 9.5C4 6.8 6 5 8.2 5c1.7 0 3 .9 3.8 2.3C12.8 5.9 14.1 5 15.8 5 18 5 20 6.8 20 9.5 20 15.3 12 20 12 20z',
  reply: 'M10 6l-6 6 6 6M4 12h10c3.5 0 6 2 6 6',
  retry: 'M19 8a8 8 0 1 0 1 6M20 4v5h-5',
  search: 'M11 4.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM16 16l4.5 4.5',
  send: 'M4 12l16-8-5 16-3.5-6.5z',
  settings: 'M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.6l2.2 2.2M16.2 16.2l2.2 2.2M18.4 5.6l-2.2 2.2M7.8 16.2l-2.2 2.2',
  shield: 'M12 3.5l7 2.5v5.5c0 4.3-2.8 7.5-7 9-4.2-1.5-7-4.7-7-9V6z',
  stop: 'M7 7h10v10H7z',
  timer: 'M12 6a7.5 7.5 0 1 0 0 15 7.5 7.5 0 0 0 0-15zM12 9.5v4l2.5 1.5M9.5 3h5',
  warn: 'M12 4l9 16H3zM12 10v4.5M12 17v.01',
  wifiOff: 'M4 4l16 16M8 13.5c.8-.6 1.7-1 2.7-1.2M5 10c1-.8 2-1.4 3.2-1.8M12.5 7.2c2.4.2 4.6 1.2 6.5 2.8M12 18v.01',
};

// A decoration: what it stands for is said by the element around it.
export function icon(name, extra = '') {
  const svg = document.createElementNS(NAMESPACE, 'svg');
  for (const [key, value] of Object.entries({ viewBox: '0 0 24 24', class: `icon icon-${name} ${extra}`, 'aria-hidden': 'true', focusable: 'false' })) svg.setAttribute(key, value);
  const path = document.createElementNS(NAMESPACE, 'path');
  path.setAttribute('d', PATHS[name]);
  svg.append(path);
  return svg;
}

const TICKS = {
  pending: ['M12 5.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM12 8.5V12l2.5 1.5'],
  sent: ['M6 12.5l4 4L18 8'],
  delivered: ['M2.5 12.5l4 4L14.5 8', 'M11.5 15.5l1 1L20.5 8'],
  read: ['M2.5 12.5l4 4L14.5 8', 'M11.5 15.5l1 1L20.5 8'],
  failed: ['M12 4.5a7.5 7.5 0 1 0 0 15 7.5 7.5 0 0 0 0-15zM12 8v5M12 15.8v.01'],
};
const TICK_NAMES = { pending: 'Sending', sent: 'Sent', delivered: 'Delivered', read: 'Read', failed: 'Not sent' };

// How far an own message is.
export function tick(state) {
  const svg = document.createElementNS(NAMESPACE, 'svg');
  const attributes = { viewBox: '0 0 24 24', class: `tick ${state}`, role: 'img', 'aria-label': TICK_NAMES[state] };
  for (const [key, value] of Object.entries(attributes)) svg.setAttribute(key, value);
  for (const shape of TICKS[state]) {
    const path = document.createElementNS(NAMESPACE, 'path');
    path.setAttribute('d', shape);
    svg.append(path);
  }
  return svg;
}
