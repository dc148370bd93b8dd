// Records a voice message, where the browser can and the user allows it.
const TYPES = ['audio/webm;codecs=opus', 'audio/ogg;codecs=opus', 'audio/mp4'];
const ENDINGS = { 'audio/webm': 'webm', 'audio/ogg': 'ogg', 'audio/mp4': 'm4a' };

export function canRecord() {
  return Boolean(globalThis.MediaRecorder && navigator.mediaDevices?.getUserMedia);
}

export class Recorder {
  #media = null;
  #recorder = null;
  #pieces = [];
  started_ms = 0;

  async start() {
    this.#media = await navigator.mediaDevices.getUserMedia({ audio: true });
    const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    this.#recorder = new MediaRecorder(this.#media, mimeType ? { mimeType } : undefined);
    this.#recorder.ondataavailable = ({ data }) => { if (data.size > 0) this.#pieces.push(data); };
    this.#recorder.start(1000);
    this.started_ms = Date.now();
  }

  // Answers the recording, { file, duration_ms }.
  finish() {
    const duration_ms = Math.max(1, Date.now() - this.started_ms);
    return new Promise((resolve) => {
      this.#recorder.onstop = () => {
        this.#release();
        const type = this.#recorder.mimeType.split(';')[0];
        const name = `voice-${new Date().toISOString().slice(0, 19).replace(/[:T]/g, '-')}.${ENDINGS[type] ?? 'bin'}`;
        resolve({ file: new File(this.#pieces, name, { type }), duration_ms });
      };
      this.#recorder.stop();
    });
  }

  cancel() {
    if (this.#recorder?.state === 'recording') this.#recorder.stop();
    this.#release();
  }

  #release() {
    this.#media?.getTracks().forEach((track) => track.stop());
  }
}
