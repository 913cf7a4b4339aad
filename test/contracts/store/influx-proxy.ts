import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';

export interface Scripted {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

/**
 * What to do with a write request: answer it here, let the real server have it, or let the server have it and then cut
 * the connection, so that its answer is lost.
 */
export type Decision = Scripted | 'forward' | 'lose the answer';
/** May take its time: the request is held meanwhile, also when its client has given up. */
export type Decide = (lines: readonly string[]) => Decision | Promise<Decision>;

/** Stands between a store and the real InfluxDB. Only writes are decided upon; all else is forwarded. */
export class InfluxProxy {
  decide: Decide = () => 'forward';
  /** Lines of each write request, in the order in which they came. */
  readonly writes: (readonly string[])[] = [];
  /** Whether each write request was compressed. */
  readonly compressed: boolean[] = [];
  readonly #upstream: string;
  readonly #server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);

    let decision: Decision = 'forward';
    if (request.url?.startsWith('/api/v2/write')) {
      const isCompressed = request.headers['content-encoding'] === 'gzip';
      const lines = (isCompressed ? gunzipSync(body) : body).toString().split('\n');
      this.compressed.push(isCompressed);
      this.writes.push(lines);
      decision = await this.decide(lines);
    }
    if (typeof decision === 'object') {
      response.writeHead(decision.status, decision.headers).end(decision.body);
      return;
    }
    const headers = new Headers();
    for (const name of ['authorization', 'content-encoding']) {
      const value = request.headers[name];
      if (typeof value === 'string') headers.set(name, value);
    }
    const answer = await fetch(`${this.#upstream}${request.url}`, {
      method: request.method ?? 'GET',
      headers,
      ...(body.length > 0 && { body: new Uint8Array(body) }),
    }).catch(() => null);
    const answerBody = new Uint8Array((await answer?.arrayBuffer()) ?? []);
    if (answer === null || decision === 'lose the answer') {
      request.socket.destroy();
      return;
    }
    const type = answer.headers.get('content-type');
    response.writeHead(answer.status, type === null ? {} : { 'content-type': type }).end(answerBody);
  });

  constructor(upstream: string) {
    this.#upstream = upstream;
  }

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Forgets what it has seen and decided. */
  reset(): void {
    this.decide = () => 'forward';
    this.writes.length = 0;
    this.compressed.length = 0;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
