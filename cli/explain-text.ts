/** What `sluice explain` prints for people. */
import type { Fields } from '../core/reading.ts';
import { type Explanation, isEmpty, type Question, type StoredPoint } from '../processors/explain/explain.ts';
import type { Emission, LatePlace, Listed, Place } from '../processors/explain/recorder.ts';
import { isoMs, isoUs, rows, spanText } from './text.ts';

/** Of a long list, as many; `--json` has a hundred. */
const shown = 10;

export function explanationText(question: Question, explanation: Explanation | null): string {
  const { name, field, site, device, timeUs } = question;
  if (explanation === null) {
    return `${name} of ${field}, ${site}/${device}: no session is stored that holds ${isoUs(timeUs)}`;
  }
  const { startUs, endUs } = explanation;
  const title = `${name} of ${field}, ${site}/${device}: ${isoUs(startUs)} to ${isoUs(endUs)}`;
  return `${title}\n${rows([
    ...readingRows(explanation),
    ...writtenRows(explanation.emissions),
    ...(explanation.points.length === 0 ? [nothingStored(explanation)] : explanation.points.flatMap(storedRows)),
    ['replayed', replayText(explanation)],
  ])}`;
}

function nothingStored(explanation: Explanation): [string, string] {
  return ['stored', isEmpty(explanation) ? 'nothing' : 'nothing yet'];
}

function readingRows({ readings, duplicates, late, deadLettered }: Explanation): [string, string][] {
  const { count, written, first, last } = readings;
  const since = written === 0 || written === count ? '' : `, ${count - written} of them since it was written last`;
  const lines: [string, string][] = [];
  if (first === null || last === null) lines.push(['readings', 'none counted']);
  else lines.push(['readings', `${count} counted${since}\nfirst ${placeText(first)}\nlast  ${placeText(last)}`]);
  if (duplicates.count > 0) lines.push(['duplicates', `${duplicates.count} dropped${listText(duplicates, placeText)}`]);
  if (late.count > 0) lines.push(['late', `${late.count}, in no window${listText(late, lateText)}`]);
  if (deadLettered > 0) lines.push(['rejected', `${deadLettered} of the device in the dead-letter topic meanwhile`]);
  return lines;
}

function writtenRows(emissions: Listed<Emission>): [string, string][] {
  if (emissions.count === 0) return [['written', 'not yet']];
  return [['written', `${emissions.count} times${listText(emissions, emissionText)}`]];
}

function emissionText({ cause, offset, receivedAtMs, readingTimeUs, state, fields }: Emission): string {
  const { revision, final, ...values } = fields;
  const why = {
    watermark: 'newer readings closed it',
    silence: 'the device was silent, it may go on',
    correction: `a reading of ${timeText(readingTimeUs)} corrected it`,
    forgotten: 'the device was forgotten',
  }[cause];
  const at = `offset ${offset} (${isoMs(receivedAtMs)})`;
  return `revision ${revision}${state === null ? '' : ` of ${state}`}, at ${at}: ${why}: ${valuesText(briefly(values))}`;
}

function storedRows({ state, stored, recomputed, isEqual }: StoredPoint): [string, string][] {
  const of = state === null ? '' : `${state}: `;
  if (stored === null) return [['stored', `${of}nothing yet: a processor has not come so far, or the store let it go`]];
  const is = `revision ${stored.revision}, ${stored.final === true ? 'final' : 'provisional'}`;
  const lines: [string, string][] = [['stored', `${of}${is}: ${valuesText(withoutState(stored))}`]];
  if (isEqual) lines.push(['recomputed', `${of}the same`]);
  else if (recomputed === null) lines.push(['recomputed', `${of}nothing: its readings are gone from the bus`]);
  else lines.push(['recomputed', `${of}${differenceText(stored, recomputed)}`]);
  return lines;
}

function differenceText(stored: Fields, recomputed: Fields): string {
  const [is, would] = [Number(stored.revision), Number(recomputed.revision)];
  const why =
    is < would
      ? 'a processor has not come so far'
      : is > would
        ? 'it was rewritten since, by `sluice recompute` for one, or what was before is gone from the bus'
        : 'records are gone from the bus, or the configuration was another one';
  return `revision ${would}: ${valuesText(withoutState(recomputed))}\nnot the same: ${why}`;
}

function withoutState({ revision: _revision, final: _final, ...values }: Fields): Fields {
  return values;
}

function replayText({ topic, partition, fromOffset, toOffset, isCut, isSettled }: Explanation): string {
  const range = toOffset > fromOffset ? `offsets ${fromOffset} to ${toOffset - 1}` : 'no offsets';
  const cut = isCut ? '\nearlier records are gone from the bus: what is told may lack some' : '';
  const end = isSettled
    ? 'settled: nothing can change the window any more'
    : 'not settled: a reading can still change it';
  return `${range} of partition ${partition} of ${topic}${cut}\n${end}`;
}

function listText<T>({ count, first }: Listed<T>, text: (item: T) => string): string {
  const lines = first.slice(0, shown).map((item) => `\n${text(item)}`);
  return [...lines, ...(count > shown ? [`\n… and ${count - shown} more`] : [])].join('');
}

function placeText({ offset, index, ingestId, timeUs }: Place): string {
  const part = index === 0 ? '' : `, reading ${index} of its message`;
  return `offset ${offset}${part}, of ${timeText(timeUs)}${ingestId === '' ? '' : `, ingest.id ${ingestId}`}`;
}

function lateText(place: LatePlace): string {
  return `${placeText(place)}, ${spanText(place.lateByMs)} after its minute was final`;
}

/** What tells one revision from the next at a glance; all values are told of the stored one. */
function briefly(values: Fields): Fields {
  const { count, mean } = values;
  return count === undefined || mean === undefined ? values : { count, mean };
}

function timeText(timeUs: number | null): string {
  return timeUs === null ? 'another time' : isoUs(timeUs).slice(11, -1);
}

function valuesText(values: Fields): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
}
