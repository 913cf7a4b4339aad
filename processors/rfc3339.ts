/** Microseconds since the epoch as RFC 3339 in UTC; microseconds are shown only where there are any. */
export function rfc3339(timeUs: number): string {
  const ms = Math.floor(timeUs / 1000);
  const text = new Date(ms).toISOString();
  const us = timeUs - ms * 1000;
  return us === 0 ? text : `${text.slice(0, -1)}${String(us).padStart(3, '0')}Z`;
}
