// Presigned URLs, byte for byte against those of the AWS SDK for the same random input.
//
// Both sides are asked as their users ask them: the SDK by getSignedUrl() of a whole S3Client, the product by its settings and
// storage_presign_put(), _part() and _get() (presign_tool.c). What the SDK would do differently by default is said here:
//
// - It adds an argument x-id with the operation's name, which means nothing to storages: a middleware takes it away before signing.
// - It asks for checksums of its own (x-amz-checksum-…): WHEN_REQUIRED leaves them out.
// - It moves headers x-amz-… into the query: unhoistableHeaders keeps x-amz-acl a header that the client has to send.
// - It does not sign content-type, so that any may be sent: signableHeaders has it signed where it counts. (Parts have no type of their own,
//   although the SDK would send one.)
//
// usage: node --test presign.test.mjs ; PARLEY_TEST_SEED repeats a run, PARLEY_TEST_CASES says how many
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { GetObjectCommand, PutObjectCommand, S3Client, UploadPartCommand } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { Random } from '../verify/random.mjs';

const TOOL = process.env.PARLEY_PRESIGN ?? new URL('../../build/tools/presign', import.meta.url).pathname;
const SEED = Number(process.env.PARLEY_TEST_SEED ?? Math.floor(Math.random() * 2 ** 32));
const CASES = Number(process.env.PARLEY_TEST_CASES ?? 1000);

const EARLIEST_MS = Date.UTC(2013, 4, 24);
const LATEST_MS = Date.UTC(2099, 11, 31);

// ---- Random input ----

const CHARACTERS = [
  ...'abcXYZ0189', ...'-._~', ...'+&=%?#\'()*!@:;,/', ...' "<>[]{}|\\^`$', '\t', '\n', '\x7f',
  'ä', 'ß', '€', '한', '語', 'א', '😀', '👩‍👩‍👧', 'e\u0301', '\u202e', '\ufeff', '%41', '%2F', '//', '/./', '/../', '+ ',
];
const REGIONS = ['us-east-1', 'us-west-2', 'eu-central-1', 'ap-southeast-2', 'cn-north-1', 'us-gov-west-1', 'garage', 'auto', 'r'];
const TYPES = [
  'image/png', 'image/svg+xml', 'application/octet-stream', 'text/plain; charset=utf-8', 'text/plain;charset="utf-8"', 'text/html;  a=b   c',
  'application/vnd.openxmlformats-officedocument.wordprocessingml.document', "x-!#$%&'*+/-.^_`|~",
];
const ORIGINS = [
  'https://s3.amazonaws.com', 'https://s3.eu-central-1.amazonaws.com', 'https://storage.example.org', 'http://storage.example.org',
  'https://storage.example.org:8443', 'https://storage.example.org:443', 'http://storage.example.org:80', 'https://storage.example.org:80',
  'http://storage.example.org:443', 'https://Storage.Example.ORG', 'http://localhost:7480',
];
const PRINTABLE = Array.from({ length: 94 }, (_, index) => String.fromCharCode(0x21 + index));
const TOKEN_CHARACTERS = [...'ABCabc012+/='];

function textOf(random, characters, low, high) {
  return Array.from({ length: random.between(low, high) }, () => random.pick(characters)).join('');
}

function randomSettings(random) {
  const settings = {
    PARLEY_S3_ENDPOINT: random.pick(ORIGINS),
    PARLEY_S3_REGION: random.pick(REGIONS),
    PARLEY_S3_BUCKET: random.pick(['parley', 'a-bucket', 'b00', 'bucket-0123456789']),
    PARLEY_S3_STYLE: random.pick(['path', 'virtual']),
    PARLEY_S3_ACCESS_KEY: textOf(random, [...'ABCDEFGHIJ0123456789'], 3, 40),
    PARLEY_S3_SECRET_KEY: textOf(random, PRINTABLE, 1, 80),
    PARLEY_S3_ACL: random.pick(['private', 'none']),
  };
  if (random.chance(0.3)) settings.PARLEY_S3_PUBLIC_ENDPOINT = random.pick(ORIGINS);
  if (random.chance(0.4)) settings.PARLEY_S3_SESSION_TOKEN = textOf(random, TOKEN_CHARACTERS, 1, 400);
  return settings;
}

function randomUpload(random, number) {
  const operation = random.pick(['put', 'part']);
  return {
    operation,
    size: random.pick([0, 1, random.between(0, 1 << 30), 5 * 2 ** 30]),
    md5: random.chance(0.7) ? createHash('md5').update(`${number}`).digest('hex') : undefined,
    ...(operation === 'put'
      ? { content_type: random.pick(TYPES) }
      : { number: random.between(1, 10000), upload_id: textOf(random, [...TOKEN_CHARACTERS, ...'~.-_'], 1, 200) }),
  };
}

function randomDownload(random) {
  const name = textOf(random, CHARACTERS, 1, 40);
  const kind = random.pick(['inline', 'attachment']);
  return {
    operation: 'get',
    content_type: random.pick(TYPES),
    disposition: `${kind}; filename="${name.replace(/[^ -~]|["\\]/g, '_')}"; filename*=UTF-8''${encodeURIComponent(name)}`,
  };
}

function randomCase(random, number) {
  const settings = randomSettings(random);
  const expires_s = random.pick([1, 60, 600, 3600, 604800, random.between(1, 604800)]);
  settings.PARLEY_MEDIA_UPLOAD_TTL = settings.PARLEY_MEDIA_DOWNLOAD_TTL = `${expires_s}s`;
  return {
    settings,
    expires_s,
    time_ms: random.between(EARLIEST_MS, LATEST_MS),
    key: textOf(random, CHARACTERS, 1, 60),
    ...(random.chance(0.3) ? randomDownload(random) : randomUpload(random, number)),
  };
}

// ---- Both sides ----

function presignByProduct(cases) {
  const input = cases.map((one) => `${JSON.stringify(one)}\n`).join('');
  const { stdout, stderr, status, error } = spawnSync(TOOL, { input, maxBuffer: 2 ** 30, encoding: 'utf8' });
  assert.ifError(error);
  assert.equal(status, 0, stderr);
  return stdout.trimEnd().split('\n').map((line) => JSON.parse(line));
}

const leaveOutName = (next) => (args) => {
  delete args.request.query['x-id'];
  return next(args);
};

function clientFor(settings) {
  const client = new S3Client({
    endpoint: settings.PARLEY_S3_PUBLIC_ENDPOINT ?? settings.PARLEY_S3_ENDPOINT,
    region: settings.PARLEY_S3_REGION,
    forcePathStyle: settings.PARLEY_S3_STYLE === 'path',
    credentials: {
      accessKeyId: settings.PARLEY_S3_ACCESS_KEY,
      secretAccessKey: settings.PARLEY_S3_SECRET_KEY,
      sessionToken: settings.PARLEY_S3_SESSION_TOKEN,
    },
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  client.middlewareStack.add(leaveOutName, { step: 'build' });
  return client;
}

function base64Of(hex) {
  return hex && Buffer.from(hex, 'hex').toString('base64');
}

function commandFor(one) {
  const object = { Bucket: one.settings.PARLEY_S3_BUCKET, Key: one.key };
  const body = { ContentLength: one.size, ContentMD5: base64Of(one.md5) };
  switch (one.operation) {
    case 'put': {
      const acl = one.settings.PARLEY_S3_ACL === 'private' ? { ACL: 'private' } : {};
      return new PutObjectCommand({ ...object, ...body, ...acl, ContentType: one.content_type });
    }
    case 'part':
      return new UploadPartCommand({ ...object, ...body, UploadId: one.upload_id, PartNumber: one.number });
    case 'get':
      return new GetObjectCommand({ ...object, ResponseContentType: one.content_type, ResponseContentDisposition: one.disposition });
  }
}

async function presignBySdk(one) {
  const client = clientFor(one.settings);
  try {
    return await getSignedUrl(client, commandFor(one), {
      expiresIn: one.expires_s,
      signingDate: new Date(one.time_ms),
      unhoistableHeaders: new Set(['x-amz-acl']),
      signableHeaders: new Set(one.operation === 'put' ? ['content-type'] : []),
    });
  } finally {
    client.destroy();
  }
}

// What a client has to send so that the signature fits.
function headersOf(one) {
  return {
    ...(one.operation === 'put' && { 'content-type': one.content_type }),
    ...(one.md5 && { 'content-md5': base64Of(one.md5) }),
    ...(one.operation === 'put' && one.settings.PARLEY_S3_ACL === 'private' && { 'x-amz-acl': 'private' }),
  };
}

async function compare(one, answer) {
  const expected = {
    method: one.operation === 'get' ? 'GET' : 'PUT',
    url: await presignBySdk(one),
    headers: headersOf(one),
    expires_ms: Math.floor(one.time_ms / 1000) * 1000 + one.expires_s * 1000,
  };
  assert.deepEqual(answer, expected, `seed ${SEED}, ${JSON.stringify(one)}`);
}

// ---- Tests ----

test(`${CASES} random URLs are those of the AWS SDK (PARLEY_TEST_SEED=${SEED})`, async () => {
  const random = new Random(SEED, 'presign');
  const cases = Array.from({ length: CASES }, (_, number) => randomCase(random, number));
  const answers = presignByProduct(cases);
  assert.equal(answers.length, cases.length);
  for (const [number, one] of cases.entries()) await compare(one, answers[number]);
});

const PLAIN = {
  settings: {
    PARLEY_S3_ENDPOINT: 'https://storage.example.org',
    PARLEY_S3_ACCESS_KEY: 'key',
    PARLEY_S3_SECRET_KEY: 'secret',
    PARLEY_S3_REGION: 'us-east-1',
    PARLEY_S3_BUCKET: 'parley',
    PARLEY_S3_STYLE: 'path',
    PARLEY_S3_ACL: 'private',
    PARLEY_MEDIA_UPLOAD_TTL: '1h',
  },
  expires_s: 3600,
  time_ms: EARLIEST_MS,
  operation: 'put',
  key: 'key',
  content_type: 'image/png',
  size: 7,
};

test('every single character of a key', async () => {
  const codes = [...Array(0x250).keys(), 0x2028, 0xd7ff, 0xe000, 0xfffd, 0xffff, 0x10000, 0x1f600, 0x10ffff].slice(1);
  const cases = codes.map((code) => ({ ...PLAIN, key: `a${String.fromCodePoint(code)}b` }));
  const answers = presignByProduct(cases);
  for (const [number, one] of cases.entries()) await compare(one, answers[number]);
});

test('keys are never normalised', async () => {
  const keys = ['.', '..', '/', '//', '/a', 'a/', 'a//b', './a', '../a', 'a/./b', 'a/../b', 'a/..', '%2e%2e/a'];
  const settings = ['path', 'virtual'].map((style) => ({ ...PLAIN.settings, PARLEY_S3_STYLE: style }));
  const cases = keys.flatMap((key) => settings.map((these) => ({ ...PLAIN, key, settings: these })));
  const answers = presignByProduct(cases);
  for (const [number, one] of cases.entries()) await compare(one, answers[number]);
});

test('an upload signs all that the storage has to hold the client to', () => {
  const [{ url }] = presignByProduct([{ ...PLAIN, md5: '00112233445566778899aabbccddeeff' }]);
  const signed = new URL(url).searchParams.get('X-Amz-SignedHeaders');
  assert.equal(signed, 'content-length;content-md5;content-type;host;x-amz-acl');
});
