// A Ceph gateway of a test's own (ceph.sh), for as long as this process lives.
import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('ceph.sh', import.meta.url));

// Answers env (the settings of a server that uses it, but for the bucket), pause() and resume() of the gateway, whose data stay, and stop().
export async function startCeph() {
  const folder = mkdtempSync(path.join(tmpdir(), 'parley-ceph-'));
  const run = (command) => runScript(command, folder);
  const { endpoint, access_key, secret_key } = await run('start');
  return {
    env: { PARLEY_S3_ENDPOINT: endpoint, PARLEY_S3_ACCESS_KEY: access_key, PARLEY_S3_SECRET_KEY: secret_key },
    pause: () => run('gateway-stop'),
    resume: () => run('gateway-start'),
    async stop() {
      await run('stop');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

// What it prints goes to a file: the daemons keep what they inherit, and a pipe would never end.
async function runScript(command, folder) {
  const output = path.join(folder, 'output');
  const fd = openSync(output, 'w');
  const child = spawn(SCRIPT, [command, path.join(folder, 'cluster')], {
    stdio: ['ignore', fd, fd],
    env: { ...process.env, OWNER: String(process.pid) },
  });
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  closeSync(fd);
  const text = readFileSync(output, 'utf8');
  if (code !== 0) throw new Error(`ceph.sh ${command}: exit status ${code}\n${text}`);
  return Object.fromEntries(text.split('\n').filter((line) => line.includes('=')).map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}
