/** The alerts of one device on the alerts topic against those that the rules must raise. */
import type { Rule } from '../processors/rules/file.ts';
import type { SeenAlert } from './evidence.ts';
import type { Findings } from './findings.ts';
import { rangeOf } from './readings.ts';
import type { Reference } from './reference.ts';
import { alertIdOf, type Transition, timeText, transitionsOf } from './rules.ts';
import type { DeviceTruth } from './truth-file.ts';

export function compareAlerts(
  { site, device, key }: DeviceTruth,
  { samples }: Reference,
  rules: readonly Rule[],
  alerts: readonly SeenAlert[],
  findings: Findings,
): void {
  const from = timeText(firstTimeUs(samples));
  for (const rule of rules) {
    if (!rule.matches(site, device)) continue;
    const own = alerts.filter(({ rule: name, startsAt }) => name === rule.name && startsAt >= from);
    const seen = Map.groupBy(own, nameOf);
    const transitions = transitionsOf(rule, samples.get(rule.field) ?? []);
    const open = new Set(transitions.map(({ startsAtUs }) => timeText(startsAtUs)));
    for (const transition of transitions) {
      findings.alertsExpected++;
      const startsAt = timeText(transition.startsAtUs);
      if (transition.status === 'resolved') open.delete(startsAt);
      const name = nameOf({ ...transition, startsAt });
      const copies = seen.get(name);
      seen.delete(name);
      if (transition.status === 'firing') findings.countAlert(transition.faults, copies !== undefined);
      if (copies === undefined) {
        const text = `${rule.name}: no alert "${name}", due at ${timeText(transition.timeUs)}`;
        findings.add({ kind: 'alert', device: key, text });
      } else compareCopies(transition, copies, alertIdOf(transition, site, device), key, findings);
    }
    for (const [name, copies] of seen) {
      const { reason, startsAt } = copies[0]!;
      if ((reason === 'rule_removed' || reason === 'device_forgotten') && open.has(startsAt)) {
        findings.alertsEndedOtherwise++;
        continue;
      }
      findings.alertsUnexpected++;
      findings.add({ kind: 'alert', device: key, text: `${rule.name}: alert "${name}" is not due` });
    }
  }
}

/** Copies of one transition: the first counts, with the same id all others are repeats. */
function compareCopies(
  transition: Transition,
  copies: readonly SeenAlert[],
  id: string,
  device: string,
  findings: Findings,
): void {
  const first = copies[0]!;
  const name = `${transition.rule}: alert "${nameOf(first)}"`;
  findings.alertsMatched++;
  findings.alertRepeats += copies.length - 1;
  findings.alertDelaysMs.push(first.timestampMs - transition.timeUs / 1000);
  const ids = [...new Set(copies.map((copy) => copy.id))];
  if (ids.length > 1) {
    findings.add({ kind: 'alertId', device, text: `${name} has ${ids.length} ids: ${ids.join(', ')}` });
  } else if (first.id !== id) {
    findings.add({ kind: 'alertId', device, text: `${name} has the id ${first.id}, its facts give ${id}` });
  } else if (first.value !== transition.value) {
    const text = `${name} has the value ${first.value} instead of ${transition.value}`;
    findings.add({ kind: 'alert', device, text });
  }
}

function nameOf({ startsAt, seq, status }: { startsAt: string; seq: number; status: string }): string {
  return `${status} (${seq}) since ${startsAt}`;
}

/** Alerts of before belong to another run. */
function firstTimeUs(samples: Reference['samples']): number {
  const firsts = [...samples.values()].map((values) => rangeOf(values).fromUs);
  return firsts.reduce((first, timeUs) => Math.min(first, timeUs), 8.64e18);
}
