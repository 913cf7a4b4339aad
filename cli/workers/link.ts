/** One worker as its primary sees it, from its start to its end. */
import type { Worker } from 'node:cluster';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Answers, Listening, Question, ToPrimary, ToWorker } from './messages.ts';

export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

export class WorkerLink {
  /** Where it takes clients; `null` before it does. */
  listening: Listening | null = null;
  readonly started: Promise<Listening>;
  /** However it ended. */
  readonly exited: Promise<Exit>;
  readonly #worker: Worker;
  /** Questions without an answer: one that hangs is not asked again and again. */
  readonly #open = new Map<Question, PromiseWithResolvers<unknown>>();
  #upgrades = 0;
  /** On their way to the worker: with it they are lost. */
  readonly #handed = new Set<Socket>();

  constructor(worker: Worker) {
    this.#worker = worker;
    const started = Promise.withResolvers<Listening>();
    const exited = Promise.withResolvers<Exit>();
    this.started = started.promise;
    this.exited = exited.promise;
    worker.on('message', (message: ToPrimary) => {
      if (message.type === 'answer') return this.#onAnswer(message.question, message.answer);
      const { mqtt, tls } = message;
      this.listening = { mqtt, tls };
      started.resolve(this.listening);
    });
    worker.once('exit', (code: number | null, signal: string | null) => {
      for (const question of this.#open.values()) question.reject(new Error('the worker has ended'));
      for (const socket of this.#handed) socket.destroy();
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

  /** Gives it a connection that asks for MQTT over WebSocket. */
  upgrade({ socket, url = '', headers }: IncomingMessage, head: Buffer): void {
    socket.on('error', () => {});
    this.#handed.add(socket);
    const number = ++this.#upgrades;
    const message: ToWorker = { type: 'upgrade', number, url, headers, head };
    this.#worker.send(message, socket, (error) => {
      this.#handed.delete(socket);
      if (error !== null) socket.destroy();
    });
    // Node sends nothing more before the worker has the socket and ours is closed. Answered earlier, the client would go
    // on, and we might read what it says.
    this.#send({ type: 'released', number });
  }

  /** Asks it to take no more, to finish what it holds, and to end. */
  drain(): void {
    // One that is still loading its program hears no message yet, and holds nothing.
    if (this.listening === null) this.#worker.process.kill('SIGTERM');
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
