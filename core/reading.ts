/** A value a device reports. Numbers are stored as floats whatever they look like, so that a series never changes type. */
export type FieldValue = number | boolean | string;
export type Fields = Readonly<Record<string, FieldValue>>;

/** One measurement of one device at one moment: what a decoder makes of a message. */
export interface Reading {
  readonly site: string;
  readonly device: string;
  /** Event time, integer microseconds since the epoch. */
  readonly timeUs: number;
  /** The device's own message number, if it sends one. Part of the identity, never stored. */
  readonly seq: number | null;
  /** At least one. */
  readonly fields: Fields;
  /** When the gateway took the message: the `timestampMs` of its record. */
  readonly receivedAtMs: number;
  /** Whose clock gave `timeUs`: no `ts` in the payload means the gateway's. */
  readonly clock: 'device' | 'gateway';
}

/** `site/device`, the key of every record that concerns one device. */
export function deviceKey(site: string, device: string): string {
  return `${site}/${device}`;
}
