/**
 * Which device an MQTT topic speaks for, and how its payload is read. The gateway takes the record key from here, the
 * processor the decoder, so that both always agree.
 */
export interface Route {
  readonly site: string;
  readonly device: string;
  readonly decoder: 'json';
}

/** The default route is `iot/{site}/{device}/telemetry`; `null` = no route. */
export function routeOf(topic: string): Route | null {
  const levels = topic.split('/');
  if (levels.length !== 4 || levels[0] !== 'iot' || levels[3] !== 'telemetry') return null;
  const site = levels[1]!;
  const device = levels[2]!;
  if (site === '' || device === '') return null;
  return { site, device, decoder: 'json' };
}
