import { expect, test } from 'vitest';
import { plan, type Victim } from './schedule.ts';

const victims: Victim[] = [
  { name: 'gateway', kinds: ['kill', 'restart', 'freeze', 'shift'] },
  { name: 'disk', kinds: ['fill'] },
];

test('the same seed makes the same plan, another seed another one', () => {
  expect(plan(7, victims, 60_000, 12)).toEqual(plan(7, victims, 60_000, 12));
  expect(plan(8, victims, 60_000, 12)).not.toEqual(plan(7, victims, 60_000, 12));
});

test('every part suffers the first of its kinds, in order of time and while the load is on', () => {
  const kinds = new Set<string>();
  for (let seed = 0; seed < 100; seed++) {
    const faults = plan(seed, victims, 60_000, 12);
    expect(faults).toHaveLength(12);
    expect(faults).toContainEqual(expect.objectContaining({ part: 'gateway', kind: 'kill' }));
    expect(faults).toContainEqual(expect.objectContaining({ part: 'disk', kind: 'fill' }));
    expect(faults.map(({ atMs }) => atMs)).toEqual(faults.map(({ atMs }) => atMs).sort((a, b) => a - b));
    for (const { atMs, kind, shiftMs } of faults) {
      expect(atMs).toBeGreaterThan(0);
      expect(atMs).toBeLessThan(60_000);
      if (kind !== 'shift') expect(shiftMs).toBe(0);
      kinds.add(kind);
    }
  }
  expect([...kinds].sort()).toEqual(['fill', 'freeze', 'kill', 'restart', 'shift']);
});

test('a plan never leaves a part out, however few faults are asked for', () => {
  expect(
    plan(1, victims, 60_000, 0)
      .map(({ part }) => part)
      .sort(),
  ).toEqual(['disk', 'gateway']);
});

test('who is to be killed is, besides', () => {
  const killed = ['gateway', 'gateway', 'gateway'];
  for (let seed = 0; seed < 20; seed++) {
    const kills = plan(seed, victims, 60_000, 4, killed).filter(({ kind }) => kind === 'kill');
    expect(kills).toHaveLength(killed.length + 1);
  }
});
