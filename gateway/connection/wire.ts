/** What a client is read from and written to: a socket, plain or TLS, or the stream of a WebSocket. */
import type { Duplex } from 'node:stream';

export interface Wire extends Duplex {
  /** So far. `bytesWritten` counts also what still waits to be written. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Ends it behind what was already written. */
  destroySoon(): void;
}

/** A client that may send its CONNECT now. */
export interface Arrival {
  readonly wire: Wire;
  readonly address: string;
  /** When it was let in: a TLS handshake counts as time to CONNECT. */
  readonly sinceMs: number;
  /** The common name of its certificate, which is of our authority; `null`: it showed none. */
  readonly certificate: string | null;
}
