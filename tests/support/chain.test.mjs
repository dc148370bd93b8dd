import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { CHAIN_START, bodyHash, checkChain, nextChain } from './chain.mjs';

const SALT = '000102030405060708090a0b0c0d0e0f';

// The same hash by another program: SHA-256 of bytes given in hex, its first half in hex.
function sha256Half(hex) {
  const output = execFileSync('sha256sum', { input: Buffer.from(hex, 'hex') }).toString();
  return output.slice(0, 32);
}

test('the body hash covers the salt and the text', () => {
  const text = 'grüß dich';
  assert.equal(bodyHash(SALT, text), sha256Half(SALT + Buffer.from(text).toString('hex')));
});

test('the body hash covers the attachments in their order', () => {
  const one = { id: '7', md5: '0'.repeat(32), content_type: 'image/png' };
  const two = { id: '8', md5: '1'.repeat(32) };
  const bytes = SALT + Buffer.from(`\0${one.id}:${one.md5}\0${two.id}:${two.md5}`).toString('hex');
  assert.equal(bodyHash(SALT, '', [one, two]), sha256Half(bytes));
  assert.notEqual(bodyHash(SALT, '', [two, one]), sha256Half(bytes));
});

test('the chain covers the one before, the seq, the sender and the body hash', () => {
  const hash = bodyHash(SALT, 'hello');
  const bytes = CHAIN_START + '0000000000000001' + '0000000000000102' + hash;
  assert.equal(nextChain(CHAIN_START, 1, '258', hash), sha256Half(bytes));
});

test('ids beyond 2^53 keep every bit', () => {
  const hash = bodyHash(SALT, 'x');
  const bytes = CHAIN_START + '0000000000000002' + '7fffffffffffffff' + hash;
  assert.equal(nextChain(CHAIN_START, 2, '9223372036854775807', hash), sha256Half(bytes));
});

test('checkChain follows messages and notices a changed text, sender or order', () => {
  const messages = chainOf(['one', 'two', 'three']);
  checkChain(messages);
  checkChain(messages.slice(1), messages[0].chain);
  assert.throws(() => checkChain([messages[0], { ...messages[1], text: 'TWO' }]));
  assert.throws(() => checkChain([{ ...messages[0], sender_id: '8' }]));
  assert.throws(() => checkChain([messages[1], messages[0]]));
});

test('checkChain takes a body hash where the text is gone', () => {
  const [message] = chainOf(['secret']);
  const { text, salt, ...rest } = message;
  checkChain([{ ...rest, deleted: true, body_hash: bodyHash(salt, text) }]);
});

function chainOf(texts) {
  let chain = CHAIN_START;
  return texts.map((text, index) => {
    const seq = index + 1;
    chain = nextChain(chain, seq, '7', bodyHash(SALT, text));
    return { seq, sender_id: '7', salt: SALT, text, chain };
  });
}
