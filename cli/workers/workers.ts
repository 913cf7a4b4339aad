/**
 * The workers of `sluice gateway`: processes that share the ports and nothing else but the bus. Started, started
 * again when they end by themselves, asked how they are, drained together.
 */
import cluster from 'node:cluster';
import type { IncomingMessage } from 'node:http';
import type { Clock } from '../../core/clock.ts';
import { within } from '../../core/deadline.ts';
import { SluiceError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { answer } from '../../gateway/entrances/answer.ts';
import type { Group } from '../../web/group.ts';
import { type Exit, WorkerLink } from './link.ts';
import type { Answers, Listening, Question } from './messages.ts';

/** The environment variable that tells a worker its number. */
export const workerVariable = 'SLUICE_WORKER';

/** Before a worker that ended is started again; doubled each time it ends, until it has run for a while. */
const firstPauseMs = 1000;
const longestPauseMs = 30_000;
const steadyAfterMs = 60_000;
/** Longer than a worker itself waits for its bus. */
const answerWithinMs = 3000;
/** Each part of a worker has its own deadline, and a second to give up; past those of all that can be late it is ended. */
const lateParts = 4;
const givingUpMs = 1000;

export interface WorkersContext {
  readonly count: number;
  /** Time each part of a worker has to close in order. */
  readonly drainTimeoutMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A worker ended before all had started: what is wrong with it is wrong with the configuration of all. */
export class WorkerFailed extends Error {
  readonly exit: Exit;

  constructor(number: number, exit: Exit) {
    super(`worker ${number} could not start (${exit.signal ?? `exit code ${exit.code}`})`);
    this.exit = exit;
  }
}

export class Workers implements Group {
  readonly #context: WorkersContext;
  /** Those that live, by number: 1 to `count`. */
  readonly #live = new Map<number, WorkerLink>();
  readonly #draining = new AbortController();
  #upgrades = 0;
  restarts = 0;

  constructor(context: WorkersContext) {
    this.#context = context;
  }

  /** Resolves with the addresses they share when all take clients. Rejects with WorkerFailed when one ends before. */
  async start(): Promise<Listening> {
    // Of a metric, "not a number" must arrive as it is.
    cluster.setupPrimary({ serialization: 'advanced' });
    const numbers = Array.from({ length: this.#context.count }, (_, i) => i + 1);
    const links = numbers.map((number) => ({ number, link: this.#fork(number) }));
    const starts = links.map(({ number, link }) =>
      Promise.race([link.started, link.exited.then((exit) => Promise.reject(new WorkerFailed(number, exit)))]),
    );
    const [listening] = await Promise.all(starts);
    for (const { number, link } of links) void this.#keepUp(number, link);
    return listening!;
  }

  /** That take clients now. */
  get running(): number {
    return this.#running().length;
  }

  /** Gives a request that asks for MQTT over WebSocket to the worker whose turn it is. */
  upgrade(request: IncomingMessage, head: Buffer): void {
    const running = this.#draining.signal.aborted ? [] : this.#running();
    const [, link] = running[this.#upgrades++ % running.length] ?? [];
    if (link === undefined) answer(request.socket, '503 Service Unavailable');
    else link.upgrade(request, head);
  }

  async silent(): Promise<string[]> {
    const answers = this.#running().map(([number, link]) =>
      this.#ask(link, 'alive').then(
        () => [],
        () => [`worker ${number} does not answer`],
      ),
    );
    return (await Promise.all(answers)).flat();
  }

  async metrics(): Promise<readonly object[][]> {
    const answers = this.#running().map(([, link]) =>
      this.#ask(link, 'metrics').then(
        (metrics) => [[...metrics]],
        () => [],
      ),
    );
    return (await Promise.all(answers)).flat();
  }

  /**
   * Rejects with what stands in the way of those that run. One that is being started again stands in nobody's way: the
   * others take its clients.
   */
  async ready(): Promise<void> {
    const running = this.#running();
    if (running.length === 0) throw new Error('none takes clients');
    const answers = running.map(async ([number, link]) => ({
      number,
      problems: await this.#ask(link, 'readiness').then(
        (readiness) => readiness.problems,
        () => ['does not answer'],
      ),
    }));
    const found = new Map<string, number[]>();
    for (const { number, problems } of await Promise.all(answers)) {
      for (const problem of problems) found.set(problem, [...(found.get(problem) ?? []), number]);
    }
    if (found.size === 0) return;
    throw new Error([...found].map(([problem, numbers]) => `${problem} (${numbers.join(', ')})`).join('; '));
  }

  /**
   * Ends all in order, and by force who is not done in time. Rejects with CLOSE_TIMEOUT when one left messages that were
   * not acknowledged: it has said so itself.
   */
  async drain(): Promise<void> {
    const { drainTimeoutMs, clock, log } = this.#context;
    this.#draining.abort();
    const links = [...this.#live];
    for (const [, link] of links) link.drain();
    const allEnded = new AbortController();
    void clock.sleep(lateParts * (drainTimeoutMs + givingUpMs), allEnded.signal).then(() => {
      for (const [worker, link] of this.#live) {
        log.error({ worker }, 'a worker did not close in time and is ended');
        link.kill();
      }
    });
    const exits = await Promise.all(links.map(async ([number, link]) => ({ number, link, ...(await link.exited) })));
    allEnded.abort();
    const late = exits.filter(({ link, code }) => link.listening !== null && code !== 0).map(({ number }) => number);
    if (late.length === 0) return;
    throw new SluiceError(
      'CLOSE_TIMEOUT',
      `worker ${late.join(', ')} did not close in order; what was not acknowledged will be sent again by its client`,
    );
  }

  /** Ends all at once. */
  kill(): void {
    this.#draining.abort();
    for (const link of this.#live.values()) link.kill();
  }

  #running(): [number, WorkerLink][] {
    return [...this.#live].filter(([, { listening }]) => listening !== null).sort(([a], [b]) => a - b);
  }

  #ask<Q extends Question>(link: WorkerLink, question: Q): Promise<Answers[Q]> {
    return within(this.#context.clock, answerWithinMs, link.ask(question), new Error('no answer'));
  }

  #fork(number: number): WorkerLink {
    const link = new WorkerLink(cluster.fork({ [workerVariable]: String(number) }));
    this.#live.set(number, link);
    void link.exited.then(() => this.#live.delete(number));
    return link;
  }

  async #keepUp(number: number, first: WorkerLink): Promise<void> {
    const { clock, log } = this.#context;
    const { signal } = this.#draining;
    let pauseMs = firstPauseMs;
    for (let link = first; ; link = this.#fork(number)) {
      const fromMs = clock.nowMs();
      const exit = await link.exited;
      if (signal.aborted) return;
      if (clock.nowMs() - fromMs > steadyAfterMs) pauseMs = firstPauseMs;
      log.error({ worker: number, ...exit, againInMs: pauseMs }, 'a worker ended; it is started again');
      await clock.sleep(pauseMs, signal);
      if (signal.aborted) return;
      this.restarts++;
      pauseMs = Math.min(pauseMs * 2, longestPauseMs);
    }
  }
}
