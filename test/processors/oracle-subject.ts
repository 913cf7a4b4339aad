/** The stages of the processor as the oracle is compared with them. */
import { resolveConfig } from '../../core/config.ts';
import type { ProcessingOptions } from '../../processors/options.ts';
import type { Outputs } from '../../processors/outputs.ts';
import { parseRules, type Rule } from '../../processors/rules/file.ts';
import { Topology } from '../../processors/topology.ts';
import { type Actual, differenceOf } from '../support/oracle/compare.ts';
import { type CaseConfig, fileOf, rulesTextOf } from '../support/oracle/config.ts';
import { describeEvent, recordOf, type StreamEvent } from '../support/oracle/events.ts';
import { outcomesOf } from '../support/oracle/oracle.ts';
import { shrink } from '../support/oracle/shrink.ts';
import type { Case } from '../support/oracle/stream.ts';

/** The configuration as the command line resolves it. */
export function settingsOf(config: CaseConfig): { options: ProcessingOptions; rules: Rule[] } {
  const file = { name: 'sluice.yaml', content: fileOf(config) };
  const { processing, windows } = resolveConfig({ file, env: {}, flags: {}, readText: () => '' });
  return { options: { ...processing, windows }, rules: parseRules(rulesTextOf(config), 'rules.yaml') };
}

/** What the oracle says that the stages do otherwise first, snapshots and restarts among it; `null`: nothing. */
export function firstDifference({ events, config }: Pick<Case, 'events' | 'config'>): string | null {
  const { options, rules } = settingsOf(config);
  const start = () => {
    const started = new Topology(options, rules, 0);
    started.outputs.duplicates = [];
    return started;
  };
  let topology = start();
  for (const [i, expected] of outcomesOf(events, config, true).entries()) {
    const event = events[i];
    if (event === undefined) topology.finish();
    else topology.process(recordOf(event, i));
    const difference = differenceOf(expected, actualOf(topology.outputs));
    if (difference !== null)
      return `event ${i} (${event === undefined ? 'the end' : describeEvent(event)}): ${difference}`;
    topology.outputs.clear();
    if (i % config.restartEvery === config.restartEvery - 1) {
      const snapshot = topology.snapshot();
      topology = start();
      topology.restore(snapshot);
    }
  }
  return null;
}

function actualOf({ raw, late, duplicates, deadLetters, rollups, alerts }: Outputs): Actual {
  return {
    accepted: raw.map(({ point: { series, timeUs, fields } }) => ({ device: series.tags.device!, timeUs, fields })),
    late: late.map(({ reading: { device, timeUs, fields } }) => ({ device, timeUs, fields })),
    duplicates: duplicates!.length,
    deadLetters: deadLetters.map(({ reason }) => reason),
    emissions: rollups.map(({ series: { measurement, tags }, timeUs, fields }) => ({
      measurement,
      tags,
      timeUs,
      fields,
    })),
    alerts: alerts.map(({ alert }) => alert),
  };
}

/** Events of a failure that are told. */
const listed = 60;

/** The failure of a case with as few events, windows and rules as show one: what a test says. */
export function shrunk({ seed, config, events }: Case): string {
  const fails = (some: readonly StreamEvent[], under: CaseConfig) =>
    firstDifference({ events: some, config: under }) !== null;
  let fewer = config;
  for (const name of ['windows', 'rules'] as const) {
    for (const entry of config[name]) {
      const without = { ...fewer, [name]: fewer[name].filter((other) => other !== entry) };
      if (fails(events, without)) fewer = without;
    }
  }
  const kept = shrink(events, (some) => fails(some, fewer));
  return [
    `seed ${seed}: ${firstDifference({ events: kept, config: fewer })}`,
    `config ${JSON.stringify(fewer)}`,
    ...kept.slice(0, listed).map((event, i) => `${i}: ${describeEvent(event)}`),
    ...(kept.length > listed ? [`and ${kept.length - listed} more`] : []),
  ].join('\n');
}
