// The storages that media are tested on: the embedded one and, where the environment names one, an S3 storage:
// PARLEY_TEST_S3_ENDPOINT, PARLEY_TEST_S3_ACCESS_KEY and PARLEY_TEST_S3_SECRET_KEY.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { runParley } from './server.mjs';

// Each with settings(), those of a server whose storage is its own.
export const STORAGES = [{ name: 'the embedded storage', settings: async () => ({}) }];
if (process.env.PARLEY_TEST_S3_ENDPOINT) STORAGES.push({ name: 'S3', settings: withOwnBucket });

async function withOwnBucket() {
  const settings = { PARLEY_S3_BUCKET: `parley-${randomBytes(6).toString('hex')}` };
  for (const name of ['ENDPOINT', 'ACCESS_KEY', 'SECRET_KEY']) settings[`PARLEY_S3_${name}`] = process.env[`PARLEY_TEST_S3_${name}`];
  const { code, stdout, stderr } = await runParley(['media', 'setup'], { env: settings });
  assert.equal(code, 0, `${stdout}${stderr}`);
  return settings;
}
