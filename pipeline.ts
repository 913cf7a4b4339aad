/**
 * The composition root: config → web → bus → store → processor → gateway. The only file that names adapters. Parts start
 * in this order and close in the reverse one, so that what was taken is drained before what holds it goes away. Health
 * is there first and last: `/readyz` says what the start waits for, and that the process is closing.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { claimFirst } from './bus/embedded/claim.ts';
import { EmbeddedBus } from './bus/embedded.ts';
import { KafkaBus } from './bus/kafka.ts';
import type { Bus, DiskBus } from './bus/port.ts';
import { type Clock, systemClock } from './core/clock.ts';
import type { Config } from './core/config-schema.ts';
import { endsWithin } from './core/deadline.ts';
import { messageOf, SluiceError } from './core/errors.ts';
import type { Logger } from './core/log.ts';
import type { PipelineStatus } from './core/status.ts';
import { type TopicNames, topicNames, topicSpecs } from './core/topics.ts';
import { isLoopback } from './gateway/auth.ts';
import { Gateway } from './gateway/gateway.ts';
import { gatewayOptions } from './gateway/options.ts';
import type { SpoolSettings } from './gateway/spool/spool.ts';
import type { Rule } from './processors/rules/file.ts';
import { Processor } from './processors/runner.ts';
import { EmbeddedStore } from './store/embedded.ts';
import { InfluxStore } from './store/influx.ts';
import type { Store } from './store/port.ts';
import type { CommandsOptions } from './web/commands.ts';
import { WebServer } from './web/server.ts';
import { StatusReporter } from './web/status-reporter.ts';

/** What runs in this process. Health and metrics are always served; `page` adds the live page and the API. */
export interface Roles {
  readonly gateway: boolean;
  readonly processor: boolean;
  readonly page: boolean;
}

export interface PipelineContext {
  readonly rules: readonly Rule[];
  readonly version: string;
  /** Unique per run; part of every `ingest.id`. */
  readonly instance: string;
  readonly log: Logger;
  readonly clock?: Clock;
  /** Its number, where this is one of several processes that share the MQTT port: their primary serves HTTP. */
  readonly worker?: number | null;
}

/** For a part that keeps its deadline to say what it left undone. */
const lastWordsMs = 500;

interface Part {
  readonly name: string;
  start(): Promise<void>;
  close(deadlineMs: number): Promise<void>;
}

export class Pipeline {
  readonly bus: Bus;
  readonly store: Store | null;
  readonly gateway: Gateway | null;
  readonly processor: Processor | null;
  readonly web: WebServer;
  readonly #config: Config;
  readonly #log: Logger;
  readonly #clock: Clock;
  /** The gateway alone, with a spool: it takes messages all the same. */
  readonly #mayStartWithoutBus: boolean;
  /** In flow order from the back: what others depend on comes first. */
  readonly #parts: readonly Part[];
  #started: Part[] = [];
  /** What the start waits for; `null` = it is done. */
  #startingPart: string | null = 'nothing was started';
  #closing: Promise<void> | null = null;

  constructor(config: Config, roles: Roles, context: PipelineContext) {
    const clock = context.clock ?? systemClock;
    const { log, instance, version } = context;
    const topics = topicNames(config.topics.prefix);
    this.#config = config;
    this.#log = log;
    this.#clock = clock;

    this.#mayStartWithoutBus = config.gateway.spool && roles.gateway && !roles.processor && !roles.page;
    this.bus = openBus(config, clock, log, this.#mayStartWithoutBus ? Number.POSITIVE_INFINITY : config.startTimeoutMs);
    this.store = roles.processor || roles.page ? openStore(config, clock, log) : null;
    this.processor =
      roles.processor && this.store !== null
        ? new Processor({
            bus: this.bus,
            store: this.store,
            topics,
            group: config.processing.group,
            rules: context.rules,
            options: { ...config.processing, windows: config.windows },
            instance,
            version,
            clock,
            log: log.child({ part: 'processor' }),
          })
        : null;
    this.gateway = roles.gateway
      ? new Gateway({
          bus: this.bus,
          topics,
          instance,
          version,
          options: gatewayOptions(config),
          spool: spoolSettings(config, clock, log),
          clock,
          log: log.child({ part: 'gateway' }),
        })
      : null;
    this.web = this.#makeWeb(roles, topics, context, clock);
    this.#parts = this.#makeParts(topics, clock);
  }

  /**
   * Starts every part in order; when one cannot start, it and those before it are closed and its error is thrown. Ends
   * early, without an error, when it is closed meanwhile.
   */
  async start(): Promise<void> {
    if (this.bus.kind === 'embedded' || this.store?.kind === 'embedded') {
      await mkdir(this.#config.dataDir, { recursive: true });
    }
    for (const part of this.#parts) {
      this.#startingPart = part.name;
      // Also one that could not start has things to let go of.
      this.#started.push(part);
      try {
        await part.start();
      } catch (error) {
        if (this.#closing !== null) return;
        // What does not close is in the log: what did not start is the reason.
        await this.close().catch(() => {});
        throw error;
      }
      if (this.#closing !== null) return;
    }
    this.#startingPart = null;
  }

  get isStarted(): boolean {
    return this.#startingPart === null;
  }

  /** Rejects when a part cannot go on by itself; never resolves before the pipeline is closed. */
  get failed(): Promise<void> {
    return this.processor?.failed ?? new Promise(() => {});
  }

  /** Drains and closes in flow order, each part within `drainTimeoutMs`; names who was late. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#closeParts();
    return this.#closing;
  }

  async #closeParts(): Promise<void> {
    const deadlineMs = this.#config.drainTimeoutMs;
    const failed: string[] = [];
    const late: string[] = [];
    for (const part of this.#started.reverse()) {
      try {
        if (!(await endsWithin(this.#clock, deadlineMs + lastWordsMs, part.close(deadlineMs)))) late.push(part.name);
      } catch (error) {
        this.#log.error({ part: part.name, error: messageOf(error) }, 'a part failed while closing');
        failed.push(`${part.name}: ${messageOf(error)}`);
      }
    }
    if (late.length > 0) {
      failed.push(
        `not closed within ${deadlineMs} ms: ${late.join(', ')}; what was not acknowledged will be sent again by its client`,
      );
    }
    if (failed.length > 0) throw new SluiceError('CLOSE_TIMEOUT', failed.join('; '));
  }

  #makeWeb(roles: Roles, topics: TopicNames, context: PipelineContext, clock: Clock): WebServer {
    const { bus, store, gateway } = this;
    const config = this.#config;
    const { worker = null } = context;
    return new WebServer({
      host: config.host,
      port: worker === null ? config.httpPort : null,
      instance: context.instance,
      version: context.version,
      clock,
      log: context.log.child({ part: 'web' }),
      checks: {
        ...(this.#mayStartWithoutBus ? {} : { bus: () => this.#ask(bus) }),
        ...(store === null ? {} : { store: () => this.#ask(store) }),
      },
      problems: () => this.#problems(),
      status: () => this.status(),
      pipeline:
        roles.page && store !== null
          ? { bus, store, topics, group: config.processing.group, commands: commandsOptions(config) }
          : null,
      ...(gateway === null ? {} : { mqtt: (request, head) => gateway.upgrade(request, head) }),
      ...(worker === null ? {} : { labels: { worker: String(worker) } }),
    });
  }

  #makeParts(topics: TopicNames, clock: Clock): Part[] {
    const { bus, store, processor, gateway, web } = this;
    const { view } = web;
    const parts: (Part | null)[] = [
      { name: 'web', start: () => web.start(), close: () => web.close() },
      { name: nameOf(bus), start: () => this.#startBus(), close: () => bus.close() },
      store && { name: nameOf(store), start: () => store.start(), close: () => store.close() },
      { name: 'embedded set-up', start: () => this.#setUpEmbedded(), close: async () => {} },
      processor && { name: 'processor', start: () => processor.start(), close: (ms) => processor.close(ms) },
      // Between the two: the last words are said when the gateway has drained and the processor still has its partitions.
      this.#reporterPart(topics, clock),
      gateway && { name: 'gateway', start: () => gateway.start(), close: (ms) => gateway.close(ms) },
      view && { name: 'live view', start: () => view.start(), close: () => view.close() },
    ];
    return parts.filter((part) => part !== null);
  }

  /** Where it is not needed for that, the start waits for it no longer than a gateway does later; it goes on connecting. */
  async #startBus(): Promise<void> {
    const started = this.bus.start();
    if (!this.#mayStartWithoutBus) return started;
    await endsWithin(this.#clock, this.#config.gateway.spoolAfterMs, started);
  }

  #reporterPart(topics: TopicNames, clock: Clock): Part {
    const reporter = new StatusReporter({
      bus: this.bus,
      topics,
      status: () => this.status(),
      clock,
      log: this.#log,
    });
    return { name: 'status reporter', start: () => reporter.start(), close: () => reporter.close() };
  }

  /** What the roles of this process say of themselves. */
  status(): PipelineStatus[] {
    return [this.gateway?.status(), this.processor?.status(), this.web.status()].filter((status) => status != null);
  }

  /** Only between its start and its close: an embedded store that is asked before or after opens its file, and nobody closes it. */
  async #ask(dependency: Bus | Store): Promise<void> {
    if (this.#closing !== null) throw new Error('closing');
    const isStarted = this.#started.some(({ name }) => name === nameOf(dependency));
    if (!isStarted) throw new Error('not started yet');
    await dependency.ping();
  }

  #problems(): string[] {
    if (this.#closing !== null) return ['closing'];
    const starting = this.#startingPart === null ? [] : [`starting: waiting for ${this.#startingPart}`];
    return [...starting, ...(this.gateway?.ready() ?? []), ...(this.processor?.ready() ?? [])];
  }

  /** The embedded adapters need no one to set them up; Kafka and InfluxDB are set up by `sluice setup`. */
  async #setUpEmbedded(): Promise<void> {
    const { topics, processing } = this.#config;
    if (this.bus.kind === 'embedded') await this.bus.createTopics(topicSpecs(topics, processing));
    if (this.store?.kind === 'embedded') await this.store.setup();
  }
}

function commandsOptions({ host, commands, mqtt }: Config): CommandsOptions {
  const { maxPacketBytes } = mqtt;
  return { token: commands.token ?? null, isLoopback: isLoopback(host), maxPacketBytes };
}

function nameOf(dependency: Bus | Store): string {
  return 'append' in dependency ? `bus (${dependency.kind})` : `store (${dependency.kind})`;
}

/** Creates topics and buckets where they are missing; returns what it created, in words. */
export async function setUp(config: Config, log: Logger, clock: Clock = systemClock): Promise<string[]> {
  const bus = openBus(config, clock, log);
  const store = openStore(config, clock, log);
  if (bus.kind === 'embedded' || store.kind === 'embedded') await mkdir(config.dataDir, { recursive: true });
  try {
    await bus.start();
    await store.start();
    const topics = await bus.createTopics(topicSpecs(config.topics, config.processing));
    return [...topics.map((name) => `topic ${name}`), ...(await store.setup())];
  } finally {
    await store.close();
    await bus.close();
  }
}

export function openBus(config: Config, clock: Clock, log: Logger, startTimeoutMs = config.startTimeoutMs): Bus {
  const { kafka } = config;
  const partLog = log.child({ part: 'bus' });
  if (kafka.brokers === undefined) {
    return new EmbeddedBus({ file: join(config.dataDir, 'bus.sqlite'), clock, log: partLog });
  }
  return new KafkaBus({
    brokers: kafka.brokers,
    clientId: kafka.clientId,
    ssl: kafka.ssl,
    sasl:
      kafka.saslMechanism === undefined
        ? null
        : { mechanism: kafka.saslMechanism, username: kafka.saslUsername!, password: kafka.saslPassword! },
    lanes: kafka.lanes,
    replicationFactor: kafka.replicationFactor ?? null,
    startTimeoutMs,
    clock,
    log: partLog,
  });
}

function spoolSettings({ dataDir, gateway }: Config, clock: Clock, log: Logger): SpoolSettings | null {
  if (!gateway.spool) return null;
  const open = async (): Promise<DiskBus> => {
    const { file, release } = claimFirst((number) => join(dataDir, `spool-${number}.sqlite`));
    log.info({ file }, 'messages are spooled here while the bus stalls');
    const disk = new EmbeddedBus({ file, onClosed: release, clock, log: log.child({ part: 'spool' }) });
    try {
      await disk.start();
      return disk;
    } catch (error) {
      await disk.close();
      throw error;
    }
  };
  return { open, afterMs: gateway.spoolAfterMs, maxBytes: gateway.spoolMaxBytes };
}

export function openStore(config: Config, clock: Clock, log: Logger): Store {
  const { influx, retention } = config;
  const partLog = log.child({ part: 'store' });
  if (influx.url === undefined) {
    return new EmbeddedStore({ file: join(config.dataDir, 'store.sqlite'), retention, clock, log: partLog });
  }
  return new InfluxStore({
    url: influx.url,
    token: influx.token!,
    org: influx.org,
    rawBucket: influx.bucket,
    rollupBucket: influx.rollupBucket,
    retention,
    startTimeoutMs: config.startTimeoutMs,
    clock,
    log: partLog,
  });
}
