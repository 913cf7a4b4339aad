import type { Bus } from '../bus/port.ts';
import type { Logger } from '../core/log.ts';
import type { Store } from '../store/port.ts';
import { version } from './version.ts';

interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Started {
  readonly http: Address;
  readonly mqtt: Address | null;
  /** `null`: no MQTT over TLS. */
  readonly tls: Address | null;
  /** Processes that share the MQTT port; absent = this one alone. */
  readonly workers?: number;
  readonly bus: Bus['kind'];
  readonly store: Store['kind'] | null;
  readonly page: boolean;
}

/** Says where everything is: in the log for machines, and on standard output for the person who typed the command. */
export function announce({ http, mqtt, tls, workers, bus, store, page }: Started, log: Logger): void {
  log.info({ version, http, mqtt, tls, workers, bus, store }, 'started');
  const sharing = workers === undefined ? '' : `  (${workers} workers)`;
  const lines = [
    `Sluice ${version}  (bus: ${bus}, store: ${store ?? 'none'})`,
    ...(page ? [`  live page  http://${http.host}:${http.port}/`] : []),
    `  health     http://${http.host}:${http.port}/readyz`,
    ...(mqtt === null ? [] : [`  MQTT       ${mqtt.host}:${mqtt.port}${sharing}`]),
    ...(tls === null ? [] : [`  over TLS   ${tls.host}:${tls.port}`]),
    ...(mqtt === null ? [] : [`  WebSocket  ws://${http.host}:${http.port}/mqtt`]),
    '  Ctrl-C drains and stops',
  ];
  console.log(lines.join('\n'));
}
