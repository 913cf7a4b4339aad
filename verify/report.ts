/** The outcome for people and for programs, and the one sentence that says which promise is broken. */
import { imbalances, type LedgerTotals } from '../core/ledger.ts';
import type { TruthRun } from '../core/truth.ts';
import { type FaultCounts, type Problem, type ProblemKind, problemKinds, type ReasonCounts } from './findings.ts';
import type { Outcome } from './verify.ts';

export const reportSchemaVersion = 1;

type Promised = 'P1' | 'P2' | 'P3';

export interface VerifyReport {
  readonly schemaVersion: typeof reportSchemaVersion;
  readonly ok: boolean;
  /** The closing line. */
  readonly verdict: string;
  readonly broken: readonly Promised[];
  readonly run: TruthRun;
  readonly devices: number;
  /** Devices for which the raw topic was asked, because truth, store and topics did not agree at once. */
  readonly devicesAskedInRaw: number;
  /** `stored` to `notArrived` add up to `made`. */
  readonly messages: {
    readonly made: number;
    readonly sent: number;
    readonly acknowledged: number;
    readonly unacknowledgedArrived: number;
    readonly stored: number;
    readonly repeated: number;
    readonly deadLettered: number;
    readonly altered: number;
    readonly lost: number;
    readonly refused: number;
    readonly notSent: number;
    readonly notArrived: number;
  };
  /** Of the stored ones. */
  readonly late: number;
  readonly duplicated: { readonly storedTwice: number; readonly countedTwice: number };
  readonly invented: number;
  readonly deadLetters: ReasonCounts;
  /** Label of a fault → its messages, and what is wrong with them. */
  readonly faults: Readonly<Record<string, Readonly<FaultCounts>>>;
  readonly rollups: { readonly compared: number; readonly differing: number; readonly stillOpen: number };
  /** `null`: there are no rules to hold them against. */
  readonly alerts: AlertReport | null;
  readonly ledger: {
    readonly totals: LedgerTotals | null;
    readonly balanced: boolean;
  };
  readonly problemCounts: Readonly<Record<ProblemKind, number>>;
  readonly problems: readonly Problem[];
}

export interface AlertReport {
  readonly rules: number;
  readonly expected: number;
  readonly matched: number;
  readonly unexpected: number;
  /** 1 when there is nothing to be wrong about. */
  readonly precision: number;
  readonly recall: number;
  readonly differentIds: number;
  readonly repeats: number;
  readonly endedWithoutReading: number;
  readonly delayMs: { readonly p50: number; readonly p99: number; readonly max: number } | null;
}

export function reportOf(outcome: Outcome): VerifyReport {
  const { findings, ledger, made, sent, acknowledged } = outcome;
  const { counts } = findings;
  return {
    schemaVersion: reportSchemaVersion,
    ok: findings.total === 0,
    verdict: verdictOf(outcome),
    broken: brokenPromises(counts),
    run: outcome.run,
    devices: outcome.devices,
    devicesAskedInRaw: outcome.byLog,
    messages: {
      made,
      sent,
      acknowledged,
      unacknowledgedArrived: findings.unacknowledgedArrived,
      ...findings.fates,
    },
    late: findings.late,
    duplicated: { storedTwice: counts.storedTwice, countedTwice: counts.countedTwice },
    invented: counts.invented,
    deadLetters: findings.deadLettered,
    faults: findings.faults,
    rollups: {
      compared: findings.rollups,
      differing: counts.rollup + counts.countedTwice,
      stillOpen: findings.openWindows,
    },
    alerts: outcome.rules === 0 ? null : alertReport(outcome),
    ledger: { totals: ledger, balanced: counts.ledger === 0 },
    problemCounts: counts,
    problems: findings.problems,
  };
}

function alertReport({ rules, findings }: Outcome): AlertReport {
  const { alertsExpected: expected, alertsMatched: matched, alertsUnexpected: unexpected, alertDelaysMs } = findings;
  const sorted = Float64Array.from(alertDelaysMs).sort();
  const at = (part: number) => sorted[Math.ceil(part * sorted.length) - 1]!;
  return {
    rules,
    expected,
    matched,
    unexpected,
    precision: matched + unexpected === 0 ? 1 : matched / (matched + unexpected),
    recall: expected === 0 ? 1 : matched / expected,
    differentIds: findings.counts.alertId,
    repeats: findings.alertRepeats,
    endedWithoutReading: findings.alertsEndedOtherwise,
    delayMs: sorted.length === 0 ? null : { p50: at(0.5), p99: at(0.99), max: at(1) },
  };
}

function brokenPromises(counts: Readonly<Record<ProblemKind, number>>): Promised[] {
  const broken = new Set<Promised>();
  for (const [kind, promise] of Object.entries(problemKinds)) {
    if (promise !== null && counts[kind as ProblemKind] > 0) broken.add(promise);
  }
  return [...broken].sort();
}

/** What one problem of a kind is, and what several are. */
const words: Readonly<Record<Exclude<ProblemKind, 'incomplete'>, [one: string, many: string]>> = {
  lost: ['acknowledged message is not in the log', 'acknowledged messages are not in the log'],
  unaccounted: ['message of the log is nowhere', 'messages of the log are nowhere'],
  storedTwice: ['reading is stored twice', 'readings are stored twice'],
  countedTwice: ['window counts too many readings', 'windows count too many readings'],
  altered: ['reading is stored altered', 'readings are stored altered'],
  invented: ['stored reading was never sent', 'stored readings were never sent'],
  deadLetter: ['dead letter is missing or wrong', 'dead letters are missing or wrong'],
  late: ['late reading is missing or wrong', 'late readings are missing or wrong'],
  taken: ['message is there that must not be', 'messages are there that must not be'],
  ledger: ['equation of the ledger does not hold', 'equations of the ledger do not hold'],
  rollup: ['rollup differs', 'rollups differ'],
  alert: ['alert is missing or not due', 'alerts are missing or not due'],
  alertId: ['alert has another id than its facts give', 'alerts have other ids than their facts give'],
};

function verdictOf({ findings, acknowledged, rules }: Outcome): string {
  const { counts } = findings;
  if (counts.incomplete > 0) {
    return `Nothing is proved: ${findings.problems.find(({ kind }) => kind === 'incomplete')!.text}.`;
  }
  if (findings.total === 0) {
    const agreeing = rules === 0 ? 'rollups and ledger agree' : 'rollups, alerts and ledger agree';
    return `All ${acknowledged} acknowledged messages are accounted for exactly once; ${agreeing}.`;
  }
  const broken = brokenPromises(counts).map((promise) => {
    const what = Object.entries(words).flatMap(([kind, [one, many]]) => {
      const count = counts[kind as ProblemKind];
      return problemKinds[kind as ProblemKind] !== promise || count === 0
        ? []
        : [`${count} ${count === 1 ? one : many}`];
    });
    return `${promise} is broken (${what.join(', ')})`;
  });
  return `${broken.join('; ')}.`;
}

/** Name and value of each row, as they are printed. */
export function rowsOf(report: VerifyReport): [name: string, value: string][] {
  const { run, messages, rollups, alerts, ledger, duplicated } = report;
  return [
    ['run', `${run.run}, scenario ${run.scenario}, seed ${run.seed}, QoS ${run.qos}, ${report.devices} devices`],
    ['made', `${messages.made}; ${messages.sent} sent, ${messages.acknowledged} acknowledged`],
    ['stored', `${messages.stored}; ${report.late} of them late, ${messages.repeated} more were repeats of a reading`],
    ['dead-lettered', `${messages.deadLettered}${deadLettersText(report.deadLetters)}`],
    ['faults', faultsText(report.faults)],
    ['lost', String(messages.lost)],
    ['altered', String(messages.altered)],
    ['duplicated', `${duplicated.storedTwice} stored twice, ${duplicated.countedTwice} windows that count too many`],
    ['invented', String(report.invented)],
    ['refused', `${messages.refused} by the broker, as they should be; ${messages.notSent} never sent on purpose`],
    ['unacknowledged', `${messages.unacknowledgedArrived} arrived all the same, ${messages.notArrived} did not`],
    ['rollups', `${rollups.compared} compared, ${rollups.differing} differ; ${rollups.stillOpen} windows still open`],
    ['alerts', alerts === null ? 'not compared: there are no rules' : alertsText(alerts)],
    ['ledger', ledgerText(ledger)],
  ];
}

function deadLettersText(reasons: ReasonCounts): string {
  const parts = Object.entries(reasons).map(([reason, { expected, unexpected }]) =>
    unexpected === 0 ? `${reason} ${expected}` : `${reason} ${expected} and ${unexpected} unexpected`,
  );
  return parts.length === 0 ? '' : `: ${parts.join(', ')}`;
}

function faultsText(faults: VerifyReport['faults']): string {
  const parts = Object.entries(faults)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([label, { messages, problems, alertsExpected, alertsRaised }]) => {
      const alerts = alertsExpected === 0 ? [] : [`${alertsRaised} of ${alertsExpected} alerts`];
      const wrong = problems === 0 ? [] : [`${problems} WRONG`];
      return [`${label} ${messages}`, ...alerts, ...wrong].join(', ');
    });
  return parts.length === 0 ? 'none on purpose' : parts.join('; ');
}

function alertsText(alerts: AlertReport): string {
  const { rules, expected, matched, unexpected, precision, recall, delayMs, repeats } = alerts;
  const delay = delayMs === null ? '' : `; after p50 ${delayMs.p50} ms, p99 ${delayMs.p99} ms of event time`;
  return [
    `${expected} expected by ${rules} rules, ${matched} raised, ${unexpected} not due`,
    `precision ${rounded(precision)}, recall ${rounded(recall)}${delay}; ${repeats} repeats`,
  ].join('; ');
}

function ledgerText({ totals, balanced }: VerifyReport['ledger']): string {
  if (totals === null) return 'no processor has told it';
  const { records, redelivered, duplicates } = totals;
  const sum = `${records} records, ${redelivered} redelivered, ${duplicates} duplicates`;
  return `${balanced && imbalances(totals).length === 0 ? 'balanced' : 'NOT balanced'}: ${sum}`;
}

/** Never 1 when it is not. */
function rounded(part: number): string {
  return part === 1 ? '1' : String(Math.floor(part * 10_000) / 10_000);
}

export function problemText({ kind, device, n, topic, intendedMs, acknowledgedMs, faults, lastSeen, text }: Problem) {
  const whose = device === undefined ? '' : `${device}${n === undefined ? '' : ` n ${n}`}: `;
  const details = [
    topic === undefined ? null : `topic ${topic}`,
    intendedMs === undefined ? null : `intended ${new Date(intendedMs).toISOString()}`,
    typeof acknowledgedMs === 'number' ? `acknowledged ${new Date(acknowledgedMs).toISOString()}` : null,
    faults === undefined || faults.length === 0 ? null : `faults ${faults.join(', ')}`,
    lastSeen === undefined ? null : `last seen: ${lastSeen}`,
  ].filter((detail) => detail !== null);
  const more = details.length === 0 ? '' : ` (${details.join('; ')})`;
  return `${problemKinds[kind] ?? '--'} ${kind}: ${whose}${text}${more}`;
}

export function reportText(report: VerifyReport): string {
  const rows = rowsOf(report).map(([name, value]) => `${name.padEnd(16)}${value}`);
  const listed = report.problems.map(problemText);
  return [...rows, ...listed.map((line) => `\n${line}`), ...unlisted(report), '', report.verdict].join('\n');
}

/** What the lists leave out. */
export function unlisted({ problems, problemCounts }: VerifyReport): string[] {
  return Object.entries(problemCounts).flatMap(([kind, count]) => {
    const rest = count - problems.filter((problem) => problem.kind === kind).length;
    return rest === 0 ? [] : [`\n… and ${rest} more of ${kind}: --all lists them`];
  });
}
