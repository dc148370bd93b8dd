// Runs the hub of the shared stream for all tabs of this browser. It lives as long as one of them.
import { StreamHub } from './lib/stream-hub.js';

const hub = new StreamHub();

self.onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data }) => hub.receive(port, data, (message) => port.postMessage(message));
};
