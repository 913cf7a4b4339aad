import { expect, test } from 'vitest';
import { AlertStates, maxResolved } from '../../web/alerts.ts';
import { alertOf } from './harness.ts';

const first = '2026-01-01T00:00:00.000Z';
const second = '2026-01-01T01:00:00.000Z';

test('of one alert the highest (startsAt, seq) counts, in whatever order it comes', () => {
  const states = new AlertStates();
  expect(states.state('a', alertOf('a', { startsAt: first, seq: 2 }))).toBe(true);
  expect(states.state('a', alertOf('a', { startsAt: first, seq: 1, status: 'pending' }))).toBe(false);
  expect(states.state('a', alertOf('a', { startsAt: first, seq: 2 }))).toBe(false);
  expect(states.state('a', alertOf('a', { startsAt: second, seq: 1, status: 'pending' }))).toBe(true);
  expect(states.state('a', alertOf('a', { startsAt: first, seq: 9 }))).toBe(false);
  expect(states.current()).toMatchObject([{ startsAt: second, seq: 1, status: 'pending' }]);
});

test.each(['tombstone first', 'end first'])(
  'an alert that ended is gone from the open ones and stays as ended: %s',
  (order) => {
    const states = new AlertStates();
    const end = alertOf('a', { seq: 3, status: 'resolved' });
    states.state('a', alertOf('a', { seq: 2 }));
    if (order === 'tombstone first') {
      states.state('a', null);
      expect(states.current()).toEqual([]);
      expect(states.published(end)).toBe(true);
    } else {
      expect(states.published(end)).toBe(true);
      states.state('a', null);
    }
    expect(states.current()).toEqual([end]);
    expect(states.published(end)).toBe(false);
    // A state that was on its way, and one written once more after a take-over.
    expect(states.state('a', alertOf('a', { seq: 2 }))).toBe(false);
    expect(states.current()).toEqual([end]);
  },
);

test('a device that is in alert again shows its new episode alone', () => {
  const states = new AlertStates();
  states.published(alertOf('a', { startsAt: first, seq: 3, status: 'resolved' }));
  states.state('a', alertOf('a', { startsAt: second }));
  expect(states.current()).toMatchObject([{ startsAt: second, status: 'firing' }]);
});

test('open states come from the state topic alone: an old transition revives nothing', () => {
  const states = new AlertStates();
  expect(states.published(alertOf('a', { seq: 2 }))).toBe(false);
  expect(states.current()).toEqual([]);
});

test('newest first; of the ended ones the last hundred stay', () => {
  const states = new AlertStates();
  const startsAt = (minute: number) => new Date(Date.parse(first) + minute * 60_000).toISOString();
  for (let i = 0; i <= maxResolved; i++) {
    states.published(alertOf(`ended-${i}`, { startsAt: startsAt(i), status: 'resolved' }));
  }
  states.state('open', alertOf('open', { startsAt: startsAt(50.5) }));
  const current = states.current();
  expect(current).toHaveLength(maxResolved + 1);
  expect(current.map(({ fingerprint }) => fingerprint)).not.toContain('ended-0');
  expect(current[0]!.fingerprint).toBe(`ended-${maxResolved}`);
  const times = current.map((alert) => alert.startsAt);
  expect(times).toEqual([...times].sort().reverse());
});
