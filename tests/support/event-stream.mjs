// A parser of the event-stream format, as the WHATWG HTML standard defines it ("9.2.6 Interpreting an
// event stream"), that also keeps each frame's own bytes, because tests look at those too.
//
// It is stricter than the standard in one point: bytes that are not UTF-8 are an error.

export class EventStreamParser {
  #decoder = new TextDecoder('utf-8', { fatal: true });
  #text = '';
  #frame = newFrame();
  #onFrame;

  // `lastEventId` as an EventSource would have it after the frames so far.
  lastEventId = '';

  constructor(onFrame) {
    this.#onFrame = onFrame;
  }

  push(bytes) {
    this.#text += this.#decoder.decode(bytes, { stream: true });
    this.#takeLines();
  }

  // What arrived since the last whole frame. At the end of a stream a reader throws it away.
  get remainder() {
    return this.#frame.raw + this.#text;
  }

  #takeLines() {
    const lineEnd = /\r\n|\n|\r/g;
    let start = 0;
    for (let found; (found = lineEnd.exec(this.#text)); ) {
      const mayContinue = found[0] === '\r' && lineEnd.lastIndex === this.#text.length;
      if (mayContinue) break;
      this.#takeLine(this.#text.slice(start, found.index), found[0]);
      start = lineEnd.lastIndex;
    }
    this.#text = this.#text.slice(start);
  }

  #takeLine(line, ending) {
    this.#frame.raw += line + ending;
    if (line === '') this.#finishFrame();
    else if (!line.startsWith(':')) this.#takeField(line);
  }

  #takeField(line) {
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    const frame = this.#frame;
    if (name === 'event') frame.event = value;
    if (name === 'data') frame.data = frame.data === undefined ? value : `${frame.data}\n${value}`;
    if (name === 'id' && !value.includes('\0')) frame.id = value;
    if (name === 'retry' && /^\d+$/.test(value)) frame.retry = Number(value);
  }

  #finishFrame() {
    const frame = this.#frame;
    this.#frame = newFrame();
    if (frame.id !== undefined) this.lastEventId = frame.id;
    frame.lastEventId = this.lastEventId;
    this.#onFrame(frame);
  }
}

// `event`, `id`, `data` and `retry` are undefined when the frame had no such line. A frame without
// data dispatches nothing.
function newFrame() {
  return { raw: '', event: undefined, id: undefined, data: undefined, retry: undefined };
}
