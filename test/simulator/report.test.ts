/** The report of a run as text, data and page, and what it asserts. */
import { expect, test } from 'vitest';
import { parseAssertions } from '../../simulator/assert.ts';
import { Histogram } from '../../simulator/histogram.ts';
import { reportHtml } from '../../simulator/report/html.ts';
import { type Report, type ReportInput, reportOf } from '../../simulator/report/report.ts';
import { progressLine, Series } from '../../simulator/report/series.ts';
import { reportText } from '../../simulator/report/text.ts';
import { Tally } from '../../simulator/tally.ts';

/** Of ten devices that made a thousand messages: one device never came, one message was skipped, two are outstanding. */
function tallied(): Tally {
  const tally = new Tally();
  Object.assign(tally, {
    everConnected: 9,
    connected: 9,
    made: 1000,
    sent: 999,
    acknowledged: 997,
    held: 2,
    skipped: 1,
  });
  for (let ms = 1; ms <= 1000; ms++) tally.ackMs.add(ms);
  for (let ms = 1; ms <= 9; ms++) tally.connectMs.add(ms * 10);
  tally.failed('connect ECONNREFUSED 127.0.0.1:1883');
  return tally;
}

function reported(over: Partial<ReportInput> = {}, tally = tallied()): Report {
  return reportOf({
    options: { scenario: 'quickstart', broker: 'mqtt://127.0.0.1:1883', qos: 1, seed: 7 },
    stats: tally.stats(10),
    latencies: tally,
    series: [],
    queryable: null,
    assertions: [],
    effort: { seconds: 10, cpuUs: 20_000, peakMemoryMb: 90 },
    startedAtMs: 1_700_000_000_000,
    version: '1.2.3',
    run: 'abc123',
    ...over,
  });
}

function asserted(list: string, over: Partial<ReportInput> = {}): Report {
  const { assertions, problems } = parseAssertions(list);
  expect(problems).toEqual([]);
  return reported({ ...over, assertions });
}

test('without assertions it fails for what did not arrive, and says what', () => {
  const report = reported();
  expect(report).toMatchObject({ reportVersion: 1, lost: 3, sentPerSecond: 100, cpuUsPerMessage: 20, seed: 7 });
  expect(report.ackMs).toMatchObject({ p50: 500, p90: 900, p99: 990, p999: 999, max: 1000 });
  expect(report.problems).toHaveLength(3);
  const text = reportText(report);
  expect(text).toMatch(/^PUBACK +p50 500 ms, p90 900 ms, p99 990 ms, p99\.9 999 ms, max 1000 ms$/m);
  expect(text).toMatch(/^errors +1: 1 connect ECONNREFUSED/m);
  expect(text).toMatch(/^FAILED +1 of 10 devices could not connect \(last error: .*ECONNREFUSED/m);
  expect(text).toMatch(/^FAILED +2 messages were not sent, or not acknowledged/m);
});

test('the distributions are enough to draw every percentile again, also from JSON', () => {
  const { distributions, ackMs } = JSON.parse(JSON.stringify(reported())) as Report;
  const again = new Histogram();
  for (const [ms, count] of distributions.ackMs) for (let n = 0; n < count; n++) again.add(ms);
  expect(again.quantiles()).toEqual(ackMs);
});

test('assertions alone decide, and a failed one is told with its value', () => {
  expect(asserted('lost<=3, skipped==1 ,puback.p99<990.5,connect.max>=90,rate!=0,puback.count>999').problems).toEqual(
    [],
  );
  const report = asserted('lost==0,puback.p99<250,connect.p50<=50');
  expect(report.problems).toEqual(['the assertion lost==0: it is 3', 'the assertion puback.p99<250: it is 990']);
  expect(report.assertions.map(({ holds }) => holds)).toEqual([false, false, true]);
  expect(reportText(report)).toMatch(/^passed +connect\.p50<=50$/m);
});

test('each comparison holds where it says', () => {
  const held = (list: string) =>
    asserted(list)
      .assertions.filter(({ holds }) => holds)
      .map(({ text }) => text);
  expect(held('lost<3,lost<=3,lost==3,lost!=3,lost>=3,lost>3')).toEqual(['lost<=3', 'lost==3', 'lost>=3']);
  expect(held('lost<4,lost<=2,lost==4,lost!=4,lost>=4,lost>2')).toEqual(['lost<4', 'lost!=4', 'lost>2']);
});

test('what was not measured holds no assertion', () => {
  const report = asserted('queryable.p99<1000');
  expect(report.problems).toEqual(['the assertion queryable.p99<1000: nothing was measured']);
  const queryableMs = new Histogram();
  queryableMs.add(321);
  const result = { latencyMs: queryableMs.quantiles(), sampled: 1, unseen: 0, errors: 0, lastError: null };
  expect(asserted('queryable.p99<1000,unseen==0', { queryable: { result, queryableMs } }).problems).toEqual([]);
});

test.each([
  ['', "'' is not a name"],
  ['lost=0', "'lost=0' is not a name"],
  ['lost==-1', 'is not a name'],
  ['lost==0,,sent>1', "'' is not a name"],
  ['lost==0;process.exit()', 'is not a name'],
  ['puback.p99<250ms', 'is not a name'],
  ['loss==0', "there is no 'loss'"],
  ['toString==0', 'is not a name'],
  ['constructor==0', "there is no 'constructor'"],
  ['puback.p98<1', "there is no 'puback.p98'"],
  ['lost.p99<1', "there is no 'lost.p99'"],
])('%s is wrong, and what is known is listed', (list, what) => {
  const { problems } = parseAssertions(list);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toContain(what);
  expect(problems[0]).toMatch(/known are lost, .* puback, /);
});

test('a second is what came to its end in it', () => {
  const tally = new Tally();
  const series = new Series(tally);
  tally.sent = 100;
  tally.ackMs.add(1000);
  expect(series.add(2, tally.stats(1))).toMatchObject({ sentPerSecond: 50, ackP99Ms: 1000, connectP99Ms: null });
  tally.sent = 130;
  tally.acknowledged = 3;
  for (const ms of [1, 2, 3]) tally.ackMs.add(ms);
  const second = series.add(3, tally.stats(1));
  expect(second).toMatchObject({ sentPerSecond: 30, acknowledgedPerSecond: 3, ackP50Ms: 2, ackP99Ms: 3 });
  expect(progressLine(second, tally.stats(1))).toMatch(
    /^t=3s {2}connected 0\/1 {2}sent 130 \(30\/s\) {2}acknowledged 3 .* p50 2 ms {2}p99 3 ms$/,
  );
  series.end(3.1, tally.stats(1));
  expect(series.seconds()).toHaveLength(2);
  series.end(3.6, tally.stats(1));
  expect(series.seconds()).toHaveLength(3);
});

test('of a long run one second of every few is kept, evenly', () => {
  const tally = new Tally();
  const series = new Series(tally, 100);
  const stats = tally.stats(1);
  for (let at = 1; at <= 250; at++) series.add(at, stats);
  const kept = series.seconds().map(({ atSeconds }) => atSeconds);
  expect(kept.length).toBeLessThanOrEqual(100);
  expect(kept.slice(0, 3)).toEqual([1, 5, 9]);
  expect(new Set(kept.slice(1).map((at, n) => at - kept[n]!))).toEqual(new Set([4]));
});

test('the page needs nothing from elsewhere, and shows text as text', () => {
  const tally = tallied();
  const series = new Series(tally);
  for (let at = 1; at <= 30; at++) {
    tally.ackMs.add(at);
    series.add(at, tally.stats(10));
  }
  const options = { scenario: '<script>alert(1)</script>', broker: 'mqtt://"&', qos: 1, seed: 7 } as const;
  const html = reportHtml(asserted('lost==0', { options, series: series.seconds() }));
  expect(html).not.toMatch(/<script|<link|<img|src=|href=|url\(|@import/);
  expect(html).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
  expect(html).toContain('mqtt://&quot;&amp;');
  expect(html).toContain('the assertion lost==0: it is 3');
  expect(html.match(/<svg [^>]*role="img"/g)).toHaveLength(4);
  expect(html.match(/<desc id=/g)).toHaveLength(4);
  expect(html).not.toMatch(/NaN|undefined|Infinity/);
});

test('the page of a run in which nothing happened has no plots and no holes', () => {
  const html = reportHtml(reported({}, new Tally()));
  expect(html).not.toMatch(/NaN|undefined|Infinity|role="img"/);
});
