// A balancer of a test's own before several nodes (haproxy.sh).
import { runScript } from './script.mjs';

export class Balancer {
  // `nodes`: [{name, port}], on 127.0.0.1, where the balancer listens on `port`, too.
  constructor({ folder, port, nodes }) {
    this.port = port;
    this.nodes = nodes;
    this.place = { folder, env: { PORT: String(port) } };
  }

  start() {
    return runScript('haproxy.sh', ['start', ...this.nodes.map(({ name, port }) => `${name}=127.0.0.1:${port}`)], this.place);
  }

  stop() {
    return runScript('haproxy.sh', ['stop'], this.place);
  }
}

// Whether the balancer answered by itself, for want of a node that did.
export const isFromBalancer = (headers) => headers['x-served-by'] === 'balancer';
