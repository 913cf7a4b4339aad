/** Minutes since the epoch: what every window is made of, and what the horizon of a device is rounded to. */
export const minuteUs = 60_000_000;

export function minuteOf(timeUs: number): number {
  return Math.floor(timeUs / minuteUs);
}

export function minuteStartUs(timeUs: number): number {
  return minuteOf(timeUs) * minuteUs;
}
