// nginx and HAProxy as deploy/ configures them, on loopback: the files as they are, but for places and ports. What is replaced has to be there.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { REPOSITORY } from './server.mjs';
import { DEADLINE_MS, eventually, withDeadline } from './wait.mjs';

const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

const isFree = (port) => new Promise((resolve) => {
  const probe = net.createServer().on('error', () => resolve(false));
  probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
});

// Below those that the kernel gives to who asks for any, as the servers of other tests do (tests/support/ports.sh): nobody takes them before they are used but
// by chance.
async function freePorts(count) {
  const ports = new Set();
  while (ports.size < count) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

function replaceIn(text, replacements) {
  for (const [from, to] of replacements) {
    assert.ok(text.includes(from), `the configuration has no ${from}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

// Each node has the line of the one that the file has.
function repeatNodes(text, line, nodes) {
  assert.match(text, line);
  return text.replaceAll(new RegExp(line, 'gm'), (...match) => nodes.map((port, i) => match[1].replace('node1', `node${i + 1}`).replace('127.0.0.1:8080', `127.0.0.1:${port}`)).join('\n'));
}

const KINDS = {
  nginx: {
    file: 'nginx.conf',
    node: /^( +server 127\.0\.0\.1:8080 .*;)$/m,
    command: (folder) => ['nginx', '-e', path.join(folder, 'error.log'), '-g', 'daemon off;', '-c', path.join(folder, 'proxy.conf')],
    replacements: ({ folder, port, plainPort }) => [
      ['user www-data;', `user ${userInfo().username};`],
      ['/run/nginx.pid', path.join(folder, 'pid')],
      ['/var/log/nginx', folder],
      ['http {', `http {\n${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join('\n')}`],
      ['listen [::]:80;', ''],
      ['listen [::]:443 ssl http2;', ''],
      ['listen 80;', `listen 127.0.0.1:${plainPort};`],
      ['listen 443 ', `listen 127.0.0.1:${port} `],
      ['/etc/ssl/private/chat.example.org.pem', path.join(folder, 'tls.pem')],
    ],
  },
  haproxy: {
    file: 'haproxy.cfg',
    node: /^( +server node1 127\.0\.0\.1:8080)$/m,
    command: (folder) => ['haproxy', '-db', '-f', path.join(folder, 'proxy.conf')],
    replacements: ({ folder, port, plainPort }) => [
      ['    user haproxy\n    group haproxy\n', ''],
      ['bind :80\n', `bind 127.0.0.1:${plainPort}\n`],
      ['bind :443 ', `bind 127.0.0.1:${port} `],
      ['/etc/ssl/private/chat.example.org.pem', path.join(folder, 'tls.pem')],
    ],
  },
};

function makeCertificate(folder) {
  const [key, certificate] = ['key.pem', 'certificate.pem'].map((name) => path.join(folder, name));
  const { status, stderr } = spawnSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost',
    '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', key, '-out', certificate,
  ], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  writeFileSync(path.join(folder, 'tls.pem'), readFileSync(certificate, 'utf8') + readFileSync(key, 'utf8'));
}

class Proxy {
  constructor(kind, ports) {
    [this.port, this.plainPort] = ports;
    this.kind = KINDS[kind];
    this.folder = mkdtempSync(path.join(tmpdir(), `parley-${kind}-`));
    this.certificate = path.join(this.folder, 'certificate.pem');
    this.origin = `https://localhost:${this.port}`;
    this.output = '';
  }

  async start(nodes) {
    makeCertificate(this.folder);
    const text = readFileSync(path.join(REPOSITORY, 'deploy', this.kind.file), 'utf8');
    writeFileSync(path.join(this.folder, 'proxy.conf'), repeatNodes(replaceIn(text, this.kind.replacements(this)), this.kind.node, nodes));
    const [program, ...args] = this.kind.command(this.folder);
    // Debian keeps both where only root's PATH leads.
    this.child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` } });
    running.add(this.child);
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on('data', (chunk) => (this.output += chunk));
    this.exit = once(this.child, 'close').finally(() => running.delete(this.child));
    await Promise.race([this.#listens(), this.exit.then(([code]) => Promise.reject(new Error(`${program} ended with ${code}: ${this.output}`)))]);
  }

  #listens() {
    const connects = () => new Promise((resolve) => {
      const socket = net.connect(this.port, '127.0.0.1');
      socket.on('connect', () => socket.destroy(resolve(true))).on('error', () => resolve(false));
    });
    return eventually(connects, 'the proxy listens');
  }

  async stop() {
    this.child?.kill('SIGTERM');
    if (this.child) await withDeadline(this.exit, 'the proxy ends', DEADLINE_MS);
    rmSync(this.folder, { recursive: true, force: true });
  }

  // What it has logged of requests.
  log() {
    return this.kind === KINDS.nginx ? readFileSync(path.join(this.folder, 'access.log'), 'utf8') : this.output;
  }
}

export const PROXIES = Object.keys(KINDS);

// Before its nodes are there, because they have to know its name: start(nodes) with their ports on 127.0.0.1. It ends with the test.
export async function prepareProxy(t, kind) {
  const proxy = new Proxy(kind, await freePorts(2));
  t.after(() => proxy.stop());
  return proxy;
}
