/** The routes of the API (`web/api.ts` says what they answer). */
import type { FastifyInstance } from 'fastify';
import type { Clock } from '../core/clock.ts';
import { messageOf, SluiceError } from '../core/errors.ts';
import type { Store } from '../store/port.ts';
import type { Alerts, Device, History, Overview } from './api.ts';
import type { EventStreams } from './events.ts';
import { HttpFailure } from './failure.ts';
import { parseHistoryRequest, readHistory } from './history.ts';
import type { LiveView } from './view.ts';
import { within } from './within.ts';

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

  /** Whatever keeps the store from answering is an outage to the caller. */
  async function ofStore<T>(work: Promise<T>): Promise<T> {
    try {
      return await within(clock, storeWithinMs, 'the store', work);
    } catch (error) {
      if (error instanceof SluiceError) throw error;
      throw new SluiceError('STORE_UNAVAILABLE', messageOf(error), { cause: error });
    }
  }

  http.get('/api/status', async (): Promise<Overview> => {
    await view.refreshStatus();
    return view.overview();
  });
  http.get('/api/devices', async (): Promise<{ devices: Device[] }> => {
    await ofStore(view.refreshDevices());
    return { devices: view.devices.all() };
  });
  http.get('/api/history', async (request): Promise<History> => {
    const parsed = parseHistoryRequest(request.query, clock.nowMs());
    return ofStore(readHistory(store, parsed));
  });
  http.get('/api/alerts', async (): Promise<Alerts> => ({ alerts: view.alerts.current() }));
  http.get('/api/events', { exposeHeadRoute: false }, async (_request, reply) => {
    streams.checkRoom();
    const firstValues = within(clock, firstValuesWithinMs, 'the store', view.refreshDevices());
    await Promise.all([view.refreshStatus(), firstValues.catch(() => {})]);
    streams.checkRoom();
    reply.hijack();
    streams.open(reply.raw, reply.getHeaders() as Record<string, string>);
  });
}
