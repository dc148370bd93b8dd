// Runs the shell scripts of this folder that start and stop servers of a test's own.
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

// Answers what `name args...` prints, which goes through a file: the servers keep what they inherit, and a pipe would never end. DIR is the folder, which
// is made; it belongs to one script at a time.
export async function runScript(name, args, { folder, env = {} }) {
  mkdirSync(folder, { recursive: true });
  const output = path.join(folder, 'output');
  const fd = openSync(output, 'w');
  const child = spawn(fileURLToPath(new URL(name, import.meta.url)), args, {
    stdio: ['ignore', fd, fd],
    env: { ...process.env, DIR: folder, ...env },
    detached: true, // Ctrl-C is for who runs it, so that it can still stop what it has started
  });
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  closeSync(fd);
  const text = readFileSync(output, 'utf8');
  if (code !== 0) throw new Error(`${name} ${args[0]}: exit status ${code}\n${text}`);
  return text.trim();
}
