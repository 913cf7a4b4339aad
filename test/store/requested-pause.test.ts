import { expect, test } from 'vitest';
import { RequestedPause } from '../../store/influx/requested-pause.ts';
import { ManualClock } from '../support/manual-clock.ts';

const startMs = Date.UTC(2026, 0, 1);

function pauseAfter(header: unknown) {
  const clock = new ManualClock(startMs);
  const pause = new RequestedPause(clock);
  return { clock, pause, askedMs: pause.begin(header) };
}

test.each([
  ['7', 7000],
  [new Date(startMs + 9000).toUTCString(), 9000],
  ['86400', 300_000],
])('Retry-After: %s', (header, expectedMs) => {
  const { clock, pause, askedMs } = pauseAfter(header);
  expect(askedMs).toBe(expectedMs);
  clock.advance(expectedMs - 1);
  expect(() => pause.check()).toThrow(expect.objectContaining({ code: 'STORE_UNAVAILABLE', retryAfterMs: 1 }));
  clock.advance(1);
  pause.check();
});

test.each([undefined, '', '0', '-1', 'soon', new Date(startMs - 1000).toUTCString()])('no pause for %j', (header) => {
  const { pause, askedMs } = pauseAfter(header);
  expect(askedMs).toBeUndefined();
  pause.check();
});

test('a clock that is put back does not make it longer', () => {
  const { clock, pause } = pauseAfter('7');
  clock.advance(-3_600_000);
  pause.check();
});
