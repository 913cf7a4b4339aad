/**
 * One connection per client id and user, over all gateways: each tells on the client sessions topic whom it has accepted,
 * and reads what the others tell. The log says who came last, whatever the clocks say: a client of ours whose record is
 * in the log is the older one of any that comes after it. Two users with one client id do not meet: nobody can end the
 * connection of another.
 */
import { z } from 'zod';
import type { Bus, BusRecord } from '../../bus/port.ts';
import type { Clock } from '../../core/clock.ts';
import { endsWithin } from '../../core/deadline.ts';
import type { Logger } from '../../core/log.ts';
import type { TopicNames } from '../../core/topics.ts';
import type { Connection } from '../connection/connection.ts';
import { Follow } from '../follow.ts';
import { Teller } from './teller.ts';

const schema = z.object({
  clientId: z.string(),
  user: z.string(),
  /** The run of the gateway. */
  instance: z.string(),
  /** Counts the sessions of a run. */
  session: z.number(),
});

type Claim = z.output<typeof schema>;

/** A client of ours. */
interface Session {
  readonly connection: Connection;
  readonly number: number;
  /** Others have come before it, or will come after it: which, the log says. */
  isInLog: boolean;
}

export interface SessionsContext {
  readonly bus: Bus;
  readonly topics: TopicNames;
  /** Unique per run. */
  readonly instance: string;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Sessions {
  readonly #context: SessionsContext;
  readonly #teller: Teller;
  readonly #follow: Follow;
  /** By client id and user. */
  readonly #sessions = new Map<string, Session>();
  #counter = 0;
  #onTakenOver: (connection: Connection) => void = () => {};

  constructor(context: SessionsContext) {
    const { bus, topics, clock, log } = context;
    this.#context = context;
    this.#teller = new Teller({ bus, topic: topics.clientSessions, clock, log });
    this.#follow = new Follow({
      bus,
      topic: topics.clientSessions,
      from: 'end',
      onRecords: (records) => this.#read(records),
      clock,
      log,
    });
  }

  /** `onTakenOver`: the client has connected to another gateway since. */
  start(onTakenOver: (connection: Connection) => void): void {
    this.#onTakenOver = onTakenOver;
    // What is told before we read would not be seen.
    this.#follow.start(() => this.#teller.start());
  }

  async close(deadlineMs: number): Promise<void> {
    this.#teller.stop();
    await endsWithin(this.#context.clock, deadlineMs, this.#follow.close());
  }

  /** What keeps a client id from being noticed at two gateways, in words. */
  warnings(): string[] {
    return this.#follow.problems();
  }

  /** A client was accepted that has given itself its client id. */
  opened(connection: Connection): void {
    const { clientId } = connection;
    const { instance, clock } = this.#context;
    const user = connection.access!.identity.user;
    const number = ++this.#counter;
    const claim: Claim = { clientId, user, instance, session: number };
    this.#sessions.set(keyOf(claim), { connection, number, isInLog: false });
    this.#teller.tell({
      key: clientId,
      value: Buffer.from(JSON.stringify(claim)),
      headers: {},
      timestampMs: clock.nowMs(),
    });
  }

  /** It has ended, maybe taken over by one that is here. */
  closed(connection: Connection): void {
    const { clientId, access } = connection;
    const key = keyOf({ clientId, user: access!.identity.user });
    if (this.#sessions.get(key)?.connection === connection) this.#sessions.delete(key);
  }

  #read(records: readonly BusRecord[]): void {
    for (const { value } of records) {
      const claim = parse(value);
      if (claim !== null) this.#readClaim(claim);
    }
  }

  #readClaim(claim: Claim): void {
    const ours = this.#sessions.get(keyOf(claim));
    if (ours === undefined) return;
    if (claim.instance !== this.#context.instance) {
      if (ours.isInLog) this.#onTakenOver(ours.connection);
    } else if (claim.session === ours.number) {
      ours.isInLog = true;
    }
  }
}

/** A client id has no control characters (`text.ts`), so it is clear where it begins. */
function keyOf({ clientId, user }: Pick<Claim, 'clientId' | 'user'>): string {
  return `${user}\n${clientId}`;
}

function parse(value: Buffer | null): Claim | null {
  if (value === null) return null;
  try {
    return schema.safeParse(JSON.parse(value.toString())).data ?? null;
  } catch {
    return null;
  }
}
