/** The HTTP side of a process on the in-memory bus and a real embedded store, and what others would tell on the bus. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Alert } from '../../core/alert.ts';
import { type Clock, systemClock } from '../../core/clock.ts';
import { StoreUnavailableError } from '../../core/errors.ts';
import {
  emptyGatewayLedger,
  emptyPartitionLedger,
  type GatewayLedger,
  type PartitionLedger,
} from '../../core/ledger.ts';
import { silentLogger } from '../../core/log.ts';
import type { Fields } from '../../core/reading.ts';
import type { GatewayStatus, PipelineStatus, ProcessorStatus } from '../../core/status.ts';
import { topicNames, topicSpecs } from '../../core/topics.ts';
import { EmbeddedStore } from '../../store/embedded.ts';
import type { Series, Store } from '../../store/port.ts';
import type { CommandsOptions } from '../../web/commands.ts';
import { WebServer } from '../../web/server.ts';
import { MemoryBus } from '../support/memory-bus.ts';

export const topics = topicNames();
export const partitions = 2;

export interface Rig {
  readonly bus: MemoryBus;
  readonly store: Store;
  readonly web: WebServer;
  readonly url: string;
  get(path: string): Promise<Answer>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** The body as it is. */
  readonly text: string;
  /** Parsed, where it is JSON. */
  readonly body: unknown;
}

interface RigOptions {
  readonly clock?: Clock;
  /** What the roles of this process say of themselves. */
  readonly status?: () => readonly PipelineStatus[];
  readonly problems?: () => readonly string[];
  readonly checks?: Readonly<Record<string, () => Promise<void>>>;
  readonly page?: boolean;
  readonly bus?: MemoryBus;
  readonly store?: Store;
  /** `false`: the server listens, the bus was not read yet. */
  readonly started?: boolean;
  readonly commands?: CommandsOptions;
}

export async function openRig(options: RigOptions = {}): Promise<Rig> {
  const { clock = systemClock, status = () => [], problems = () => [], page = true, started = true } = options;
  const { commands = { token: null, isLoopback: true, maxPacketBytes: 2048 } } = options;
  const bus = options.bus ?? new MemoryBus({ clock });
  await bus.createTopics(topicSpecs({ prefix: 'iot.', partitions, rawRetentionMs: null, rawRetentionBytes: null }));
  const store = options.store ?? (await openStore());
  const checks = options.checks ?? { bus: () => bus.ping(), store: () => store.ping() };
  const web = new WebServer({
    host: '127.0.0.1',
    port: 0,
    instance: 'web-1',
    version: '1.2.3',
    clock,
    log: silentLogger,
    checks,
    problems,
    status,
    pipeline: page ? { bus, store, topics, group: 'processors', commands } : null,
  });
  await web.start();
  onTestFinished(async () => {
    await web.view?.close();
    await web.close();
  });
  if (started) await web.view?.start();
  const { host, port } = web.address();
  const url = `http://${host}:${port}`;
  return { bus, store, web, url, get: (path) => get(url + path) };
}

export async function openStore(): Promise<Store> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-web-'));
  const store = new EmbeddedStore({
    file: join(folder, 'store.sqlite'),
    retention: { rawMs: null, rollupMs: null },
    clock: systemClock,
    log: silentLogger,
  });
  await store.start();
  onTestFinished(async () => {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });
  return store;
}

async function get(url: string): Promise<Answer> {
  const response = await fetch(url);
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
  return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) : null };
}

/** A store that can be taken away. */
export function outage(store: Store): { readonly store: Store; isDown: boolean } {
  const state = { isDown: false, store };
  state.store = new Proxy(store, {
    get: (target, name) => {
      const method = Reflect.get(target, name);
      if (typeof method !== 'function') return method;
      return (...args: unknown[]) => {
        if (state.isDown) return Promise.reject(new StoreUnavailableError('the store does not answer'));
        return method.apply(target, args);
      };
    },
  });
  return state;
}

export async function storeReading(store: Store, device: string, timeMs: number, fields: Fields): Promise<void> {
  const series: Series = { bucket: 'raw', measurement: 'telemetry', tags: { site: 'lab', device } };
  await store.write([{ series, fields, timeUs: timeMs * 1000, k: 0 }]);
}

export function gatewayStatus(
  instance: string,
  atMs: number,
  ledger: Partial<GatewayLedger> = {},
  over: Partial<GatewayStatus> = {},
): GatewayStatus {
  return {
    role: 'gateway',
    instance,
    version: '1.2.3',
    startedAtMs: atMs - 1000,
    atMs,
    ready: true,
    problems: [],
    warnings: [],
    connections: 0,
    clients: 0,
    mqtt: null,
    tls: null,
    anonymous: true,
    ledger: { ...emptyGatewayLedger(), ...ledger },
    heldBytes: 0,
    readAheadBytes: 0,
    throttled: 0,
    slowed: 0,
    connectsDelayed: 0,
    loginsFailed: 0,
    loginsDelayed: 0,
    closed: {},
    ackMs: null,
    spool: null,
    presence: { devices: 0, waiting: 0, givenUp: 0, lost: 0 },
    commands: { pending: 0, ended: {}, sent: 0, errorsTold: 0, errorsUntold: {} },
    ...over,
  };
}

/** `ledgers` by partition: a balanced one of so many messages, each stored, is what a number stands for. */
export function processorStatus(
  instance: string,
  atMs: number,
  ledgers: Readonly<Record<string, number | PartitionLedger>>,
  over: Partial<ProcessorStatus> = {},
): ProcessorStatus {
  return {
    role: 'processor',
    instance,
    version: '1.2.3',
    startedAtMs: atMs - 1000,
    atMs,
    ready: true,
    problems: [],
    partitions: Object.fromEntries(
      Object.entries(ledgers).map(([id, given]) => {
        const ledger = typeof given === 'number' ? ledgerOf(given) : given;
        return [id, { position: ledger.nextOffset, endOffset: ledger.nextOffset, clockMs: atMs, ledger }];
      }),
    ),
    pointsWritten: 0,
    rollupsWritten: 0,
    alertsRaised: 0,
    devices: 0,
    skewed: { count: 0, worst: [] },
    ...over,
  };
}

export function ledgerOf(messages: number): PartitionLedger {
  return {
    ...emptyPartitionLedger(0),
    nextOffset: messages,
    messages,
    decoded: messages,
    readings: messages,
    accepted: messages,
    stored: messages,
    windowed: messages,
  };
}

export function alertOf(fingerprint: string, over: Partial<Alert> = {}): Alert {
  return {
    id: `${fingerprint}-${over.startsAt ?? ''}-${over.seq ?? 1}`,
    fingerprint,
    episodeId: `episode-${fingerprint}`,
    seq: 1,
    rule: 'too-warm',
    ruleVersion: '1',
    severity: 'critical',
    status: 'firing',
    site: 'lab',
    device: fingerprint,
    value: 31,
    threshold: 30,
    startsAt: '2026-01-01T00:00:00.000Z',
    firedAt: null,
    endsAt: null,
    windowStart: null,
    windowEnd: null,
    reason: 'threshold',
    labels: {},
    summary: 'too warm',
    ...over,
  };
}

export async function tellStatus(bus: MemoryBus, status: PipelineStatus): Promise<void> {
  await tell(bus, topics.pipelineStatus, `${status.role}/${status.instance}`, status, status.atMs);
}

/** Appends one JSON record; `null` is a tombstone. */
export async function tell(bus: MemoryBus, topic: string, key: string, value: object | null, timestampMs = 0) {
  const bytes = value === null ? null : Buffer.from(JSON.stringify(value));
  await bus.append(topic, [{ key, value: bytes, headers: {}, timestampMs }]);
}
