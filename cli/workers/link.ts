/** One worker as its primary sees it, from its start to its end. */
import type { Worker } from 'node:cluster';
import type { Address, Answers, Question, ToPrimary, ToWorker } from './messages.ts';

export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

export class WorkerLink {
  /** Where it takes clients; `null` before it does. */
  mqtt: Address | null = null;
  readonly started: Promise<Address>;
  /** However it ended. */
  readonly exited: Promise<Exit>;
  readonly #worker: Worker;
  /** Questions without an answer: one that hangs is not asked again and again. */
  readonly #open = new Map<Question, PromiseWithResolvers<unknown>>();

  constructor(worker: Worker) {
    this.#worker = worker;
    const started = Promise.withResolvers<Address>();
    const exited = Promise.withResolvers<Exit>();
    this.started = started.promise;
    this.exited = exited.promise;
    worker.on('message', (message: ToPrimary) => {
      if (message.type === 'answer') return this.#onAnswer(message.question, message.answer);
      this.mqtt = message.mqtt;
      started.resolve(message.mqtt);
    });
    worker.once('exit', (code: number | null, signal: string | null) => {
      for (const question of this.#open.values()) question.reject(new Error('the worker has ended'));
      exited.resolve({ code, signal });
    });
    // It could not be started.
    worker.once('error', () => exited.resolve({ code: 1, signal: null }));
  }

  /** Rejects when the worker ends first; never when it is silent. */
  ask<Q extends Question>(question: Q): Promise<Answers[Q]> {
    let open = this.#open.get(question);
    if (open === undefined) {
      open = Promise.withResolvers();
      open.promise.catch(() => {});
      this.#open.set(question, open);
      this.#send({ type: 'ask', question });
    }
    return open.promise as Promise<Answers[Q]>;
  }

  /** Asks it to take no more, to finish what it holds, and to end. */
  drain(): void {
    // One that is still loading its program hears no message yet, and holds nothing.
    if (this.mqtt === null) this.#worker.process.kill('SIGTERM');
    else this.#send({ type: 'drain' });
  }

  kill(): void {
    this.#worker.process.kill('SIGKILL');
  }

  #onAnswer(question: Question, answer: unknown): void {
    this.#open.get(question)?.resolve(answer);
    this.#open.delete(question);
  }

  #send(message: ToWorker): void {
    // To one that is ending nothing can be said: `exited` tells.
    this.#worker.send(message, () => {});
  }
}
