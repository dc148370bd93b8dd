// The history chain, computed as the contract says.

import { createHash } from 'node:crypto';

export const FIRST_CHAIN = '0'.repeat(32);

const sha256 = (...parts) => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest().subarray(0, 16).toString('hex');
};

function bigEndian64(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

/** 32 hex digits of (salt: 32 hex digits, text). */
export function bodyHash(salt, text) {
  return sha256(Buffer.from(salt, 'hex'), Buffer.from(text, 'utf8'));
}

export function nextChain(previous, seq, sender, body) {
  return sha256(Buffer.from(previous, 'hex'), bigEndian64(seq), bigEndian64(sender), Buffer.from(body, 'hex'));
}
