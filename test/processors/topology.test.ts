import { describe, expect, test } from 'vitest';
import type { BusRecord } from '../../bus/port.ts';
import { resolveConfig } from '../../core/config.ts';
import { imbalances } from '../../core/ledger.ts';
import { parseRules } from '../../processors/rules/file.ts';
import { Topology } from '../../processors/topology.ts';
import { unrulyFleet } from './records.ts';

const { processing } = resolveConfig({ env: {}, flags: {}, readText: () => '' });
const rules = parseRules(
  `
- { name: hot, severity: critical, field: temperature, when: { above: 30, clear: 27 } }
- { name: warm, severity: warning, field: temperature, when: { above: 25 }, for: 3s }
- { name: slow, severity: info, field: rpm, when: { below: 2, clear: 4 }, devices: { device: 's[0-9]' } }
`,
  'rules.yaml',
);

/** Everything a topology puts out, as text. */
function outputsOf({ outputs }: Topology): string[] {
  const lines = [
    ...outputs.raw.map(({ point, index }) => `raw ${JSON.stringify([point, index])}`),
    ...outputs.rollups.map((point) => `rollup ${JSON.stringify(point)}`),
    ...outputs.alerts.map((alert) => `alert ${JSON.stringify(alert)}`),
    ...outputs.late.map(({ source, ...late }) => `late ${source.offset} ${JSON.stringify(late)}`),
    ...outputs.deadLetters.map(({ source, ...letter }) => `dead letter ${source.offset} ${JSON.stringify(letter)}`),
  ];
  outputs.clear();
  return lines;
}

function runWhole(records: readonly BusRecord[]) {
  const topology = new Topology(processing, rules, 0);
  const lines: string[] = [];
  for (const record of records) {
    topology.process(record);
    lines.push(...outputsOf(topology));
  }
  return { lines, snapshot: topology.snapshot(), ledger: topology.ledger };
}

describe.each([1, 2, 3, 4, 5, 6, 7, 8])('an unruly fleet, seed %i', (seed) => {
  const records = unrulyFleet(seed, 3000);
  const whole = runWhole(records);

  test('outputs and state are the same however often and wherever the run is cut by a snapshot and a restart', () => {
    for (const every of [1, 7, 100, 1111]) {
      let topology = new Topology(processing, rules, 0);
      const lines: string[] = [];
      for (const [n, record] of records.entries()) {
        topology.process(record);
        lines.push(...outputsOf(topology));
        if (n % every !== 0 || (every === 1 && n > 400)) continue;
        const restored = new Topology(processing, rules, 0);
        restored.restore(topology.snapshot());
        topology = restored;
      }
      expect(lines).toEqual(whole.lines);
      expect(topology.snapshot().equals(whole.snapshot)).toBe(true);
    }
  });

  test('the ledger balances after every record, but for what the store has not answered yet', () => {
    const topology = new Topology(processing, rules, 0);
    for (const record of records) {
      topology.process(record);
      topology.ledger.stored += topology.outputs.raw.length;
      topology.outputs.clear();
      expect(imbalances(topology.ledger)).toEqual([]);
    }
  });

  test('everything the generator can do does happen', () => {
    const { ledger } = whole;
    expect(ledger).toMatchObject({ messages: expect.any(Number), rejected: { future: expect.any(Number) } });
    for (const n of [ledger.ticks, ledger.redelivered, ledger.duplicates, ledger.late, ledger.notWindowed.no_number]) {
      expect(n).toBeGreaterThan(0);
    }
    expect(whole.lines.some((line) => line.startsWith('rollup') && line.includes('"final":false'))).toBe(true);
    expect(whole.lines.filter((line) => line.startsWith('alert')).length).toBeGreaterThan(10);
  });

  test('no alert id comes twice, and within an episode seq counts up', () => {
    const alerts = whole.lines
      .filter((line) => line.startsWith('alert '))
      .map((line) => JSON.parse(line.slice(6)).alert);
    expect(new Set(alerts.map(({ id }) => id)).size).toBe(alerts.length);
    for (const episode of Object.values(Object.groupBy(alerts, ({ episodeId }) => episodeId))) {
      expect(episode!.map(({ seq }) => seq)).toEqual(episode!.map((_, i) => i + 1));
    }
  });
});
