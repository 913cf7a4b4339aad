/** The levels of rollups: what is told when, and of what it is made. */
import { describe, expect, test } from 'vitest';
import type { BusRecord } from '../../bus/port.ts';
import { resolveConfig } from '../../core/config.ts';
import type { ProcessingOptions } from '../../processors/options.ts';
import { Topology } from '../../processors/topology.ts';
import { rawRecord, startMs } from './records.ts';

const { processing } = resolveConfig({ env: {}, flags: {}, readText: () => '' });
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** A reading that came at once, or (with `at`) when the clock had come that far. */
function record(time: number, fields: object, offset: number, at = time): BusRecord {
  return rawRecord({ payload: { ts: time, ...fields }, atMs: at - startMs }, offset);
}

class Run {
  topology: Topology;
  #offset = 0;
  #nowMs = 0;

  readonly #options: ProcessingOptions;

  /** Silent for as long as it likes, unless a test says otherwise. */
  constructor(over: Partial<ProcessingOptions> = {}) {
    this.#options = { ...processing, idleAfterMs: processing.forgetAfterMs, ...over };
    this.topology = new Topology(this.#options, [], 0);
  }

  /** Takes a reading; what it made of windows, as `1h a 12:00 rev 0 n 5`, with a `?` where it is not final. */
  take(timeMs: number, fields: object = { a: 1 }): string[] {
    this.#nowMs = Math.max(this.#nowMs, timeMs);
    this.topology.process(record(timeMs, fields, this.#offset++, this.#nowMs));
    return this.told();
  }

  silence(untilMs: number): string[] {
    this.#nowMs = untilMs;
    this.topology.process(rawRecord(untilMs - startMs, this.#offset++));
    return this.told();
  }

  finish(): string[] {
    this.topology.finish();
    return this.told();
  }

  told(): string[] {
    const lines = this.topology.outputs.rollups.map(({ series, timeUs, fields }) => {
      const { revision, count, final } = fields;
      const start = new Date(timeUs / 1000).toISOString().slice(8, 16);
      return `${series.measurement.slice(7)} ${series.tags.field} ${start} rev ${revision} n ${count}${final === true ? '' : '?'}`;
    });
    this.topology.outputs.clear();
    return lines;
  }

  restart(over: Partial<ProcessingOptions> = {}): void {
    const restored = new Topology({ ...this.#options, ...over }, [], 0);
    restored.restore(this.topology.snapshot());
    expect(restored.snapshot().equals(this.topology.snapshot())).toBe(Object.keys(over).length === 0);
    this.topology = restored;
  }
}

const noon = startMs;
const midnight = startMs + 12 * hourMs;

describe('levels of rollups', () => {
  test('close by the watermark, minutes first, and each tells its parts', () => {
    const run = new Run();
    expect(run.take(midnight - 90 * minuteMs)).toEqual([]);
    expect(run.take(midnight - 30 * minuteMs)).toEqual(['1m a 01T22:30 rev 0 n 1', '1h a 01T22:00 rev 0 n 1']);
    expect(run.take(midnight - 1)).toEqual(['1m a 01T23:30 rev 0 n 1']);
    expect(run.take(midnight + 6000, { a: 1, b: 2 })).toEqual([
      '1m a 01T23:59 rev 0 n 1',
      '1h a 01T23:00 rev 0 n 2',
      '1d a 01T00:00 rev 0 n 3',
    ]);
    expect(run.finish()).toEqual([
      '1m a 02T00:00 rev 0 n 1',
      '1m b 02T00:00 rev 0 n 1',
      '1h a 02T00:00 rev 0 n 1',
      '1h b 02T00:00 rev 0 n 1',
      '1d a 02T00:00 rev 0 n 1',
      '1d b 02T00:00 rev 0 n 1',
    ]);
  });

  test('a late reading corrects its minute, then its hour and day if they are final; only its own fields', () => {
    const run = new Run();
    run.take(midnight - 2 * minuteMs, { a: 1, b: 2, c: 3 });
    run.take(midnight - minuteMs, { a: 1 });
    expect(run.take(midnight - 110_000, { b: 5, a: 4 })).toEqual([]);
    run.take(midnight + minuteMs, { a: 1 });
    expect(run.take(midnight - 100_000, { b: 5, a: 4 })).toEqual([
      '1m b 01T23:58 rev 1 n 3',
      '1m a 01T23:58 rev 1 n 3',
      '1h b 01T23:00 rev 1 n 3',
      '1h a 01T23:00 rev 1 n 4',
      '1d b 01T00:00 rev 1 n 3',
      '1d a 01T00:00 rev 1 n 4',
    ]);
    // A minute that is new, and a field that is.
    expect(run.take(midnight - 5 * minuteMs, { d: 1 })).toEqual([
      '1m d 01T23:55 rev 0 n 1',
      '1h d 01T23:00 rev 0 n 1',
      '1d d 01T00:00 rev 0 n 1',
    ]);
    run.restart();
    expect(run.take(midnight - 5 * minuteMs + 1, { d: 1 })).toEqual([
      '1m d 01T23:55 rev 1 n 2',
      '1h d 01T23:00 rev 1 n 2',
      '1d d 01T00:00 rev 1 n 2',
    ]);
    // The hour before is not over yet for a correction: no window above is.
    run.take(midnight + 5 * minuteMs, { a: 1 });
    expect(run.take(midnight + 2 * minuteMs, { a: 1 })).toEqual(['1m a 02T00:02 rev 0 n 1']);
  });

  test('silence closes them provisionally, and a reading opens again those that it is in', () => {
    const run = new Run({ idleAfterMs: 15_000 });
    run.take(midnight - minuteMs);
    expect(run.silence(midnight + minuteMs)).toEqual([
      '1m a 01T23:59 rev 0 n 1?',
      '1h a 01T23:00 rev 0 n 1?',
      '1d a 01T00:00 rev 0 n 1?',
    ]);
    expect(run.silence(midnight + 2 * minuteMs)).toEqual([]);
    run.restart();
    expect(run.take(midnight - 30_000)).toEqual([]);
    expect(run.silence(midnight + 3 * minuteMs)).toEqual([
      '1m a 01T23:59 rev 1 n 2?',
      '1h a 01T23:00 rev 1 n 2?',
      '1d a 01T00:00 rev 1 n 2?',
    ]);
    // A minute that was never open; its hour is, again.
    expect(run.take(midnight - 2 * minuteMs)).toEqual(['1m a 01T23:58 rev 0 n 1']);
    expect(run.take(midnight + 4 * minuteMs)).toEqual([
      '1h a 01T23:00 rev 2 n 3?',
      '1d a 01T00:00 rev 2 n 3?',
      '1m a 01T23:59 rev 2 n 2',
      '1h a 01T23:00 rev 3 n 3',
      '1d a 01T00:00 rev 3 n 3',
    ]);
  });

  test('those that are not written are computed all the same', () => {
    const every = (...rollups: ('1m' | '1h' | '1d')[]) => {
      const run = new Run({ rollups });
      const told: string[] = [];
      for (let n = 0; n < 300; n++) told.push(...run.take(midnight - 2 * hourMs + n * minuteMs));
      return told;
    };
    expect(every('1d')).toEqual(['1d a 01T00:00 rev 0 n 120']);
    expect(every('1h')).toEqual(['01T22', '01T23', '02T00', '02T01'].map((hour) => `1h a ${hour}:00 rev 0 n 60`));
    expect(every('1m')).toHaveLength(298);
    expect(every('1m').every((line) => line.startsWith('1m'))).toBe(true);
    expect(every('1m', '1d')).toEqual([...every('1m').slice(0, 120), ...every('1d'), ...every('1m').slice(120)]);
  });

  test.each([
    ['Europe/Berlin', '2026-03-29', 23, '28T23:00'],
    ['Europe/Berlin', '2026-10-25', 25, '24T22:00'],
    ['Asia/Kolkata', '2026-01-02', 24, '01T18:30'],
    ['Australia/Lord_Howe', '2026-04-05', 24.5, '04T13:00'],
  ])('a day in %s on %s has its %f hours', (timeZone, date, dayHours, start) => {
    const run = new Run({ timeZone, rollups: ['1d'] });
    const fromMs = Date.parse(`${date}T00:00:00Z`) - 36 * hourMs;
    const told: string[] = [];
    for (let n = 0; n < 84 * 6; n++) told.push(...run.take(fromMs + n * 10 * minuteMs));
    expect(told).toContain(`1d a ${start} rev 0 n ${dayHours * 6}`);
  });

  test('a change of the zone begins days anew from what is still there, a level less is dropped, the rest goes on', () => {
    const run = new Run();
    for (let n = 0; n < 60; n++) run.take(noon + n * minuteMs);
    run.restart({ timeZone: 'Asia/Tokyo' });
    const told = run.finish();
    expect(told).toContain('1h a 01T12:00 rev 0 n 60');
    const [day] = told.filter((line) => line.startsWith('1d'));
    expect(day).toMatch(/^1d a 31T15:00 rev 0 n (1\d|2\d|60)$/);

    const fewer = new Run();
    for (let n = 0; n < 60; n++) fewer.take(noon + n * minuteMs);
    fewer.restart({ rollups: ['1m', '1h'] });
    expect(fewer.finish()).toEqual(['1m a 01T12:58 rev 0 n 1', '1m a 01T12:59 rev 0 n 1', '1h a 01T12:00 rev 0 n 60']);
  });
});
