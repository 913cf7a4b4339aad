/** MQTT in: puts the stages together. Socket → admission → frames → broker → hold → append → acknowledge. */
import type { IncomingMessage } from 'node:http';
import type { Aedes } from 'aedes';
import type { Bus } from '../bus/port.ts';
import type { Clock } from '../core/clock.ts';
import { SluiceError } from '../core/errors.ts';
import { emptyGatewayLedger } from '../core/ledger.ts';
import type { Logger } from '../core/log.ts';
import type { GatewayStatus } from '../core/status.ts';
import type { TopicNames } from '../core/topics.ts';
import { checkExposure, isOpen } from './auth.ts';
import { openBroker } from './broker.ts';
import { Clients } from './clients.ts';
import { Closed } from './closed.ts';
import { Commands } from './commands/commands.ts';
import type { Arrival } from './connection/wire.ts';
import { answer } from './entrances/answer.ts';
import { Entrances } from './entrances/entrances.ts';
import type { Address } from './entrances/listener.ts';
import { Logins } from './identity/logins.ts';
import { Ingest } from './ingest/ingest.ts';
import { Ticks } from './ingest/ticks.ts';
import { RareLog } from './log-rarely.ts';
import type { GatewayOptions } from './options.ts';
import { Presence } from './presence/presence.ts';
import { Sessions } from './presence/sessions.ts';
import { Spool, type SpoolSettings } from './spool/spool.ts';
import { type Delivery, Subscribers } from './subscribers.ts';

export interface GatewayContext {
  readonly bus: Bus;
  readonly topics: TopicNames;
  readonly options: GatewayOptions;
  /** Where messages go while the bus stalls; without one they are held. */
  readonly spool?: SpoolSettings | null;
  /** Unique per run: `ingest.id` begins with it. */
  readonly instance: string;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What there is between `start` and `close`. */
interface Running {
  readonly ingest: Ingest;
  readonly presence: Presence;
  readonly sessions: Sessions;
  readonly logins: Logins;
  readonly clients: Clients;
  readonly subscribers: Subscribers;
  readonly commands: Commands;
  readonly closed: Closed;
  readonly entrances: Entrances;
  readonly broker: Aedes;
  readonly stopTicks: () => void;
}

export class Gateway {
  readonly #context: GatewayContext;
  readonly #options: GatewayOptions;
  #running: Running | null = null;
  #startedAtMs = 0;
  #isDraining = false;
  #starting: Promise<void> | null = null;
  #closing: Promise<void> | null = null;

  constructor(context: GatewayContext) {
    this.#context = context;
    this.#options = context.options;
  }

  /**
   * Rejects with CONFIG_INVALID when anyone on the network could publish or a file cannot be used, LISTEN_FAILED when the
   * address is taken, BUS_TOPIC_MISSING when the raw topic does not exist. With a spool that was used before it needs no
   * bus. Idempotent.
   */
  start(): Promise<void> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  /** A request to the HTTP port that asks for MQTT over WebSocket. Refuses it while it takes no clients. */
  upgrade(request: IncomingMessage, head: Buffer): void {
    if (this.#running === null || this.#isDraining) answer(request.socket, '503 Service Unavailable');
    else this.#running.entrances.upgrade(request, head);
  }

  /** Throws before it listens. */
  address(): Address {
    if (this.#running === null) throw new Error('the gateway does not listen');
    return this.#running.entrances.address();
  }

  /** `null`: not over TLS. */
  tlsAddress(): Address | null {
    return this.#running?.entrances.tlsAddress() ?? null;
  }

  /**
   * Publishes at QoS 1 to those who subscribed to the topic and are here: `gone` when there are none, or none of them
   * acknowledged it before it left.
   */
  async deliver(topic: string, payload: Buffer): Promise<Delivery> {
    return (await this.#running?.subscribers.deliver(topic, payload)) ?? 'gone';
  }

  /** What stands in the way of taking messages, in words; empty = ready. */
  ready(): string[] {
    if (this.#isDraining) return ['gateway: draining'];
    if (this.#running === null) return ['gateway: not started'];
    const { ingest } = this.#running;
    return [...(ingest.caps.isFull ? ['gateway: holds as many messages as it may'] : []), ...ingest.problems()];
  }

  status(): GatewayStatus {
    const { instance, version, clock } = this.#context;
    const { ingest, clients, presence, sessions, commands, logins, closed, entrances } = this.#running ?? {};
    const nowMs = clock.nowMs();
    const problems = this.ready();
    return {
      role: 'gateway',
      instance,
      version,
      startedAtMs: this.#startedAtMs,
      atMs: nowMs,
      ready: problems.length === 0,
      problems,
      warnings: [logins, entrances, presence, sessions, commands].flatMap((part) => part?.warnings() ?? []),
      ...(entrances?.status() ?? { connections: 0, connectsDelayed: 0, mqtt: null, tls: null }),
      anonymous: isOpen(this.#options),
      clients: clients?.accepted ?? 0,
      ledger: ingest?.ledger ?? emptyGatewayLedger(),
      heldBytes: ingest?.caps.heldBytes ?? 0,
      readAheadBytes: clients?.readAhead.bytes ?? 0,
      throttled: ingest?.caps.throttledTimes ?? 0,
      slowed: clients?.slowedTimes ?? 0,
      loginsFailed: logins?.throttle.failed ?? 0,
      loginsDelayed: logins?.throttle.delayed ?? 0,
      closed: { ...closed?.counts },
      ackMs: ingest?.ackTimes.quantiles(nowMs) ?? null,
      spool: ingest?.spool?.status() ?? null,
      presence: presence?.status() ?? { devices: 0, waiting: 0, givenUp: 0, lost: 0 },
      commands: commands?.status() ?? { pending: 0, ended: {}, sent: 0, errorsTold: 0, errorsUntold: {} },
    };
  }

  /**
   * Takes no new clients, reads no more, makes everything held durable, acknowledges it, closes the connections, appends
   * their wills. What is in the spool stays there for the next run. Rejects with CLOSE_TIMEOUT when messages are left
   * that were not acknowledged. Idempotent.
   */
  close(deadlineMs: number): Promise<void> {
    this.#closing ??= this.#close(deadlineMs);
    return this.#closing;
  }

  async #start(): Promise<void> {
    const { bus, topics, instance, clock, log } = this.#context;
    const options = this.#options;
    checkExposure(options);
    this.#startedAtMs = clock.nowMs();
    const rareLog = new RareLog(log, clock);
    const closed = new Closed(rareLog);
    const logins = await Logins.open(options, clock, log);
    const onArrival = (arrival: Arrival) => {
      clients.add(arrival);
      broker.handle(arrival.wire);
    };
    const entrances = await Entrances.open({
      options,
      closed,
      clock,
      log,
      isTurnedAway: (address) => logins.throttle.isTurnedAway(address),
      onArrival,
      onViolation: (wire, because, detail) => clients.onViolation(wire, because, detail),
      onUnfinished: (wire, bytes) => clients.onUnfinished(wire, bytes),
    });
    const spool = await this.#openSpool();
    const partitions = spool?.partitionCount ?? (await bus.partitionCount(topics.raw));
    const ingest = new Ingest({ bus, topics, instance, partitions, spool, options, clock, log });
    const presence = new Presence({ bus, topics, instance, clock, log });
    const sessions = new Sessions({ bus, topics, instance, clock, log });
    const subscribers = new Subscribers();
    const commands = new Commands({ bus, topics, instance, subscribers, clock, log });
    const clients = new Clients({ options, ingest, presence, sessions, logins, subscribers, closed, rareLog, clock });
    const broker = await openBroker(clients, log);
    await entrances.listen().catch(async (error) => {
      await closeBroker(broker);
      await ingest.close();
      throw error;
    });
    const ticks = new Ticks(ingest, options.tickAfterMs);
    const stopTicks = clock.every(options.tickAfterMs / 4, () => ticks.append());
    ingest.start();
    presence.start();
    clients.start();
    commands.start();
    logins.start(() => clients.renewIdentities());
    this.#running = {
      ingest,
      presence,
      sessions,
      logins,
      clients,
      subscribers,
      commands,
      closed,
      entrances,
      broker,
      stopTicks,
    };
  }

  async #close(deadlineMs: number): Promise<void> {
    this.#isDraining = true;
    await this.#starting?.catch(() => {});
    if (this.#running === null) return;
    const { ingest, presence, sessions, logins, clients, commands, entrances, broker, stopTicks } = this.#running;
    const { clock } = this.#context;
    const untilMs = clock.nowMs() + deadlineMs;
    const leftMs = () => Math.max(0, untilMs - clock.nowMs());

    stopTicks();
    entrances.close();
    logins.close();
    commands.stop();
    clients.drain();
    await ingest.drain(leftMs() * 0.7);
    const unacknowledged = ingest.ledger.held;
    await acksWritten();
    await clients.end(leftMs() / 2);
    await closeBroker(broker);
    // The wills of the clients that were ended.
    await ingest.drain(leftMs() / 2);
    await ingest.close();
    await Promise.all([presence.close(leftMs() / 2), sessions.close(leftMs() / 2)]);
    await commands.close(leftMs());
    if (unacknowledged > 0) {
      throw new SluiceError(
        'CLOSE_TIMEOUT',
        `the gateway closed with ${unacknowledged} messages that the bus did not take within ${deadlineMs} ms; they were not acknowledged, and their clients send them again`,
      );
    }
  }

  #openSpool(): Promise<Spool> | null {
    const { bus, topics, spool, clock, log } = this.#context;
    return spool == null ? null : Spool.open({ bus, topic: topics.raw, settings: spool, clock, log });
  }
}

/** The broker gathers acknowledgements and writes them at the end of the tick of their release. */
async function acksWritten(): Promise<void> {
  for (let tick = 0; tick < 2; tick++) await new Promise((resolve) => setImmediate(resolve));
}

async function closeBroker(broker: Aedes): Promise<void> {
  await new Promise<void>((resolve) => broker.close(resolve));
}
