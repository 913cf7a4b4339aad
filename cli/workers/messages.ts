/** What a primary and its workers say to each other, over the channel that node:cluster gives them. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Readiness } from '../../web/readiness.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Where a worker takes clients: at the same addresses as the others. */
export interface Listening {
  readonly mqtt: Address;
  /** `null`: not over TLS. */
  readonly tls: Address | null;
}

/** A request to the HTTP port of the primary that asks for MQTT over WebSocket. Its socket comes with it. */
export interface Upgrade {
  readonly number: number;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** What came behind the request. */
  readonly head: Buffer;
}

/** What a primary asks, and the answers. */
export interface Answers {
  /** Its event loop turns. */
  readonly alive: true;
  readonly readiness: Readiness;
  /** What `/metrics` would show. */
  readonly metrics: readonly object[];
}

export type Question = keyof Answers;

export type ToWorker =
  | { readonly type: 'ask'; readonly question: Question }
  | ({ readonly type: 'upgrade' } & Upgrade)
  /** The primary has let go of the socket of this upgrade: it may be answered. */
  | { readonly type: 'released'; readonly number: number }
  /** Take no more, finish what is held, end. */
  | { readonly type: 'drain' };

export type ToPrimary =
  /** It takes clients. */
  | ({ readonly type: 'started' } & Listening)
  | { readonly type: 'answer'; readonly question: Question; readonly answer: Answers[Question] };
