// A disk that is full: writes are refused with 503 and are not done, reads work, and all is well again when there is room.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, test } from 'node:test';
import { createGroup, expectProblem, expectStatus, postMessage, register, wholeHistory } from '../support/client.mjs';
import { startServer } from '../support/server.mjs';
import { eventually } from '../support/wait.mjs';

const server = await startServer();
after(() => server.dispose());
const skip = server.database ? "the disk is the database server's" : false;

// No file of the server may grow beyond so many bytes.
function limitFiles(bytes) {
  execFileSync('prlimit', ['--pid', String(server.child.pid), `--fsize=${bytes}:unlimited`]);
}

test('a message that does not fit on the disk is answered with 503 database_unavailable, and is not there', { skip }, async () => {
  const alice = await register(server, 'alice');
  const chat = await createGroup(alice);
  const first = await postMessage(alice, chat, 'there is room');
  limitFiles(0);
  expectProblem(await alice.post(`/v1/chats/${chat.id}/messages`, { text: 'there is none' }), 503, 'database_unavailable');
  assert.deepEqual(await wholeHistory(alice, chat), [first]);

  limitFiles('unlimited');
  const second = await eventually(async () => expectStatus(await alice.post(`/v1/chats/${chat.id}/messages`, { text: 'there is room again' }), 201), 'the next message');
  assert.deepEqual(await wholeHistory(alice, chat), [first, second]);
  assert.equal(second.seq, 2);
});
