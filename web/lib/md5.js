// MD5 by RFC 1321, fed in pieces: browsers do not offer it, and storages ask for it to know that what arrives is what was sent.
const ROUNDS = [
  { shifts: [7, 12, 17, 22], first: 0, stride: 1 },
  { shifts: [5, 9, 14, 20], first: 1, stride: 5 },
  { shifts: [4, 11, 16, 23], first: 5, stride: 3 },
  { shifts: [6, 10, 15, 21], first: 0, stride: 7 },
];
const SHIFTS = Uint8Array.from({ length: 64 }, (_, step) => ROUNDS[step >> 4].shifts[step & 3]);
const WORDS = Uint8Array.from({ length: 64 }, (_, step) => (ROUNDS[step >> 4].first + ROUNDS[step >> 4].stride * step) & 15);
const SINES = Int32Array.from({ length: 64 }, (_, index) => Math.floor(Math.abs(Math.sin(index + 1)) * 2 ** 32) | 0);
const BLOCK = 64;

export class Md5 {
  #state = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476);
  #words = new Int32Array(16);
  #rest = new Uint8Array(BLOCK);
  #rest_bytes = 0;
  #total_bytes = 0;

  update(bytes) {
    this.#total_bytes += bytes.length;
    let at = 0;
    if (this.#rest_bytes > 0) {
      at = Math.min(BLOCK - this.#rest_bytes, bytes.length);
      this.#rest.set(bytes.subarray(0, at), this.#rest_bytes);
      this.#rest_bytes += at;
      if (this.#rest_bytes < BLOCK) return;
      this.#mix(new DataView(this.#rest.buffer), 0);
      this.#rest_bytes = 0;
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (; at + BLOCK <= bytes.length; at += BLOCK) this.#mix(view, at);
    this.#rest.set(bytes.subarray(at));
    this.#rest_bytes = bytes.length - at;
  }

  // In hexadecimal; nothing may be added afterwards.
  finish() {
    const total_bytes = this.#total_bytes;
    const padding = new Uint8Array(((this.#rest_bytes < 56 ? 56 : 120) - this.#rest_bytes) + 8);
    padding[0] = 0x80;
    const view = new DataView(padding.buffer);
    view.setUint32(padding.length - 8, (total_bytes * 8) >>> 0, true);
    view.setUint32(padding.length - 4, Math.floor(total_bytes / 2 ** 29), true);
    this.update(padding);
    return Array.from(new Uint8Array(this.#state.buffer), (byte) => byte.toString(16).padStart(2, '0')).join('');
  }

  // Assigning by a pattern would read better, and take three times as long: it makes an array for each of the 64 steps.
  #mix(view, at) {
    const state = this.#state;
    const words = this.#words;
    for (let word = 0; word < 16; word += 1) words[word] = view.getInt32(at + word * 4, true);
    let a = state[0];
    let b = state[1];
    let c = state[2];
    let d = state[3];
    for (let step = 0; step < 64; step += 1) {
      const sum = (a + mixOf(step, b, c, d) + SINES[step] + words[WORDS[step]]) | 0;
      const shift = SHIFTS[step];
      a = d;
      d = c;
      c = b;
      b = (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
  }
}

function mixOf(step, b, c, d) {
  if (step < 16) return (b & c) | (~b & d);
  if (step < 32) return (d & b) | (~d & c);
  return step < 48 ? b ^ c ^ d : c ^ (b | ~d);
}

const PIECE_BYTES = 1 << 20;

// Of a Blob, a piece at a time, so that the page stays awake.
export async function md5Of(blob) {
  const md5 = new Md5();
  for (let at = 0; at < blob.size; at += PIECE_BYTES) md5.update(new Uint8Array(await blob.slice(at, at + PIECE_BYTES).arrayBuffer()));
  return md5.finish();
}
