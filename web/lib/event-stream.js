// Reads a `text/event-stream` from the body of a fetch. An EventSource would hide two things that are needed here: the frames of only `id:`, by which
// a quiet stream shows that it lives, and the status of a refusal.

// Yields { event, id, data, retry } for each frame; what a frame does not have is null.
export async function* readFrames(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  let frame = emptyFrame();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split('\n');
      rest = lines.pop();
      for (const line of lines) {
        if (addLine(frame, line.replace(/\r$/, ''))) continue;
        yield frame;
        frame = emptyFrame();
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function emptyFrame() {
  return { event: null, id: null, data: null, retry: null };
}

// Adds a line to the frame; false when the line ends it.
function addLine(frame, line) {
  if (line === '') return false;
  const colon = line.indexOf(':');
  if (colon === 0) return true;
  const name = colon < 0 ? line : line.slice(0, colon);
  const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
  if (name === 'data') frame.data = frame.data === null ? value : `${frame.data}\n${value}`;
  else if (name === 'retry') frame.retry = Number(value);
  else if (name in frame) frame[name] = value;
  return true;
}
