import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { emptyPartitionLedger } from '../../core/ledger.ts';
import { closedReasons } from '../../core/reasons.ts';
import type { PipelineStatus } from '../../core/status.ts';
import { metricNames } from '../../web/metrics.ts';
import { gatewayStatus, openRig, processorStatus } from './harness.ts';

const ledger = {
  ...emptyPartitionLedger(100),
  nextOffset: 130,
  ticks: 4,
  redelivered: 2,
  messages: 24,
  decoded: 20,
  ignored: { retained_clear: 1 },
  deadLettered: { not_json: 3 },
  readings: 20,
  duplicates: 4,
  rejected: { future: 2 },
  accepted: 14,
  stored: 13,
  refused: { type_conflict: 1 },
  windowed: 9,
  late: 3,
  notWindowed: { no_number: 2 },
};

const closed = { bad_text: 4, keepalive_timeout: 1 };

const spool = { records: 20, bytes: 3000, maxBytes: 9000, oldestMs: 400, spooled: 9, drained: 6 };

const statuses: PipelineStatus[] = [
  gatewayStatus(
    'g',
    1000,
    { received: 50, inherited: 20, appended: 41, spooled: 20, dropped: { qos0_over_cap: 7 }, held: 2 },
    {
      connections: 4,
      clients: 3,
      heldBytes: 90,
      readAheadBytes: 70,
      throttled: 5,
      slowed: 6,
      connectsDelayed: 8,
      loginsFailed: 9,
      loginsDelayed: 7,
      warnings: ['the users file'],
      closed,
      ackMs: { p50: 4, p99: 30 },
      spool,
      presence: { devices: 14, waiting: 15, givenUp: 16, lost: 17 },
      commands: {
        pending: 12,
        ended: { delivered: 31, expired: 4 },
        sent: 40,
        errorsTold: 5,
        errorsUntold: { too_many_waiting: 6 },
      },
    },
  ),
  processorStatus(
    'p',
    5000,
    { 3: ledger },
    { pointsWritten: 21, rollupsWritten: 6, alertsRaised: 2, devices: 8, skewed: { count: 5, worst: [] } },
  ),
];

const closedSeries = (reason: string) => `sluice_gateway_closed_total{reason="${reason}"}`;

async function scrape(status: () => readonly PipelineStatus[]): Promise<Map<string, number>> {
  const { get } = await openRig({ page: false, status });
  const { text, headers } = await get('/metrics');
  expect(headers.get('content-type')).toMatch(/^text\/plain; version=0.0.4/);
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  for (const line of lines) expect(line).toMatch(/^[a-z_0-9]+(\{[^}]*\})? (-?[0-9.e+-]+|Nan|NaN)$/);
  const names = new Set(lines.map((line) => line.split(/[{ ]/)[0]!));
  for (const name of names) {
    if (name.startsWith('sluice_')) expect(text).toContain(`# HELP ${name} `);
  }
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

test('every counter of the ledgers, as they are when someone asks', async () => {
  const values = await scrape(() => statuses);
  expect(Object.fromEntries([...values].filter(([name]) => name.startsWith('sluice_gateway')))).toEqual({
    sluice_gateway_received_total: 50,
    sluice_gateway_appended_total: 41,
    'sluice_gateway_dropped_total{reason="qos0_over_cap"}': 7,
    'sluice_gateway_dropped_total{reason="not_appendable"}': 0,
    sluice_gateway_held_messages: 2,
    sluice_gateway_inherited_total: 20,
    sluice_gateway_spool_messages: 20,
    sluice_gateway_spool_bytes: 3000,
    sluice_gateway_spool_max_bytes: 9000,
    sluice_gateway_spool_oldest_age_seconds: 0.6,
    sluice_gateway_spool_spooled_total: 9,
    sluice_gateway_spool_drained_total: 6,
    sluice_gateway_held_bytes: 90,
    sluice_gateway_read_ahead_bytes: 70,
    sluice_gateway_connections: 4,
    sluice_gateway_clients: 3,
    sluice_gateway_devices: 14,
    sluice_gateway_presence_waiting: 15,
    sluice_gateway_presence_given_up_total: 16,
    sluice_gateway_lost_devices_total: 17,
    sluice_gateway_throttled_total: 5,
    sluice_gateway_slowed_total: 6,
    sluice_gateway_connects_delayed_total: 8,
    sluice_gateway_logins_failed_total: 9,
    sluice_gateway_logins_delayed_total: 7,
    sluice_gateway_warnings: 1,
    ...Object.fromEntries(Object.keys(closedReasons).map((reason) => [closedSeries(reason), 0])),
    [closedSeries('bad_text')]: 4,
    [closedSeries('keepalive_timeout')]: 1,
    sluice_gateway_commands_pending: 12,
    sluice_gateway_commands_delivered_total: 31,
    sluice_gateway_commands_expired_total: 4,
    sluice_gateway_commands_offline_total: 0,
    sluice_gateway_commands_refused_total: 0,
    sluice_gateway_commands_sent_total: 40,
    sluice_gateway_errors_told_total: 5,
    'sluice_gateway_errors_untold_total{reason="too_many_waiting"}': 6,
    'sluice_gateway_errors_untold_total{reason="not_acknowledged"}': 0,
    'sluice_gateway_ack_seconds{quantile="0.5"}': 0.004,
    'sluice_gateway_ack_seconds{quantile="0.99"}': 0.03,
  });
  const processor = Object.fromEntries(
    [...values].filter(([name, value]) => name.startsWith('sluice_processor') && value !== 0),
  );
  expect(processor).toEqual({
    'sluice_processor_position{partition="3"}': 130,
    'sluice_processor_end_offset{partition="3"}': 130,
    'sluice_processor_clock_seconds{partition="3"}': 5,
    'sluice_processor_records_total{partition="3"}': 30,
    'sluice_processor_ticks_total{partition="3"}': 4,
    'sluice_processor_redelivered_total{partition="3"}': 2,
    'sluice_processor_messages_total{partition="3"}': 24,
    'sluice_processor_decoded_total{partition="3"}': 20,
    'sluice_processor_ignored_total{partition="3",reason="retained_clear"}': 1,
    'sluice_processor_dead_lettered_total{partition="3",reason="not_json"}': 3,
    'sluice_processor_readings_total{partition="3"}': 20,
    'sluice_processor_duplicates_total{partition="3"}': 4,
    'sluice_processor_rejected_total{partition="3",reason="future"}': 2,
    'sluice_processor_accepted_total{partition="3"}': 14,
    'sluice_processor_stored_total{partition="3"}': 13,
    'sluice_processor_refused_total{partition="3",reason="type_conflict"}': 1,
    'sluice_processor_windowed_total{partition="3"}': 9,
    'sluice_processor_late_total{partition="3"}': 3,
    'sluice_processor_not_windowed_total{partition="3",reason="no_number"}': 2,
    sluice_processor_points_written_total: 21,
    sluice_processor_rollups_written_total: 6,
    sluice_processor_alerts_raised_total: 2,
    sluice_processor_devices: 8,
    sluice_processor_skewed_devices: 5,
  });
  expect(values.get('sluice_build_info{version="1.2.3"}')).toBe(1);
  expect(values.get('sluice_ready{role="gateway"}')).toBe(1);
  expect([...values.keys()]).toEqual(
    expect.arrayContaining(['nodejs_eventloop_lag_p99_seconds', 'process_resident_memory_bytes']),
  );
});

test('every item of a partition ledger has its metric', () => {
  const { firstOffset: _first, nextOffset: _next, ...items } = emptyPartitionLedger(0);
  for (const item of Object.keys(items)) {
    const name = item.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    expect(metricNames).toContain(`sluice_processor_${name}_total`);
  }
});

test('a second scrape gives the counts, not their sum; a partition that left is gone', async () => {
  let current: readonly PipelineStatus[] = statuses;
  const { get } = await openRig({ page: false, status: () => current });
  await get('/metrics');
  expect((await get('/metrics')).text).toContain('sluice_gateway_received_total 50\n');
  current = [statuses[0]!, processorStatus('p', 5000, {})];
  expect((await get('/metrics')).text).not.toContain('partition="3"');
});

test('a process shows the metrics of its own roles alone', async () => {
  const values = await scrape(() => [statuses[0]!]);
  expect([...values.keys()].filter((name) => name.startsWith('sluice_processor'))).toEqual([]);
  expect(values.get('sluice_gateway_received_total')).toBe(50);
});

test('docs/operations.md lists every metric, and no other', async () => {
  const text = await readFile(join(import.meta.dirname, '../../docs/operations.md'), 'utf8');
  const documented = [...text.matchAll(/`(sluice_[a-z_]+)`/g)].map(([, name]) => name!);
  expect([...new Set(documented)].sort()).toEqual([...metricNames].sort());
});
