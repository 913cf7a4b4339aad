/**
 * P1 with several gateways on one bus: one is killed under load, its devices connect to the others, and nothing that
 * was acknowledged is lost. As processes of their own, and as workers that share a port.
 */
import { describe, expect, onTestFinished, test } from 'vitest';
import { Balancer } from '../chaos/balancer.ts';
import { type Backend, backendNames, isAvailable, openBackend } from '../support/backends.ts';
import { eventually } from '../support/eventually.ts';
import { faultsOfLog, plainFleet, type RememberingFleet, startFleet } from '../support/fleet-against-log.ts';
import { type RoleProcess, startRole } from '../support/role-process.ts';

const devices = 200;
const load = () => [plainFleet('d', devices, 200)];
/** Acknowledged before and after the kill, at least. */
const enough = 2000;
/** Whatever else the machine does: nothing here is about pace. */
const patience = { withinMs: 60_000 };
/** Quick to come back. */
const options = { reconnectMs: 100, maxReconnectMs: 500 };

async function openIt(name: Backend['name']): Promise<Backend> {
  const backend = await openBackend(name);
  onTestFinished(() => backend.close());
  return backend;
}

async function startGateway(backend: Backend, ...args: string[]): Promise<RoleProcess> {
  const env = { ...backend.env, SLUICE_HTTP_PORT: '0', SLUICE_MQTT_PORT: '0' };
  const gateway = await startRole(['gateway', ...args], env);
  onTestFinished(() => gateway.kill());
  return gateway;
}

/** Kills under load, and waits until all devices are back and have sent as much again. */
async function survivesKill({ simulator }: RememberingFleet, kill: () => Promise<void> | void): Promise<void> {
  await eventually(() => simulator.stats().acknowledged > enough, { ...patience, what: 'load' });
  await kill();
  await eventually(() => simulator.stats().connected < devices, { ...patience, what: 'connections are lost' });
  await eventually(() => simulator.stats().connected === devices, { ...patience, what: 'all are back' });
  const after = simulator.stats().acknowledged;
  await eventually(() => simulator.stats().acknowledged > after + enough, { ...patience, what: 'load after it' });
  await simulator.stop();
  expect(simulator.stats()).toMatchObject({ unacknowledged: 0, skipped: 0 });
  expect(simulator.stats().reconnects).toBeGreaterThan(devices / 10);
}

describe.each(backendNames)('on %s', (name) => {
  test.skipIf(!isAvailable(name))('two gateways, one killed', { timeout: 240_000 }, async () => {
    const backend = await openIt(name);
    const gateways = [await startGateway(backend), await startGateway(backend)];
    const up = new Set(gateways);
    const balancer = new Balancer(() => [...up].map(({ mqttPort }) => mqttPort!));
    const fleet = startFleet(await balancer.listen(), load(), options);
    onTestFinished(() => fleet.simulator.stop());
    onTestFinished(() => balancer.close());
    const [victim, other] = gateways;
    await survivesKill(fleet, async () => {
      up.delete(victim!);
      await victim!.kill();
    });
    expect(await other!.stop()).toBe(0);
    expect(await faultsOfLog(fleet, await backend.bus(), backend.topics.raw)).toEqual([]);
  });

  test.skipIf(!isAvailable(name))('a gateway with two workers, one killed', { timeout: 240_000 }, async () => {
    const backend = await openIt(name);
    const gateway = await startGateway(backend, '--workers', '2');
    const fleet = startFleet(gateway.mqttPort!, load(), options);
    onTestFinished(() => fleet.simulator.stop());
    await survivesKill(fleet, () => {
      process.kill(pidOfWorker(gateway, 1), 'SIGKILL');
    });
    // Meanwhile it was started again, and takes clients as the other does.
    const ready = async () => (await fetch(`${gateway.http}/metrics`)).text();
    await eventually(async () => /^sluice_worker_restarts_total.* 1$/m.test(await ready()), {
      ...patience,
      what: 'a restart',
    });
    await eventually(async () => /^sluice_workers.* 2$/m.test(await ready()), { ...patience, what: 'two workers' });
    expect(await gateway.stop()).toBe(0);
    expect(await faultsOfLog(fleet, await backend.bus(), backend.topics.raw)).toEqual([]);
  });
});

function pidOfWorker(gateway: RoleProcess, worker: number): number {
  const lines = gateway
    .log()
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
  return lines.findLast((line) => line.worker === worker && line.msg === 'the worker takes clients').pid;
}
