// Tells listeners that a topic changed: once for all changes of one task, after them, so that a burst of events is drawn once.
export class Emitter {
  #listeners = new Map();
  #changed = new Set();

  // Answers a function that ends it.
  on(topic, listener) {
    if (!this.#listeners.has(topic)) this.#listeners.set(topic, new Set());
    this.#listeners.get(topic).add(listener);
    return () => this.#remove(topic, listener);
  }

  changed(topic) {
    if (this.#changed.size === 0) queueMicrotask(() => this.#tell());
    this.#changed.add(topic);
  }

  #remove(topic, listener) {
    const listeners = this.#listeners.get(topic);
    listeners?.delete(listener);
    if (listeners?.size === 0) this.#listeners.delete(topic);
  }

  #tell() {
    const topics = [...this.#changed];
    this.#changed.clear();
    for (const topic of topics) for (const listener of [...(this.#listeners.get(topic) ?? [])]) listener();
  }
}
