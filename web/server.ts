/** The HTTP side of a process: health, readiness and metrics of every role; the page and its API where they are asked for. */
import type { IncomingMessage } from 'node:http';
import fastify, { type FastifyInstance } from 'fastify';
import { AggregatorRegistry, type Registry } from 'prom-client';
import type { Bus } from '../bus/port.ts';
import type { Clock } from '../core/clock.ts';
import { messageOf, SluiceError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { PipelineStatus } from '../core/status.ts';
import type { TopicNames } from '../core/topics.ts';
import type { Store } from '../store/port.ts';
import { CommandStates } from './command-states.ts';
import { type CommandsOptions, serveCommands } from './commands.ts';
import { EventStreams } from './events.ts';
import { failureBody, failureOf, HttpFailure } from './failure.ts';
import type { Group } from './group.ts';
import { makeRegistry } from './metrics.ts';
import { type Checks, type Readiness, ReadinessChecks } from './readiness.ts';
import { serveApi } from './routes.ts';
import { servePage } from './static.ts';
import { LiveView } from './view.ts';

export interface WebContext {
  readonly host: string;
  /** 0 picks a free one; `null`: it listens nowhere, and another process asks for it (`readiness`, `metrics`). */
  readonly port: number | null;
  /** Unique per run. */
  readonly instance: string;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** What this process depends on, by name; each rejects with what is wrong. */
  readonly checks: Checks;
  /** What the roles of this process say stands in their way. */
  readonly problems: () => readonly string[];
  /** What the roles of this process say of themselves. */
  readonly status: () => readonly PipelineStatus[];
  /** What the page and the API read; `null` = neither is served. */
  readonly pipeline: {
    readonly bus: Bus;
    readonly store: Store;
    readonly topics: TopicNames;
    readonly group: string;
    readonly commands: CommandsOptions;
  } | null;
  /** Takes a connection that asks for MQTT over WebSocket, at `/mqtt`; absent: nobody here speaks it. */
  readonly mqtt?: (request: IncomingMessage, head: Buffer) => void;
  /** Labels of every metric, where several processes are shown together. */
  readonly labels?: Readonly<Record<string, string>>;
  /** The processes that this one answers for, if there are any. */
  readonly group?: Group;
}

/** What the bus or the store may take to answer; a process that asks its own has to be waited for longer. */
const dependencyWithinMs = 2000;
const groupWithinMs = 4000;

const mqttPath = '/mqtt';
const maxBodyBytes = 16 * 1024;
/** Encoded, as it stands in a path. */
const maxParameterLength = 1024;
/** Time a client has to send its request. */
const requestTimeoutMs = 10_000;
const keepAliveTimeoutMs = 10_000;

/** The page loads its own files alone, and runs no script but those. */
const securityHeaders = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-cache',
};

export class WebServer {
  /** What the page and the API show; it needs the bus, so it is started and closed apart from the server. */
  readonly view: LiveView | null;
  readonly #context: WebContext;
  readonly #readiness: ReadinessChecks;
  readonly #streams: EventStreams | null;
  readonly #commandStates: CommandStates | null;
  readonly #startedAtMs: number;
  #http: FastifyInstance | null = null;
  #registry: Registry | null = null;
  #starting: Promise<void> | null = null;
  #closing: Promise<void> | null = null;

  constructor(context: WebContext) {
    this.#context = context;
    this.#startedAtMs = context.clock.nowMs();
    const { checks, problems, status, pipeline, instance, version, clock, log, group } = context;
    const withinMs = group === undefined ? dependencyWithinMs : groupWithinMs;
    const readiness = new ReadinessChecks(checks, problems, clock, withinMs);
    this.#readiness = readiness;
    this.view = pipeline && new LiveView({ ...pipeline, instance, version, readiness, status, clock, log });
    this.#streams = this.view && new EventStreams(this.view, clock, log);
    this.#commandStates = pipeline && new CommandStates(pipeline.bus, pipeline.topics);
  }

  /** Listens, where it has a port; needs neither bus nor store. Rejects with LISTEN_FAILED when the address is taken. Idempotent. */
  start(): Promise<void> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  address(): { host: string; port: number } {
    const address = this.#http?.server.address();
    if (address === undefined || address === null || typeof address !== 'object') {
      throw new Error('the HTTP server does not listen');
    }
    return { host: address.address, port: address.port };
  }

  /** Of the page and the API; `null` where there is neither. */
  status(): PipelineStatus | null {
    if (this.view === null) return null;
    const { instance, version, clock } = this.#context;
    const ready = this.view.isCaughtUp;
    const problems = ready ? [] : ['web: has not read what is on the bus yet'];
    return { role: 'web', instance, version, startedAtMs: this.#startedAtMs, atMs: clock.nowMs(), ready, problems };
  }

  /** What `/readyz` says. Never rejects. */
  readiness(): Promise<Readiness> {
    return this.#readiness.ask();
  }

  /** What `/metrics` shows of this process; nothing before the start. */
  async metrics(): Promise<readonly object[]> {
    return (await this.#registry?.getMetricsAsJSON()) ?? [];
  }

  /** Ends open event streams and idle connections at once. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #start(): Promise<void> {
    const { host, port, version, status, labels = {}, group = null } = this.#context;
    this.#registry = makeRegistry(version, status, { streams: this.#streams, group });
    this.#registry.setDefaultLabels(labels);
    if (port === null) return;
    const http = fastify({
      bodyLimit: maxBodyBytes,
      routerOptions: { maxParamLength: maxParameterLength },
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: keepAliveTimeoutMs,
      forceCloseConnections: true,
      logger: false,
    });
    this.#answerFailures(http);
    http.addHook('onRequest', async (_request, reply) => {
      reply.headers(securityHeaders);
    });
    this.#serveHealth(http, this.#registry);
    this.#serveMqtt(http);
    await this.#servePipeline(http);
    try {
      await http.listen({ host, port });
    } catch (error) {
      await http.close();
      const fix = 'stop what uses it, or choose another with SLUICE_HTTP_PORT';
      throw new SluiceError('LISTEN_FAILED', `HTTP cannot listen on ${host}:${port} (${messageOf(error)}): ${fix}`, {
        cause: error,
      });
    }
    this.#http = http;
  }

  async #close(): Promise<void> {
    await this.#starting?.catch(() => {});
    this.#streams?.close();
    await this.#http?.close();
    await this.#commandStates?.close();
  }

  #serveHealth(http: FastifyInstance, registry: Registry): void {
    const { group } = this.#context;
    http.get('/healthz', async (_request, reply) => {
      const problems = (await group?.silent()) ?? [];
      return problems.length === 0 ? { ok: true } : reply.code(503).send({ ok: false, problems });
    });
    http.get('/readyz', async (_request, reply) => {
      const readiness = await this.#readiness.ask();
      // Who does its work is ready, whatever someone should look at.
      const warnings = this.#context.status().flatMap((status) => (status.role === 'gateway' ? status.warnings : []));
      return reply.code(readiness.ready ? 200 : 503).send({ ...readiness, warnings });
    });
    http.get('/metrics', async (_request, reply) => {
      const all =
        group === undefined
          ? registry
          : AggregatorRegistry.aggregate([await registry.getMetricsAsJSON(), ...(await group.metrics())]);
      return reply.type(registry.contentType).send(await all.metrics());
    });
  }

  #serveMqtt(http: FastifyInstance): void {
    const { mqtt } = this.#context;
    if (mqtt === undefined) return;
    http.server.on('upgrade', (request, _socket, head) => {
      if (request.url?.split('?')[0] === mqttPath) mqtt(request, head);
      else request.socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    });
  }

  async #servePipeline(http: FastifyInstance): Promise<void> {
    const { pipeline, clock } = this.#context;
    const view = this.view;
    const streams = this.#streams;
    const states = this.#commandStates;
    if (pipeline === null || view === null || streams === null || states === null) return;
    await servePage(http);
    await http.register((api, _options, done) => {
      serveApi(api, { view, streams, store: pipeline.store, clock });
      done();
    });
    await http.register((api, _options, done) => {
      const { bus, topics, commands: options } = pipeline;
      serveCommands(api, { bus, topics, states, options, clock });
      done();
    });
  }

  #answerFailures(http: FastifyInstance): void {
    http.setNotFoundHandler((request) => {
      throw new HttpFailure(404, 'NOT_FOUND', `there is no ${request.method} ${request.url.split('?')[0]}`);
    });
    http.setErrorHandler((error, request, reply) => {
      const failure = failureOf(error);
      if (failure.statusCode === 500) {
        this.#context.log.error(
          { method: request.method, url: request.url, error: messageOf(error) },
          'a request failed',
        );
      }
      if (failure.retryAfterSeconds !== undefined) reply.header('retry-after', failure.retryAfterSeconds);
      return reply.code(failure.statusCode).send(failureBody(failure));
    });
  }
}
