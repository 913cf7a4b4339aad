/** The store on InfluxDB 2. The only file that imports its client, of which it uses the transport alone. */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { HttpError, InfluxDB, type SendOptions } from '@influxdata/influxdb-client';
import type { Clock } from '../core/clock.ts';
import { messageOf, StoreUnavailableError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { bucketExists, createBuckets } from './influx/buckets.ts';
import { Gathering } from './influx/gathering.ts';
import { parseAnswer, type ResultSeries } from './influx/influxql.ts';
import { Narrowing, type Rejected } from './influx/narrowing.ts';
import { queryHistory, queryNewest, queryReadings, queryRollups, queryWindows } from './influx/queries.ts';
import { RequestedPause } from './influx/requested-pause.ts';
import { Suspicion } from './influx/suspicion.ts';
import { LineEncoder } from './line-protocol.ts';
import type {
  Bucket,
  HistoryPoint,
  HistoryQuery,
  NewestReading,
  Point,
  Refusal,
  RollupEvery,
  RollupPoint,
  Store,
  StoredReading,
  StoredWindow,
  WindowsQuery,
} from './port.ts';
import { PointValidator } from './validity.ts';

export interface InfluxStoreOptions {
  readonly url: string;
  readonly token: string;
  readonly org: string;
  readonly rawBucket: string;
  readonly rollupBucket: string;
  /** Given to the buckets that `setup` creates; `null` = for ever. */
  readonly retention: { readonly rawMs: number | null; readonly rollupMs: number | null };
  readonly startTimeoutMs: number;
  /** Larger write bodies are compressed, `null` = none; by default on every address but this machine's own. */
  readonly gzipAboveBytes?: number | null;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A read may be abandoned, a write may not. */
const readTimeoutMs = 30_000;
const pingTimeoutMs = 5000;
const startRetryMs = 500;
/** Notices a dead connection: nothing else ends the wait for an answer. */
const tcpKeepAliveAfterMs = 10_000;
const maxSockets = 4;
/** Below it a body fits one packet anyway. Compressing costs about 1 µs of processor a line and saves nine bytes of ten. */
const gzipAboveBytesByDefault = 1400;

/** The part of a write that goes to one bucket. */
interface Share {
  readonly points: Point[];
  /** Of each point: its index in the write. */
  readonly indexes: number[];
}

export class InfluxStore implements Store {
  readonly kind = 'influx';
  readonly #options: InfluxStoreOptions;
  readonly #bucketNames: Readonly<Record<Bucket, string>>;
  readonly #validator = new PointValidator();
  readonly #encoder = new LineEncoder();
  readonly #gathering: Readonly<Record<Bucket, Gathering>>;
  readonly #pause: RequestedPause;
  /** Apart from each other, so that slow queries never take the sockets of writes. */
  readonly #writing: Connection;
  readonly #reading: Connection;
  readonly #writesUnderWay = new Set<Promise<unknown>>();
  #starting: Promise<void> | null = null;
  #closing: Promise<void> | null = null;

  constructor(options: InfluxStoreOptions) {
    this.#options = options;
    this.#bucketNames = { raw: options.rawBucket, rollup: options.rollupBucket };
    this.#gathering = { raw: this.#gatheringFor('raw'), rollup: this.#gatheringFor('rollup') };
    this.#pause = new RequestedPause(options.clock);
    this.#writing = new Connection(options);
    this.#reading = new Connection(options);
  }

  start(): Promise<void> {
    this.#starting ??= this.#reachServer();
    return this.#starting;
  }

  close(): Promise<void> {
    this.#closing ??= Promise.allSettled(this.#writesUnderWay).then(() => {
      this.#writing.close();
      this.#reading.close();
    });
    return this.#closing;
  }

  async ping(): Promise<void> {
    for (const name of Object.values(this.#bucketNames)) {
      if (await bucketExists(this.#requestApi, this.#options.org, name)) continue;
      throw new StoreUnavailableError(`InfluxDB has no bucket ${JSON.stringify(name)}: run \`sluice setup\``);
    }
  }

  setup(): Promise<string[]> {
    const { org, rawBucket, rollupBucket, retention } = this.#options;
    return createBuckets(this.#requestApi, org, [
      { name: rawBucket, retentionMs: retention.rawMs },
      { name: rollupBucket, retentionMs: retention.rollupMs },
    ]);
  }

  async write(points: readonly Point[]): Promise<readonly Refusal[]> {
    if (this.#closing !== null) throw new StoreUnavailableError('the store is closed');
    const writing = this.#write(points);
    this.#writesUnderWay.add(writing);
    try {
      return await writing;
    } finally {
      this.#writesUnderWay.delete(writing);
    }
  }

  history(query: HistoryQuery): Promise<HistoryPoint[]> {
    return queryHistory(this.#runQuery, query);
  }

  rollups(query: HistoryQuery, every: RollupEvery): Promise<RollupPoint[]> {
    return queryRollups(this.#runQuery, query, every);
  }

  newest(sinceMs: number, limit: number): Promise<NewestReading[]> {
    return queryNewest(this.#runQuery, sinceMs, limit);
  }

  readings(site: string, device: string, fromMs: number, toMs: number): Promise<StoredReading[]> {
    return queryReadings(this.#runQuery, site, device, fromMs, toMs);
  }

  windows(query: WindowsQuery): Promise<StoredWindow[]> {
    return queryWindows(this.#runQuery, query);
  }

  async #write(points: readonly Point[]): Promise<Refusal[]> {
    const shares: Record<Bucket, Share> = { raw: { points: [], indexes: [] }, rollup: { points: [], indexes: [] } };
    const refusals: Refusal[] = [];
    points.forEach((point, index) => {
      const fault = this.#validator.fault(point);
      if (fault !== null) {
        refusals.push({ index, ...fault });
        return;
      }
      const share = shares[point.series.bucket];
      share.points.push(point);
      share.indexes.push(index);
    });
    for (const bucket of ['raw', 'rollup'] as const) {
      const share = shares[bucket];
      if (share.points.length === 0) continue;
      const refused = await this.#gathering[bucket].write(share.points);
      for (const item of refused) refusals.push({ ...item, index: share.indexes[item.index]! });
    }
    return refusals.sort((a, b) => a.index - b.index);
  }

  #gatheringFor(bucket: Bucket): Gathering {
    const narrowing = new Narrowing((points) => this.#send(bucket, points), new Suspicion(this.#options.clock));
    return new Gathering((points) => narrowing.write(points));
  }

  /** No timeout: an abandoned request could still land, after its successor. */
  async #send(bucket: Bucket, points: readonly Point[]): Promise<Rejected | null> {
    this.#pause.check();
    const query = new URLSearchParams({ org: this.#options.org, bucket: this.#bucketNames[bucket], precision: 'ns' });
    try {
      const status = await this.#writing.write(`/api/v2/write?${query}`, this.#encoder.encode(points));
      if (status !== 204) throw new StoreUnavailableError(`InfluxDB answered ${status} to a write; stored is 204`);
      return null;
    } catch (error) {
      const rejected = asRejection(error);
      if (rejected !== null) return rejected;
      const asked = error instanceof HttpError ? this.#pause.begin(error.headers?.['retry-after']) : undefined;
      throw asOutage(error, asked);
    }
  }

  readonly #runQuery = async (bucket: Bucket, influxql: string): Promise<ResultSeries[][]> => {
    const query = new URLSearchParams({ db: this.#bucketNames[bucket], q: influxql });
    try {
      return parseAnswer(await this.#reading.get(`/query?${query}`, readTimeoutMs));
    } catch (error) {
      throw asOutage(error);
    }
  };

  readonly #requestApi = async (method: 'GET' | 'POST', path: string, body?: object): Promise<unknown> => {
    try {
      if (method === 'GET') return await this.#reading.get(path, pingTimeoutMs);
      return await this.#reading.post(path, JSON.stringify(body), readTimeoutMs);
    } catch (error) {
      if (method === 'GET' && error instanceof HttpError && error.statusCode === 404) return null;
      throw asOutage(error);
    }
  };

  async #reachServer(): Promise<void> {
    const { clock, log, startTimeoutMs, url } = this.#options;
    const deadlineMs = clock.nowMs() + startTimeoutMs;
    let told = false;
    while (this.#closing === null) {
      try {
        await this.#reading.get('/ping', pingTimeoutMs);
        return;
      } catch (error) {
        const reason = messageOf(error);
        if (clock.nowMs() >= deadlineMs) {
          this.#starting = null;
          throw new StoreUnavailableError(`InfluxDB at ${url} not reached in ${startTimeoutMs} ms: ${reason}`);
        }
        if (!told) log.warn({ url, reason }, 'InfluxDB cannot be reached; trying again');
        told = true;
      }
      await clock.sleep(startRetryMs);
    }
  }
}

/** The client's transport with an agent of our own. */
class Connection {
  readonly #agent: HttpAgent;
  readonly #client: InfluxDB;
  readonly #writeOptions: SendOptions;

  constructor({ url, token, gzipAboveBytes }: InfluxStoreOptions) {
    const isLocal = ['localhost', '127.0.0.1', '[::1]'].includes(new URL(url).hostname);
    const gzipThreshold = gzipAboveBytes === undefined && !isLocal ? gzipAboveBytesByDefault : gzipAboveBytes;
    this.#writeOptions = {
      method: 'POST',
      headers: { 'content-type': 'text/plain; charset=utf-8' },
      ...(typeof gzipThreshold === 'number' ? { gzipThreshold } : {}),
    };
    const agentOptions = { keepAlive: true, keepAliveMsecs: tcpKeepAliveAfterMs, maxSockets };
    this.#agent = url.startsWith('https:') ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions);
    // `timeout: 0` turns off the client's own, which rejects after 10 s and leaves the request running.
    this.#client = new InfluxDB({ url, token, timeout: 0, transportOptions: { agent: this.#agent } });
  }

  get(path: string, timeoutMs: number): Promise<unknown> {
    const signal = AbortSignal.timeout(timeoutMs);
    return this.#client.transport.request(path, '', { method: 'GET', headers: { accept: 'application/json' }, signal });
  }

  post(path: string, json: string, timeoutMs: number): Promise<unknown> {
    return this.#client.transport.request(path, json, { method: 'POST', signal: AbortSignal.timeout(timeoutMs) });
  }

  /** Resolves to the status of a 2xx answer: a middleman's page with 200 is not a stored batch. */
  async write(path: string, lines: string): Promise<number | undefined> {
    let status: number | undefined;
    await this.#client.transport.request(path, lines, this.#writeOptions, (_, statusCode) => {
      status = statusCode;
    });
    return status;
  }

  close(): void {
    this.#agent.destroy();
  }
}

/**
 * Only 400, 413 and 422 can be the points' fault, and only with InfluxDB's own JSON: a middleman's 400 is about the
 * request, and taking it for a refusal would throw away every point.
 */
function asRejection(error: unknown): Rejected | null {
  if (!(error instanceof HttpError)) return null;
  const { statusCode, message, code } = error;
  if (statusCode === 413) return { statusCode, message };
  if ((statusCode === 400 || statusCode === 422) && code !== undefined) return { statusCode, message };
  return null;
}

function asOutage(error: unknown, retryAfterMs?: number): StoreUnavailableError {
  if (error instanceof StoreUnavailableError) return error;
  const answered = error instanceof HttpError ? ` answered ${error.statusCode}` : '';
  return new StoreUnavailableError(`InfluxDB${answered}: ${messageOf(error)}`, { cause: error, retryAfterMs });
}
