/** What is said to devices: commands from the bus, their ends to the bus, and why messages were dead-lettered. */
import type { Bus, NewRecord } from '../../bus/port.ts';
import type { Clock } from '../../core/clock.ts';
import { endsWithin } from '../../core/deadline.ts';
import type { Logger } from '../../core/log.ts';
import type { CommandsStatus } from '../../core/status.ts';
import type { TopicNames } from '../../core/topics.ts';
import { Follow } from '../follow.ts';
import type { Subscribers } from '../subscribers.ts';
import { Courier } from './courier.ts';
import { Keeper } from './keeper.ts';
import { Outcomes } from './outcomes.ts';
import { Rejections } from './rejections.ts';

export interface CommandsContext {
  readonly bus: Bus;
  readonly topics: TopicNames;
  /** Unique per run of the gateway. */
  readonly instance: string;
  readonly subscribers: Subscribers;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Commands {
  readonly #clock: Clock;
  readonly #outcomes: Outcomes;
  readonly #courier: Courier;
  readonly #keeper: Keeper;
  readonly #rejections: Rejections;
  readonly #commands: Follow;
  readonly #deadLetters: Follow;

  constructor({ bus, topics, instance, subscribers, clock, log }: CommandsContext) {
    const outcomes = new Outcomes({ bus, topic: topics.commands, clock, log });
    const say = (outcome: NewRecord) => outcomes.push(outcome);
    const courier = new Courier({ instance, subscribers, say, clock });
    const rejections = new Rejections(subscribers);
    this.#clock = clock;
    this.#outcomes = outcomes;
    this.#courier = courier;
    this.#keeper = new Keeper({ bus, topics, instance, say, clock, log });
    this.#rejections = rejections;
    this.#commands = new Follow({
      bus,
      topic: topics.commands,
      from: 'beginning',
      onRecords: (records) => courier.read(records),
      clock,
      log,
    });
    this.#deadLetters = new Follow({
      bus,
      topic: topics.dlq,
      from: 'end',
      onRecords: (records) => rejections.read(records),
      clock,
      log,
    });
  }

  /** Waits for nothing: a gateway takes messages whether or not anyone can be spoken to. */
  start(): void {
    this.#deadLetters.start();
    this.#commands.start(() => this.#courier.start());
    this.#keeper.start();
  }

  /** Nothing more is sent to devices; what they acknowledge still counts. */
  stop(): void {
    this.#courier.stop();
  }

  /** After the connections have ended. Says what became of commands, as far as the bus takes it within `deadlineMs`. */
  async close(deadlineMs: number): Promise<void> {
    await this.#outcomes.close(deadlineMs / 2);
    const closed = [this.#keeper.close(), this.#commands.close(), this.#deadLetters.close()];
    await endsWithin(this.#clock, deadlineMs / 2, Promise.all(closed));
  }

  /** What should be looked at, in words. */
  warnings(): string[] {
    const problems = [this.#commands, this.#deadLetters, this.#keeper].flatMap((part) => part.problems());
    return problems.map((problem) => `commands to devices: ${problem}`);
  }

  status(): CommandsStatus {
    return {
      pending: this.#keeper.pending,
      ended: { ...this.#keeper.ended },
      sent: this.#courier.sent,
      errorsTold: this.#rejections.told,
      errorsUntold: { ...this.#rejections.untold },
    };
  }
}
