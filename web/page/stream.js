/**
 * The server-sent events of `/api/events`. The one layer that owns reconnecting: `EventSource` gives up for good when a
 * proxy answers 502, and never notices a connection that died without a word, so every attempt is a fresh one.
 */

/** A status comes once a second; after such a silence the connection counts as dead. */
const SILENT_MS = 6_000;
const RETRY_MS = [500, 1_000, 2_000, 4_000];

/**
 * @typedef {import('../api.ts').Events} Events
 * @typedef {object} Listeners
 * @property {() => void} opened at every connection, before its first event
 * @property {(retryInMs: number) => void} lost
 * @property {(overview: Events['status']) => void} status
 * @property {(devices: Events['devices']['devices']) => void} devices
 * @property {(alert: Events['alert']) => void} alert
 */

/** @param {Listeners} listeners */
export function openStream(listeners) {
  let failures = 0;
  connect();

  function connect() {
    const source = new EventSource('/api/events');
    let watchdog = setTimeout(retry, SILENT_MS);

    function retry() {
      clearTimeout(watchdog);
      source.close();
      const retryInMs = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)] ?? 0;
      failures++;
      setTimeout(connect, retryInMs);
      listeners.lost(retryInMs);
    }

    /**
     * @template {keyof Events} T
     * @param {T} name
     * @param {(event: Events[T]) => void} listener
     */
    function on(name, listener) {
      source.addEventListener(name, (event) => {
        clearTimeout(watchdog);
        watchdog = setTimeout(retry, SILENT_MS);
        listener(JSON.parse(event.data));
      });
    }

    source.onopen = () => {
      failures = 0;
      listeners.opened();
    };
    source.onerror = retry;
    on('status', listeners.status);
    on('devices', ({ devices }) => listeners.devices(devices));
    on('alert', listeners.alert);
  }
}
