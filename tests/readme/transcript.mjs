// What documents show, run: scripts whose lines `# → …` are what they print, in a folder of their own; … stands for anything within a line.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';

const DEADLINE_MS = 60_000;
const EXPECTED = /^# →(?: (.*))?$/;

// What the user's own settings are must not matter.
export function plainEnvironment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PARLEY_')));
}

// The pattern of one expected line: … is anything but a line's end.
function patternOf(expected) {
  const literal = expected.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${literal.join('.*')}$`);
}

// Runs the script in a process group of its own, of which nothing outlives it.
function runScript(script, cwd) {
  const shell = spawn('bash', ['-c', script], { cwd, env: plainEnvironment(), detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) {
    shell[name].setEncoding('utf8');
    shell[name].on('data', (text) => (output[name] += text));
  }
  const endGroup = () => {
    try {
      process.kill(-shell.pid, 'SIGKILL');
    } catch {
      // nothing of it is left
    }
  };
  const timer = setTimeout(endGroup, DEADLINE_MS);
  shell.once('exit', () => {
    clearTimeout(timer);
    endGroup();
  });
  return new Promise((resolve) => shell.once('close', (code, signal) => resolve({ ...output, code, signal })));
}

// Runs the script in the folder, and compares what it prints. `context()` is shown when it is something else.
export async function checkTranscript(script, folder, { name, context = () => '' }) {
  const { stdout, stderr, code, signal } = await runScript(script, folder);
  const shown = `\n--- stdout\n${stdout}\n--- stderr\n${stderr}\n--- log\n${context()}`;

  assert.deepEqual({ code, signal }, { code: 0, signal: null }, `the transcript ended early${shown}`);
  const expected = script.split('\n').flatMap((line) => EXPECTED.exec(line)?.slice(1, 2).map((text) => text ?? '') ?? []);
  const printed = stdout.split('\n').slice(0, -1);
  assert.ok(expected.length > 0, 'the transcript says nothing about what it prints');
  expected.forEach((line, index) => {
    assert.match(printed[index] ?? '(nothing)', patternOf(line), `line ${index + 1} of what it prints${shown}`);
  });
  assert.equal(printed.length, expected.length, `it prints more than ${name} says${shown}`);
}
