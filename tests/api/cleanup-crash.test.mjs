// The cleanup is killed at every place between two of its steps: what it leaves is finished by the next run, and nothing else is ever gone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bucketOf } from '../support/bucket.mjs';
import { NO_CLOCK } from '../support/cleanup.mjs';
import { createGroup, register } from '../support/client.mjs';
import { EXPIRING_SETTINGS, GONE_FILE, GONE_TEXT, KEPT_FILE, checkReadable, checkSwept, fillExpiring, postFile, uploadText } from '../support/expiring.mjs';
import { startServerFor } from '../support/server.mjs';
import { STORAGES } from '../support/storages.mjs';
import { eventually } from '../support/wait.mjs';

const PLACES_MIN = 30; // of a run through the table of sweeps, three of them within the step of objects
const PLACES_MAX = 500;

// On a database that nodes share the lease of a cleanup that was killed holds for a minute, and data is not in a folder that can be saved.
const NO_FOLDER = process.env.PARLEY_TEST_DB ? 'the database is not in the folder' : false;
const skip = NO_CLOCK || NO_FOLDER;

const dieAt = (place) => ({ PARLEY_FAULT: 'die_at_cleanup_step', PARLEY_FAULT_AT: String(place) });

// A stopped server with everything in it, whose data can be had again as it was.
async function startFilled(t) {
  const server = await startServerFor(t, { clock: true, env: EXPIRING_SETTINGS });
  const filled = await fillExpiring(server);
  await server.stop();
  server.saveData('filled');
  const reset = () => {
    server.restoreData('filled');
    assert.ok(server.dataContains(GONE_TEXT) && server.dataContains(GONE_FILE), 'there is something to clean up');
  };
  return { server, filled, reset };
}

test('killed at every step of cleanup --once in turn, the next run finishes', { skip }, async (t) => {
  const { server, filled, reset } = await startFilled(t);
  let place = 1;
  for (; place < PLACES_MAX; place++) {
    reset();
    const { code, signal, stderr } = await server.parley(['cleanup', '--once'], { env: { ...server.env, ...dieAt(place) } });
    if (signal === null) {
      assert.equal(code, 0, stderr);
      break;
    }
    assert.equal(signal, 'SIGKILL', `at place ${place}: ${stderr}`);
    const next = await server.parley(['cleanup', '--once']);
    assert.equal(next.code, 0, `after place ${place}: ${next.stderr}`);
    await checkSwept(server, filled);
  }
  assert.ok(place > PLACES_MIN && place < PLACES_MAX, `the run ended after ${place} places`);
  await checkSwept(server, filled);
  await server.restart();
  await checkReadable(server, filled);
});

test('a server killed in its own cleanup finishes when it is back', { skip }, async (t) => {
  const { server, filled, reset } = await startFilled(t);
  for (let place = 3; place < PLACES_MIN; place += 3) {
    reset();
    await server.restart({ env: { PARLEY_CLEANUP_INTERVAL: '1s', ...dieAt(place) } }).catch(() => {}); // it may end before it says that it listens
    const end = await server.ended();
    assert.equal(end.signal, 'SIGKILL', `at place ${place}: ${server.stderrTail()}`);
    await server.restart({ env: { PARLEY_CLEANUP_INTERVAL: '0', PARLEY_FAULT: 'none' } });
    const { code, stderr } = await server.parley(['cleanup', '--once']);
    assert.equal(code, 0, stderr);
    await checkSwept(server, filled);
    await checkReadable(server, filled);
    await server.stop();
  }
});

// The places from the dooming of media to the listing of uploads. Other storages refuse a clock that was moved by days: here times are seconds.
const STORAGE_PLACES = [5, 6, 7, 8, 9, 10, 11];
const SECONDS = { PARLEY_CLEANUP_INTERVAL: '0', PARLEY_MEDIA_GRACE: '0', PARLEY_MEDIA_UPLOAD_TTL: '4s' };

for (const storage of STORAGES) {
  test(`killed around the deletion of objects in ${storage.name}, the next run finishes`, { skip }, async (t) => {
    const server = await startServerFor(t, { clock: true, env: { ...SECONDS, ...(await storage.settings()) } });
    const bucket = bucketOf(server);
    const alice = await register(server, 'alice');
    const chat = await createGroup(alice);
    for (const [round, place] of STORAGE_PLACES.entries()) {
      await postFile(alice, chat, await uploadText(alice, `${KEPT_FILE} ${place}`));
      await postFile(alice, chat, await uploadText(alice, `${GONE_FILE} ${place}`), { ttl_s: 1, text: GONE_TEXT });
      const urlsEnd = Date.now() + 4500;
      await eventually(() => Date.now() > urlsEnd, 'no URL for an upload works any more');
      await server.stop();
      const { signal, stderr } = await server.parley(['cleanup', '--once'], { env: { ...server.env, ...dieAt(place) } });
      assert.equal(signal, 'SIGKILL', `at place ${place}: ${stderr}`);
      const next = await server.parley(['cleanup', '--once']);
      assert.equal(next.code, 0, `after place ${place}: ${next.stderr}`);
      assert.equal((await bucket.keys()).length, round + 1);
      assert.equal(await bucket.contains(GONE_FILE), false);
      assert.equal(server.dataContains(GONE_TEXT), false);
      await server.restart();
    }
  });
}
