/** How a run is watched and reported: the flags for it, a line per second, the end by itself or by Ctrl-C, the report. */
import { writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { z } from 'zod';
import { systemClock } from '../../core/clock.ts';
import { messageOf, SluiceError } from '../../core/errors.ts';
import { parseAssertions } from '../../simulator/assert.ts';
import { reportHtml } from '../../simulator/report/html.ts';
import type { QueryableProbe } from '../../simulator/report/queryable.ts';
import { type Report, type ReportInput, reportOf } from '../../simulator/report/report.ts';
import { progressLine, Series } from '../../simulator/report/series.ts';
import { reportText } from '../../simulator/report/text.ts';
import type { Latencies, SimulatorStats } from '../../simulator/tally.ts';
import { version } from '../version.ts';
import type { FlagHelp, Flags } from './connection-flags.ts';

const formats = ['text', 'json', 'html'] as const;

export const reportingFlags: readonly FlagHelp[] = [
  ['--report <format>', `of the report: ${formats.join(', ')}`, 'text'],
  ['--out <file>', 'write the report there, and its text to standard output all the same'],
  ['--assert <list>', "decide the exit code by this alone, such as 'lost==0,puback.p99<250' (docs/simulator.md)"],
  ['--pipeline <url>', 'ask its HTTP interface, such as http://127.0.0.1:8080, how soon readings can be queried'],
];

export const reportingSchema = z.object({
  report: z.enum(formats, `expected ${formats.join(', ')}`).optional(),
  out: z.string().min(1).optional(),
  assert: z
    .string()
    .transform((list, context) => {
      const { assertions, problems } = parseAssertions(list);
      for (const problem of problems) context.addIssue(problem);
      return assertions;
    })
    .default([]),
  pipeline: z.url({ protocol: /^https?$/, error: 'expected http://host:port' }).optional(),
});
export type Reporting = z.output<typeof reportingSchema>;

/** A fleet, or whatever else sends. */
export interface Sender {
  readonly finished: Promise<void>;
  readonly latencies: Latencies;
  start(): void;
  stop(): Promise<void>;
  stats(): SimulatorStats;
  /** What else has failed, in words. */
  problems?(): readonly string[];
}

export interface Watched {
  readonly sender: Sender;
  readonly options: ReportInput['options'];
  readonly run: string;
  readonly reporting: Reporting;
  readonly flags: Flags;
  readonly probe: QueryableProbe | null;
}

/** Runs it to its end, prints the report and sets the exit code. Throws CONFIG_INVALID when it could not be written. */
export async function runAndReport({ sender, options, run, reporting, flags, probe }: Watched): Promise<void> {
  const format = flags.json === true ? 'json' : (reporting.report ?? 'text');
  const { out } = reporting;
  // Ten thousand devices are many small things that live long: their garbage must not double that before it is looked for.
  setFlagsFromString('--heap-growing-percent=25');
  // Now, not after an hour's run.
  if (out !== undefined) write(out, '');
  const series = new Series(sender.latencies);
  const startedAtMs = systemClock.nowMs();
  const cpuBefore = process.cpuUsage();
  const startedMs = performance.now();
  const secondsSoFar = () => (performance.now() - startedMs) / 1000;
  sender.start();
  const stopProgress = systemClock.every(1000, () => {
    const stats = sender.stats();
    process.stderr.write(`${progressLine(series.add(secondsSoFar(), stats), stats)}\n`);
  });
  await Promise.race([sender.finished, firstSignal()]);
  const seconds = secondsSoFar();
  await sender.stop();
  await probe?.close();
  stopProgress();
  series.end(secondsSoFar(), sender.stats());
  const { user, system } = process.cpuUsage(cpuBefore);
  const peakMemoryMb = Math.round((process.resourceUsage().maxRSS * 1024) / 1e6);
  const ofRun = reportOf({
    options,
    stats: sender.stats(),
    latencies: sender.latencies,
    series: series.seconds(),
    queryable: probe && { result: probe.result(), queryableMs: probe.queryableMs },
    assertions: reporting.assert,
    effort: { seconds, cpuUs: user + system, peakMemoryMb },
    startedAtMs,
    version,
    run,
  });
  const report = { ...ofRun, problems: [...ofRun.problems, ...(sender.problems?.() ?? [])] };
  if (out !== undefined) write(out, formatted(report, format));
  console.log(formatted(report, out === undefined ? format : 'text'));
  if (report.problems.length > 0) process.exitCode = 1;
}

function formatted(report: Report, format: (typeof formats)[number]): string {
  if (format === 'json') return JSON.stringify(report, null, 2);
  return format === 'html' ? reportHtml(report) : reportText(report);
}

function write(file: string, text: string): void {
  try {
    writeFileSync(file, text === '' || text.endsWith('\n') ? text : `${text}\n`);
  } catch (error) {
    throw new SluiceError('CONFIG_INVALID', `--out: ${file} cannot be written: ${messageOf(error)}`);
  }
}

/** Resolves at the first SIGINT or SIGTERM. The second ends the process. */
function firstSignal(): Promise<void> {
  return new Promise((resolve) => {
    let signals = 0;
    const onSignal = () => {
      signals++;
      if (signals > 1) process.exit(130);
      process.stderr.write('waiting for what is outstanding; a second Ctrl-C ends at once\n');
      resolve();
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  });
}
