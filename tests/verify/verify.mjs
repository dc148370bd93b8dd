// Kills a server, or takes away parts of a cluster, while many users talk, then
// judges from the outside whether the promises were kept. `--help` lists the
// options.

import { registerUsers, ticketUrl } from './accounts.mjs';
import { Cluster } from './cluster.mjs';
import { Http } from './http.mjs';
import { judge } from './judge.mjs';
import { Killer, planKills } from './killer.mjs';
import { HELP, readOptions } from './options.mjs';
import { Random } from './random.mjs';
import { Reader } from './readers.mjs';
import { Records } from './records.mjs';
import { printTotals, printVerdict, writeReport } from './report.mjs';
import { inParallel, until } from './timing.mjs';
import { Workload } from './workload.mjs';

const READY_DEADLINE_MS = 20_000;
const QUIET_DEADLINE_MS = 60_000;
const SECOND_READERS = 3; // users whose first device also reads by ticket
const PAGE = 100;

class Run {
  constructor(options) {
    this.options = options;
    this.random = new Random(options.seed, 'run');
    this.plan = planKills(options, this.random.named('plan'));
    this.records = new Records({ seed: options.seed, plan: this.plan, nodes: options.nodes, minimum: minimums(options, this.plan) });
    this.cluster = new Cluster(options, { records: this.records, random: this.random.named('port') });
    this.readers = [];
    this.calm = false;
    this.collapsed = null;
    this.begin = Date.now();
  }

  say(text) {
    console.log(`${((Date.now() - this.begin) / 1000).toFixed(1).padStart(6)} s  ${text}`);
  }

  /** The server has lost everybody or does not come back: stop and judge. */
  collapse(why) {
    if (this.collapsed !== null || this.finished) return;
    this.collapsed = why;
    this.say(`stopping early: ${why}`);
    this.killer?.stop();
    this.workload?.end.abort();
    this.http.stopped = true;
  }

  async execute() {
    await this.cluster.prepare();
    this.http = new Http({ port: this.cluster.port, records: this.records, random: this.random.named('http') });
    this.http.collapse = (why) => this.collapse(why);
    if (!(await this.cluster.start((how) => this.unexpected(how)))) return;
    await this.prepare();
    await this.talk();
    await this.settle();
    await this.readBack();
    this.finished = true;
  }

  unexpected(how) {
    if (this.finished) return;
    this.records.server.failures.push(how);
    this.collapse(how);
  }

  async prepare() {
    this.say(`seed ${this.options.seed}: registering ${this.options.users} users`);
    this.users = await registerUsers(this.http, this.records, this.options.users);
    for (const user of this.users) {
      for (const [i, device] of user.devices.entries()) this.addReader({ user, device, name: `${user.name}/${i + 1}` });
    }
    for (const user of this.users.slice(0, SECOND_READERS)) {
      const url = await ticketUrl(this.http, user);
      this.addReader({ user, device: user.devices[0], name: `${user.name}/ticket`, named: false, ticketUrl: url });
    }
    await until(() => this.readers.every((reader) => reader.lastId !== null), READY_DEADLINE_MS);
    const behind = this.readers.filter((reader) => reader.lastId === null);
    if (behind.length > 0) throw new Error(`${behind.length} streams did not become ready, first ${behind[0].record.name}`);
    this.workload = new Workload({
      http: this.http, records: this.records, random: this.random.named('workload'), users: this.users,
      rate: this.options.rate, addReader: (reader) => this.addReader(reader),
    });
    await this.workload.setUp();
  }

  addReader({ user, device, name, ...rest }) {
    const reader = new Reader({
      ...rest, name, user: user.id, device: device.id, token: device.token, port: this.cluster.port,
      records: this.records, random: this.random.named(`reader ${name}`),
      calm: () => this.calm, collapse: (why) => this.collapse(why),
    });
    this.readers.push(reader);
    reader.start();
    return reader;
  }

  async talk() {
    const { kills, durationMs } = this.options;
    this.say(`${this.readers.length} streams; ${kills} kills in ${durationMs / 1000} s`);
    this.killer = new Killer({
      cluster: this.cluster, workload: this.workload, records: this.records,
      random: this.random.named('killer'), collapse: (why) => this.collapse(why),
    });
    this.workload.start();
    await this.killer.run(this.plan, durationMs);
    this.say('no more kills');
    await this.workload.stop();
    this.say('everybody was answered');
  }

  /** One last message in each chat; then every device reads up to it. Besides,
   *  every user reads everything once more from its beginning. */
  async settle() {
    this.calm = true;
    if (this.collapsed !== null) return;
    const head = await this.postMarkers();
    const replays = this.users.map((user, i) => this.addReader({
      user, device: user.devices[i % 2], name: `${user.name}/again`, from: this.beginning(user),
    }));
    const caughtUp = () => this.collapsed !== null || this.readers.every((reader) => reader.position >= head);
    this.records.quiet.reached = (await until(caughtUp, QUIET_DEADLINE_MS)) && this.collapsed === null;
    this.records.quiet.behind = this.readers
      .filter((reader) => reader.position < head)
      .map((reader) => `${reader.record.name} stands at ${reader.lastId}, the head is ${head}`);
    this.say(`quiet at ${head}, ${replays.length} replays`);
  }

  beginning(user) {
    const { record } = this.readers.find((reader) => reader.record.user === user.id);
    const [first] = record.connections.flatMap((connection) => connection.frames).filter((frame) => frame.id !== undefined);
    return first.id;
  }

  async postMarkers() {
    let head = -1n;
    const random = this.random.named('markers');
    for (const chat of this.workload.chats) {
      const message = await this.workload.post(chat.owner, chat, random);
      if (message && BigInt(message.id) > head) head = BigInt(message.id);
    }
    return head;
  }

  /** Everything once more over REST. */
  async readBack() {
    if (!this.cluster.isRunning) return;
    this.http.stopped = false;
    const visits = this.workload.chats.flatMap((chat) => this.everMembers(chat).map((user) => ({ user, chat })));
    await inParallel(visits, 6, ({ user, chat }) => this.walkHistory(user, chat));
    await inParallel(this.workload.chats, 4, (chat) => this.readHead(chat));
    this.say('read back');
  }

  everMembers(chat) {
    const record = this.records.chats.find((made) => made.id === chat.id);
    const added = this.records.memberships.filter(({ kind, chat: id }) => kind === 'add' && id === chat.id);
    return [...new Set([record.owner, ...record.members, ...added.map(({ user }) => user)])];
  }

  async get(user, path) {
    return this.http.perform({}, { method: 'GET', path, token: this.workload.token(user) });
  }

  /** Back from the newest message, then forth again from the oldest. */
  async walkHistory(user, chat) {
    const back = await this.walk({ user, chat: chat.id, how: 'before', anchor: null });
    if (back.items.length > 0) await this.walk({ user, chat: chat.id, how: 'after', anchor: back.items[0].id });
  }

  async walk({ user, chat, how, anchor }) {
    const walk = { user, chat, during: false, how, anchor, start: this.records.tick(), status: 200, items: [] };
    this.records.walks.push(walk);
    for (let cursor = anchor; ;) {
      const query = cursor === null ? '' : `&${how}=${cursor}`;
      const { status, body } = await this.get(user, `/v1/chats/${chat}/messages?limit=${PAGE}${query}`);
      walk.status = status;
      if (status !== 200) break;
      const items = body.items.map((item) => this.records.message(item));
      walk.items = how === 'before' ? [...items, ...walk.items] : [...walk.items, ...items];
      if (body.next === null || body.next === cursor) break;
      cursor = body.next;
    }
    walk.end = this.records.tick();
    return walk;
  }

  async readHead(chat) {
    const { status, body } = await this.get(chat.owner, `/v1/chats/${chat.id}`);
    const members = await this.get(chat.owner, `/v1/chats/${chat.id}/members?limit=1000`);
    this.records.heads.push({ chat: chat.id, user: chat.owner, status, body, members: members.body?.items });
  }

  async close(keep) {
    this.finished = true;
    await Promise.all(this.readers.map((reader) => reader.stop()));
    this.http?.close();
    await this.cluster.remove(keep);
  }
}

/** Well below what a healthy run does, so that a check never passes for want
 *  of something to check. */
function minimums({ nodes, durationMs, rate }, plan) {
  const seconds = durationMs / 1000;
  const planned = (...kinds) => plan.filter((kind) => kinds.includes(kind)).length;
  return {
    kills: planned('server') + 2 * planned('servers'),
    'absences of the database': planned('database killed', 'database stopped'),
    'absences of Redis': planned('redis'),
    'servers frozen': planned('server frozen'),
    'nodes that answered posts': nodes,
    'nodes that sent events': nodes,
    'messages acknowledged': Math.floor((seconds * rate) / 10),
    'edits and deletes acknowledged': Math.floor((seconds * rate) / 100),
    'membership changes acknowledged': Math.floor(seconds),
    'cuts in the middle of an event': Math.floor(seconds),
    reconnects: Math.floor(seconds * 2),
  };
}

async function interrupted(run, status) {
  run.finished = true;
  await run.cluster.remove(run.options.keep);
  process.exit(status);
}

async function main() {
  const options = readOptions(process.argv.slice(2));
  if (options.help) return console.log(HELP);
  const run = new Run(options);
  process.once('SIGINT', () => interrupted(run, 130));
  process.once('SIGTERM', () => interrupted(run, 143));
  try {
    await run.execute();
  } catch (error) {
    run.records.server.failures.push(`the run broke off: ${error.stack}`);
  }
  const tail = await run.cluster.logTail();
  run.records.server.failures.push(...await run.cluster.sanitizerReports());
  for (const reader of run.readers) reader.stopped = true;
  const checks = judge(run.records);
  printVerdict(run.records, checks);
  const failed = checks.some((check) => !check.passed);
  if (failed) console.log(`\nthe last lines of the log (${run.cluster.folder}):\n${tail}`);
  await run.close(options.keep || (failed && !options.discard));
  if (options.report) await writeReport(options.report, run.records, checks);
  process.exitCode = printTotals(options.seed, checks) > 0 ? 1 : 0;
}

await main();
