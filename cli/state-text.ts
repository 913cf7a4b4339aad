/** What `sluice state show` prints for people. */
import { total } from '../core/ledger.ts';
import type { DeviceBrief, DeviceReport, InspectContext, PartitionReport, StateReport } from '../processors/inspect.ts';
import { ago, bytesText, isoMs, isoUs, rows, spanText } from './text.ts';

export function partitionText(
  { partition, commit, problem, state }: PartitionReport,
  { topics, group }: Pick<InspectContext, 'topics' | 'group'>,
  nowMs: number,
  device: string | null,
): string {
  const title = `Partition ${partition} of ${topics.raw}, group ${group}`;
  if (commit === null) return `${title}\n${rows([['committed', 'nothing yet']])}\n`;
  const { current, previous } = commit;
  const before = previous === null ? 'none before it' : `before it ${previous.id} at ${previous.offset}`;
  const lines: [string, string][] = [
    ['committed', `offset ${commit.offset}: snapshot ${current.id}, version ${current.version}; ${before}`],
    ...(problem === null ? [] : [['PROBLEM', problem] as [string, string]]),
    ...(state === null ? [] : stateRows(state, nowMs)),
  ];
  if (problem !== null && state === null) lines.push(['snapshot', 'none can be read']);
  const own = device === null || state === null ? '' : `\n${deviceText(device, state.device, nowMs)}`;
  return `${title}\n${rows(lines)}\n${own}`;
}

function stateRows(state: StateReport, nowMs: number): [string, string][] {
  const { snapshot, settle, ledger } = state;
  const size = `${bytesText(state.bytes)} in ${snapshot.chunks} chunks`;
  const devices = [
    String(state.devices),
    ...(state.newest === null ? [] : [`heard of last ${briefText(state.newest)}`]),
    ...(state.biggest === null ? [] : [`biggest ${briefText(state.biggest)}, ${bytesText(state.biggest.bytes)}`]),
  ];
  const windows = Object.entries(state.windows).map(
    ([every, { open, provisional, final }]) => `${every} ${open} open, ${provisional} provisional, ${final} final`,
  );
  return [
    ['snapshot', `${snapshot.id} at offset ${snapshot.offset}: ${size}, written ${ago(state.writtenAtMs, nowMs)}`],
    ['clock', isoMs(state.clockMs)],
    ['devices', devices.join('; ')],
    ['windows', `${windows.join('; ')} (final ones can still be corrected)`],
    ['settling', `${settle.points} points and ${settle.alerts} alert states are written once more`],
    ...state.openAlerts.map(({ rule, site, device, status, startsAt }): [string, string] => [
      'open alert',
      `${rule} of ${site}/${device}, ${status} since ${startsAt}`,
    ]),
    ...state.skewed.map(({ site, device, skewMs }): [string, string] => [
      'clock off',
      `${site}/${device} is ${skewText(skewMs)}`,
    ]),
    [
      'ledger',
      `${ledger.nextOffset - ledger.firstOffset} records: ${ledger.ticks} ticks, ${ledger.redelivered} redelivered, ${ledger.messages} messages`,
    ],
    [
      '',
      `messages: ${ledger.decoded} decoded, ${total(ledger.ignored)} ignored, ${total(ledger.deadLettered)} dead-lettered`,
    ],
    [
      '',
      `readings: ${ledger.readings}, of them ${ledger.duplicates} duplicates, ${total(ledger.rejected)} rejected, ${ledger.accepted} accepted`,
    ],
    [
      '',
      `accepted: ${ledger.windowed} in windows, ${ledger.late} late, ${total(ledger.notWindowed)} in no window; ${ledger.stored} stored, ${total(ledger.refused)} refused`,
    ],
  ];
}

function deviceText(name: string, device: DeviceReport | null, nowMs: number): string {
  if (device === null) return `Device ${name}\n${rows([['', 'nothing is known of it']])}\n`;
  const { seen, newestUs, watermarkUs, horizonUs } = device;
  const since = seen.oldestUs === null ? '' : ` since ${isoUs(seen.oldestUs)}`;
  return `Device ${name}\n${rows([
    ['heard of', `${ago(device.lastSeenMs, nowMs)}; ${bytesText(device.bytes)} of the snapshot`],
    ['newest', newestUs === null ? 'none of its readings counted' : isoUs(newestUs)],
    ['watermark', watermarkUs === null ? '–' : `${isoUs(watermarkUs)}: windows that end by then are final`],
    ['horizon', horizonUs === null ? '–' : `${isoUs(horizonUs)}: readings before it are late`],
    ['clock', device.clockSkewMs === 0 ? 'right, as far as is known' : skewText(device.clockSkewMs)],
    ['duplicates', `known by ${seen.count} readings${since}, and ${seen.untimed} without a time`],
    ...device.windows.map(({ every, startUs, state, fields }): [string, string] => [
      `window ${every}`,
      `${isoUs(startUs)} ${state}: ${fields.map(({ name: field, count, written }) => `${field} ${count} values, written ${written}×`).join('; ')}`,
    ]),
    ...device.others.map(({ name: other, bytes }): [string, string] => ['windows', `${other}: ${bytesText(bytes)}`]),
    ...device.rules.map(({ rule, field, phase, alert }): [string, string] => [
      'rule',
      `${rule} over ${field}: ${phase}${alert === null ? '' : ` since ${alert.startsAt}`}`,
    ]),
  ])}\n`;
}

function briefText({ site, device, lastSeenMs }: DeviceBrief): string {
  return `${site}/${device} (${isoMs(lastSeenMs)})`;
}

function skewText(skewMs: number): string {
  return skewMs > 0
    ? `ahead by ${spanText(skewMs)}`
    : `behind by ${spanText(-skewMs)}, or its readings are always as late`;
}
