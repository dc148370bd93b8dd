// The history chain, computed again from what a client can see.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';

const HASH_BYTES = 16;
export const CHAIN_START = '00'.repeat(HASH_BYTES);

// The hash of a message's original text and attachments, salted; 32 hex digits.
export function bodyHash(saltHex, text, attachments = []) {
  const links = attachments.map(({ id, md5 }) => Buffer.from(`\0${id}:${md5}`));
  return shortHash(Buffer.from(saltHex, 'hex'), Buffer.from(text, 'utf8'), ...links);
}

// The chain after a message; `previous` and `hash` are 32 hex digits, `senderId` a decimal string.
export function nextChain(previous, seq, senderId, hash) {
  return shortHash(Buffer.from(previous, 'hex'), bigEndian(seq), bigEndian(senderId), Buffer.from(hash, 'hex'));
}

// Checks consecutive messages against each other; `previous` is the chain before the first.
export function checkChain(messages, previous = CHAIN_START) {
  let chain = previous;
  for (const message of messages) {
    chain = nextChain(chain, message.seq, message.sender_id, hashOf(message));
    assert.equal(message.chain, chain, `chain of seq ${message.seq}`);
  }
  return chain;
}

// Either the hash itself, or what it is made of.
function hashOf(message) {
  return message.body_hash ?? bodyHash(message.salt, message.text, message.attachments);
}

function shortHash(...parts) {
  return createHash('sha256').update(Buffer.concat(parts)).digest('hex').slice(0, 2 * HASH_BYTES);
}

function bigEndian(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}
