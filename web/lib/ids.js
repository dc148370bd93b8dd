// Ids are decimal strings of 64-bit numbers: they are compared as numbers, never as strings.
export function compareIds(one, other) {
  if (one.length !== other.length) return one.length - other.length;
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

export function laterId(one, other) {
  if (!one || !other) return one ?? other ?? null;
  return compareIds(one, other) >= 0 ? one : other;
}

// A fresh key for Idempotency-Key and client_key. `crypto.randomUUID` is only there on secure pages, this everywhere.
export function freshKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
