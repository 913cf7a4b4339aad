/** SIGTERM to `sluice gateway` as an operator sends it: what becomes of what is held, and the exit code. */
import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { startGatewayProcess } from './gateway-process.ts';
import { publishPacket, RawClient, type } from './raw-client.ts';

const draining = 'draining; a second signal ends at once';
const ids = (count: number) => Array.from({ length: count }, (_, i) => i + 1);
const publishes = (count: number) => ids(count).map((id) => publishPacket({ id }));

describe('SIGTERM', { timeout: 60_000 }, () => {
  it('takes no new clients, acknowledges what is held once it is durable, closes the clients, and exits with 0', async () => {
    const gateway = await startGatewayProcess();
    const client = await gateway.connect('d1');
    const unblock = gateway.blockBus();
    client.send(...publishes(50));
    await client.ping();
    process.kill(gateway.pid, 'SIGTERM');
    await gateway.logged(draining);
    await eventually(
      () =>
        RawClient.open(gateway.mqttPort!).then(
          () => false,
          () => true,
        ),
      { what: 'no new clients' },
    );
    await client.ping();
    expect(client.ids(type.puback)).toEqual([]);
    unblock();
    expect(await gateway.exited).toBe(0);
    expect(client.ids(type.puback)).toEqual(ids(50));
    await client.closed();
    expect(gateway.lastWords()).toEqual([]);
  });

  it('says how many messages it could not make durable within the deadline, and exits with 1', async () => {
    const gateway = await startGatewayProcess([], 'drainTimeoutMs: 1s');
    const client = await gateway.connect('d1');
    gateway.blockBus();
    client.send(...publishes(50));
    await client.ping();
    process.kill(gateway.pid, 'SIGTERM');
    expect(await gateway.exited).toBe(1);
    expect(gateway.lastWords()).toEqual([
      expect.stringMatching(/^sluice: CLOSE_TIMEOUT: gateway: .* 50 messages that the bus did not take within 1000 ms/),
    ]);
    expect(client.ids(type.puback)).toEqual([]);
    await client.closed();
  });

  it('a second one ends the process at once, with 130, and acknowledges nothing', async () => {
    const gateway = await startGatewayProcess();
    const client = await gateway.connect('d1');
    gateway.blockBus();
    client.send(...publishes(50));
    await client.ping();
    process.kill(gateway.pid, 'SIGTERM');
    await gateway.logged(draining);
    const fromMs = performance.now();
    process.kill(gateway.pid, 'SIGTERM');
    expect(await gateway.exited).toBe(130);
    expect(performance.now() - fromMs).toBeLessThan(2000);
    await client.closed();
    expect(client.ids(type.puback)).toEqual([]);
  });
});
