// A user's devices: the list, revoking, the cap.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Client, expectProblem, expectStatus, logIn, register, registerMany } from '../support/client.mjs';
import { openReadyFor } from '../support/events.mjs';
import { startServer, startServerFor } from '../support/server.mjs';
import { TIME, checkDevice, checkList } from '../support/shapes.mjs';

const server = await startServer();
after(() => server.dispose());

async function listDevices(account) {
  const list = expectStatus(await account.get('/v1/devices'), 200);
  checkList(list);
  return list.items;
}

test('the list shows every own device and which one is asking', async () => {
  const phone = await register(server, 'alice', { device_name: 'Phone' });
  const laptop = await logIn(phone, { device_name: 'Laptop' });
  for (const current of [phone, laptop]) {
    const devices = await listDevices(current);
    assert.deepEqual(devices.map((device) => device.name).sort(), ['Laptop', 'Phone']);
    assert.deepEqual(devices.filter((device) => device.current).map((device) => device.id), [current.device.id]);
    for (const device of devices) {
      checkDevice(device, ['last_seen_at', 'current']);
      assert.match(device.last_seen_at, TIME);
    }
  }
});

test('the list does not show the devices of others', async () => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  assert.deepEqual((await listDevices(bob)).map((device) => device.id), [bob.device.id]);
  assert.deepEqual((await listDevices(alice)).map((device) => device.id), [alice.device.id]);
});

test('a revoked device is out at once; the others are told', async (t) => {
  const phone = await register(server, 'alice');
  const laptop = await logIn(phone);
  const stream = await openReadyFor(t, server, { token: phone.token });
  expectStatus(await phone.delete(`/v1/devices/${laptop.device.id}`), 204);
  expectProblem(await laptop.get('/v1/users/me'), 401, 'unauthorized');
  const event = await stream.next('device.removed');
  assert.equal(event.device.id, laptop.device.id);
  assert.equal(typeof event.reason, 'string');
  assert.deepEqual((await listDevices(phone)).map((device) => device.id), [phone.device.id]);
  expectProblem(await phone.delete(`/v1/devices/${laptop.device.id}`), 404, 'not_found');
});

test('a device may revoke itself', async () => {
  const phone = await register(server, 'alice');
  expectStatus(await phone.delete(`/v1/devices/${phone.device.id}`), 204);
  expectProblem(await phone.get('/v1/users/me'), 401, 'unauthorized');
  expectStatus(await (await logIn(phone)).get('/v1/users/me'), 200);
});

test("another user's device looks like one that does not exist, and stays", async () => {
  const [alice, bob] = await registerMany(server, 'alice', 'bob');
  const theirs = await bob.delete(`/v1/devices/${alice.device.id}`);
  const nobodys = await bob.delete('/v1/devices/9223372036854775807');
  const theirProblem = expectProblem(theirs, 404, 'not_found');
  const nobodysProblem = expectProblem(nobodys, 404, 'not_found');
  assert.deepEqual({ ...theirProblem, request_id: '' }, { ...nobodysProblem, request_id: '' });
  expectStatus(await alice.get('/v1/users/me'), 200);
});

test('logging in is an event on the other devices', async (t) => {
  const phone = await register(server, 'alice');
  const stream = await openReadyFor(t, server, { token: phone.token });
  const laptop = await logIn(phone, { device_name: 'Laptop' });
  const event = await stream.next('device.added');
  assert.deepEqual(event.device, laptop.device);
});

test('device ids are all different', async () => {
  const phone = await register(server, 'alice');
  const others = await Promise.all(Array.from({ length: 6 }, () => logIn(phone)));
  assert.equal(new Set([phone, ...others].map((account) => account.device.id)).size, 7);
});

test('beyond the cap the device seen longest ago goes, and learns why', async (t) => {
  const capped = await startServerFor(t, { env: { PARLEY_DEVICES_PER_USER: '3' } });
  const oldest = await register(capped, 'alice', { device_name: 'oldest' });
  const second = await logIn(oldest, { device_name: 'second' });
  const third = await logIn(oldest, { device_name: 'third' });
  const oldestStream = await openReadyFor(t, capped, { token: oldest.token });
  const thirdStream = await openReadyFor(t, capped, { token: third.token });
  const fourth = await logIn(oldest, { device_name: 'fourth' });

  const names = (await listDevices(fourth)).map((device) => device.name).sort();
  assert.equal(names.length, 3);
  assert.ok(names.includes('fourth'));
  const events = await thirdStream.until((event) => event.type === 'device.removed');
  const removed = events.at(-1);
  assert.equal(removed.reason, 'replaced');
  const gone = [oldest, second, third].find((account) => account.device.id === removed.device.id);
  assert.ok(gone);
  expectProblem(await gone.get('/v1/users/me'), 401, 'unauthorized');
  if (gone === oldest) await oldestStream.closing('replaced');
  for (const kept of [oldest, second, third]) {
    if (kept !== gone) expectStatus(await kept.get('/v1/users/me'), 200);
  }
});

test('a token that was never given out is refused, however it looks', async () => {
  const tokens = ['A'.repeat(43), 'A'.repeat(42), 'A'.repeat(44), 'x', '=', `${'A'.repeat(42)}!`, 'A'.repeat(5000)];
  for (const token of tokens) {
    expectProblem(await new Client(server, token).get('/v1/users/me'), 401, 'unauthorized');
  }
});

test('a token with one character changed is refused', async () => {
  const alice = await register(server, 'alice');
  for (const index of [0, 21, 41]) {
    const other = alice.token[index] === 'A' ? 'B' : 'A';
    const changed = alice.token.slice(0, index) + other + alice.token.slice(index + 1);
    expectProblem(await alice.get('/v1/users/me', { token: changed }), 401, 'unauthorized');
  }
});
