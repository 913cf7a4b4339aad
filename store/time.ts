/** A point's time in milliseconds, fractional. A double holds it to a quarter of a microsecond in our century. */
export function pointTimeMs(timeUs: number, k: number): number {
  return (timeUs + k / 1000) / 1000;
}

/** The bound of a range in microseconds. What is further than any point can be is as good as without a bound. */
export function boundUs(ms: number): number {
  return Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, Math.round(ms * 1000)));
}
