/**
 * P1 and P4 while Kafka stalls: 1,000 devices with a keepalive of ten seconds go on publishing, half of them every
 * second, half every twenty. Nobody is disconnected, the gateway stays small, and afterwards everything is acknowledged,
 * there, and in order.
 */
import { describe, expect, test } from 'vitest';
import { peakMemoryBytes } from '../../bench/cpu.ts';
import { systemClock } from '../../core/clock.ts';
import { isAvailable, openBackend } from '../support/backends.ts';
import { eventually } from '../support/eventually.ts';
import { faultsOfLog, plainFleet, startFleet } from '../support/fleet-against-log.ts';
import { type OwnKafkaServer, startOwnKafka } from '../support/kafka-server.ts';
import { startRole } from '../support/role-process.ts';

/** More than one and a half times the keepalive, after which a client that is not heard is disconnected. */
const stallSeconds = Number(process.env.SLUICE_STALL_SECONDS ?? 17);
const keepaliveSeconds = 10;
const devices = 1000;
const fleets = [plainFleet('fast', devices / 2, 1000), plainFleet('slow', devices / 2, 20_000)];
const mostMemoryBytes = 400 * 1024 * 1024;

const stalls = {
  stopped: {
    begin: ({ pid }: OwnKafkaServer) => void process.kill(pid!, 'SIGSTOP'),
    end: ({ pid }: OwnKafkaServer) => void process.kill(pid!, 'SIGCONT'),
  },
  killed: {
    begin: (kafka: OwnKafkaServer) => kafka.kill(),
    end: (kafka: OwnKafkaServer) => kafka.restart(),
  },
};

describe.skipIf(!isAvailable('Kafka + InfluxDB'))('1,000 devices publish while Kafka is', () => {
  // At once: each waits for most of the time.
  const timeout = 180_000 + 2000 * stallSeconds;
  test.concurrent.for(['stopped', 'killed'] as const)('%s', { timeout }, async (how, { onTestFinished }) => {
    const kafka = await startOwnKafka();
    if ('skip' in kafka) throw new Error(kafka.skip);
    onTestFinished(() => kafka.close());
    const backend = await openBackend('Kafka + InfluxDB', { KAFKA_BROKERS: kafka.brokers });
    onTestFinished(() => backend.close());
    const gateway = await startRole(['gateway'], { ...backend.env, SLUICE_HTTP_PORT: '0', SLUICE_MQTT_PORT: '0' });
    onTestFinished(() => gateway.kill());
    const fleet = startFleet(gateway.mqttPort!, fleets, { keepaliveSeconds, drainMs: 60_000 });
    const { simulator } = fleet;
    onTestFinished(() => simulator.stop());
    await eventually(() => simulator.stats().connected === devices, { withinMs: 20_000, what: 'all are connected' });
    await eventually(() => simulator.stats().acknowledged > devices, { withinMs: 20_000, what: 'load' });

    await stalls[how].begin(kafka);
    await systemClock.sleep(stallSeconds * 1000);
    const { unacknowledged, connected, errorsByReason } = simulator.stats();
    expect(unacknowledged, 'what waits').toBeGreaterThan((devices / 2) * (stallSeconds - 3));
    expect({ connected, errorsByReason }).toEqual({ connected: devices, errorsByReason: {} });
    const readiness = await fetch(`${gateway.http}/readyz`);
    expect(readiness.status).toBe(503);
    expect(await readiness.text()).toContain('bus: ');
    await stalls[how].end(kafka);

    await eventually(() => simulator.stats().unacknowledged < devices, { withinMs: 60_000, what: 'acknowledgements' });
    await simulator.stop();
    const { made, acknowledged, reconnects, ...rest } = simulator.stats();
    expect(rest).toMatchObject({ unacknowledged: 0, skipped: 0, errorsByReason: {} });
    expect({ acknowledged, reconnects }).toEqual({ acknowledged: made, reconnects: 0 });
    const memory = peakMemoryBytes(gateway.pid);
    expect(memory).toBeLessThan(mostMemoryBytes);
    expect(await gateway.stop()).toBe(0);
    expect(await faultsOfLog(fleet, await backend.bus(), backend.topics.raw)).toEqual([]);
    console.log(`Kafka ${how} for ${stallSeconds} s: ${made} messages, the gateway at most ${memory >> 20} MiB`);
  });
});
