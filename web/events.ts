/**
 * `GET /api/events`: what changes, as server-sent events. Each event is made once for all clients, at most one `status` and
 * one `devices` a second. The number of clients is bounded, and so is what waits for one: a slow client is closed.
 */
import type { ServerResponse } from 'node:http';
import type { Clock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Events } from './api.ts';
import { HttpFailure } from './failure.ts';
import type { LiveView } from './view.ts';

const everyMs = 1000;
const maxClients = 100;
/** The devices a new client gets are below it by far, so that none is closed for what it was just sent. */
const maxWaitingBytes = 4 * 1024 * 1024;

const streamHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  // nginx would gather them.
  'x-accel-buffering': 'no',
};

export class EventStreams {
  readonly #view: LiveView;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #clients = new Set<ServerResponse>();
  #stopTicking: (() => void) | null = null;
  #refreshing: Promise<void> | null = null;
  #isClosed = false;
  #tooSlow = 0;

  constructor(view: LiveView, clock: Clock, log: Logger) {
    this.#view = view;
    this.#clock = clock;
    this.#log = log;
    view.onAlert((alert) => this.#send(eventOf('alert', alert)));
  }

  /** Clients connected. */
  get size(): number {
    return this.#clients.size;
  }

  /** Clients that were closed because they did not read. */
  get tooSlow(): number {
    return this.#tooSlow;
  }

  /** Throws a 503 when there is no room for one more. */
  checkRoom(): void {
    if (this.#clients.size < maxClients && !this.#isClosed) return;
    throw new HttpFailure(503, 'TOO_MANY_STREAMS', `${maxClients} event streams are open, as many as there may be`, 5);
  }

  /** Takes over the answer: everything there is now, then what changes. */
  open(response: ServerResponse, headers: Readonly<Record<string, string>>): void {
    response.writeHead(200, { ...headers, ...streamHeaders });
    const alerts = this.#view.alerts.current().reverse();
    response.write(
      eventOf('status', this.#view.overview()) +
        eventOf('devices', { devices: this.#view.devices.all() }) +
        alerts.map((alert) => eventOf('alert', alert)).join(''),
    );
    // What changed while nobody listened is in what the first client was just sent.
    if (this.#clients.size === 0) this.#view.devices.takeChanged();
    this.#clients.add(response);
    response.on('close', () => this.#leave(response));
    response.on('error', () => this.#leave(response));
    this.#stopTicking ??= this.#clock.every(everyMs, () => this.#tick());
  }

  /** Ends every stream. */
  close(): void {
    this.#isClosed = true;
    for (const client of this.#clients) client.end();
  }

  /** The status is sent whatever state bus and store are in; it is also what keeps the connection alive. */
  #tick(): void {
    this.#send(eventOf('status', this.#view.overview()));
    void this.#view.refreshStatus();
    this.#refreshing ??= this.#sendDevices().finally(() => {
      this.#refreshing = null;
    });
  }

  async #sendDevices(): Promise<void> {
    try {
      await this.#view.refreshDevices();
    } catch (error) {
      this.#log.debug({ error: messageOf(error) }, 'the newest values could not be read');
    }
    const devices = this.#view.devices.takeChanged();
    if (devices.length > 0) this.#send(eventOf('devices', { devices }));
  }

  #send(event: string): void {
    const bytes = Buffer.from(event);
    for (const client of this.#clients) {
      if (client.writableLength <= maxWaitingBytes) client.write(bytes);
      else {
        this.#log.info({ waitingBytes: client.writableLength }, 'an event stream was too slow and was closed');
        this.#tooSlow++;
        client.destroy();
      }
    }
  }

  #leave(client: ServerResponse): void {
    this.#clients.delete(client);
    if (this.#clients.size > 0) return;
    this.#stopTicking?.();
    this.#stopTicking = null;
  }
}

function eventOf<Name extends keyof Events>(name: Name, data: Events[Name]): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
