/** The routes of the API (`web/api.ts` says what they answer). */
import type { FastifyInstance } from 'fastify';
import type { Clock } from '../core/clock.ts';
import { within } from '../core/deadline.ts';
import { StoreUnavailableError } from '../core/errors.ts';
import type { Store } from '../store/port.ts';
import type { Alerts, DeviceList, History, Overview } from './api.ts';
import type { EventStreams } from './events.ts';
import { HttpFailure } from './failure.ts';
import { parseHistoryRequest, readHistory } from './history.ts';
import type { LiveView } from './view.ts';

/** A page that waits longer is better told so. */
const storeWithinMs = 10_000;
/** An event stream rather begins with what is known. */
const firstValuesWithinMs = 1000;

export interface ApiContext {
  readonly view: LiveView;
  readonly streams: EventStreams;
  readonly store: Store;
  readonly clock: Clock;
}

export function serveApi(http: FastifyInstance, { view, streams, store, clock }: ApiContext): void {
  http.addHook('onRequest', async () => {
    if (!view.isCaughtUp) throw new HttpFailure(503, 'STARTING', 'this process is still starting, see /readyz', 1);
  });

  const ofStore = <T>(work: Promise<T>, withinMs = storeWithinMs): Promise<T> =>
    within(clock, withinMs, work, new StoreUnavailableError(`the store did not answer within ${withinMs} ms`));

  http.get('/api/status', async (): Promise<Overview> => {
    await view.refreshStatus();
    return view.overview();
  });
  http.get('/api/devices', async (): Promise<DeviceList> => {
    await ofStore(view.refreshDevices());
    return { devices: view.devices.all(), online: view.online, truncated: view.devices.isFull };
  });
  http.get('/api/history', async (request): Promise<History> => {
    const parsed = parseHistoryRequest(request.query, clock.nowMs());
    return ofStore(readHistory(store, parsed));
  });
  http.get('/api/alerts', async (): Promise<Alerts> => ({ alerts: view.alerts.current() }));
  http.get('/api/events', { exposeHeadRoute: false }, async (_request, reply) => {
    streams.checkRoom();
    const firstValues = ofStore(view.refreshDevices(), firstValuesWithinMs);
    await Promise.all([view.refreshStatus(), firstValues.catch(() => {})]);
    streams.checkRoom();
    reply.hijack();
    streams.open(reply.raw, reply.getHeaders() as Record<string, string>);
  });
}
