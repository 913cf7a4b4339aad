/** What a primary and its workers say to each other, over the channel that node:cluster gives them. */
import type { Readiness } from '../../web/readiness.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
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
  /** Take no more, finish what is held, end. */
  | { readonly type: 'drain' };

export type ToPrimary =
  /** It takes clients. */
  | { readonly type: 'started'; readonly mqtt: Address }
  | { readonly type: 'answer'; readonly question: Question; readonly answer: Answers[Question] };
