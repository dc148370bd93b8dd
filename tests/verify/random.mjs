// Seeded randomness: every actor has a stream of its own, named by what it is,
// so that one actor's choices do not depend on how far another one came.

function hash(text) {
  let value = 2166136261;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 16777619);
  return value >>> 0;
}

export class Random {
  constructor(seed, name = '') {
    this.seed = seed;
    this.state = hash(`${seed}/${name}`);
  }

  /** A new stream that depends on the seed and the name only. */
  named(name) {
    return new Random(this.seed, name);
  }

  /** In [0, 1). (mulberry32) */
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  chance(probability) {
    return this.next() < probability;
  }

  /** A whole number in [low, high]. */
  between(low, high) {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  pick(list) {
    return list[Math.floor(this.next() * list.length)];
  }

  /** `count` different elements. */
  sample(list, count) {
    const rest = [...list];
    const chosen = [];
    while (chosen.length < count && rest.length > 0) {
      chosen.push(...rest.splice(Math.floor(this.next() * rest.length), 1));
    }
    return chosen;
  }

  /** Exponentially distributed with this mean, at most ten means. */
  waiting(mean) {
    return Math.min(-Math.log(1 - this.next()) * mean, 10 * mean);
  }
}
