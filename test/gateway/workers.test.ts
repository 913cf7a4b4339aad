/** `sluice gateway --workers`: processes that share a port, with one address for health and metrics, and one to end. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import mqtt, { type MqttClient } from 'mqtt';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { eventually } from '../support/eventually.ts';
import { startRole } from '../support/role-process.ts';
import { type GatewayProcess, linesOf, startGatewayProcess } from './gateway-process.ts';
import { connectPacket, publishPacket, type RawClient, type } from './raw-client.ts';

const workers = ['--workers', '2'];
const ids = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

/** The process that is worker `number` now. */
function pidOf(gateway: GatewayProcess, number: number): number {
  const line = linesOf(gateway).findLast(({ worker, msg }) => worker === number && msg === 'the worker takes clients');
  return Number(line!.pid);
}

async function metrics(gateway: GatewayProcess, name: string): Promise<Record<string, number>> {
  const text = await (await fetch(`${gateway.http}/metrics`)).text();
  const lines = [...text.matchAll(new RegExp(`^${name}\\{(.*)\\} (\\S+)$`, 'gm'))];
  return Object.fromEntries(lines.map(([, labels, value]) => [labels!, Number(value)]));
}

async function ask(gateway: GatewayProcess, path: string): Promise<{ status: number; body: unknown }> {
  const response = await fetch(gateway.http + path);
  return { status: response.status, body: await response.json() };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** One client for each worker: they are given connections in turn. */
async function connectBoth(gateway: GatewayProcess): Promise<RawClient[]> {
  const clients = [await gateway.connect('a'), await gateway.connect('b')];
  await eventually(async () => {
    const connected = await metrics(gateway, 'sluice_gateway_clients');
    return connected['worker="1"'] === 1 && connected['worker="2"'] === 1;
  });
  return clients;
}

/** Three processes that start, on a machine that does other things too. */
const patience = { withinMs: 20_000 };

describe('Workers', { timeout: 60_000 }, () => {
  it('take clients in turn, and are shown together', async () => {
    const gateway = await startGatewayProcess(workers);
    for (const client of await connectBoth(gateway)) {
      client.send(...ids(5).map((id) => publishPacket({ id })));
      expect(await client.received(type.puback, 5)).toEqual(ids(5));
    }
    expect(await metrics(gateway, 'sluice_gateway_appended_total')).toEqual({ 'worker="1"': 5, 'worker="2"': 5 });
    expect(await metrics(gateway, 'sluice_workers')).toEqual({ 'worker="primary"': 2 });
    expect(Object.keys(await metrics(gateway, 'process_resident_memory_bytes'))).toEqual([
      'worker="primary"',
      'worker="1"',
      'worker="2"',
    ]);
    expect(await ask(gateway, '/healthz')).toEqual({ status: 200, body: { ok: true } });
    expect(await ask(gateway, '/readyz')).toMatchObject({
      status: 200,
      body: { ready: true, checks: { workers: { ok: true } }, problems: [] },
    });
    expect(await gateway.stop()).toBe(0);
  });

  it('leave the newest of two clients with one id', async () => {
    const gateway = await startGatewayProcess(workers);
    const [, older] = await connectBoth(gateway);
    const newer = await gateway.connect('b');
    await older!.closed();
    await newer.ping();
    const closed = Object.entries(await metrics(gateway, 'sluice_gateway_closed_total'));
    const takenOver = closed.filter(([labels]) => labels.includes('taken_over'));
    expect(takenOver.map(([, count]) => count).sort()).toEqual([0, 1]);
  });

  it('have what is held acknowledged when the primary is told to end', async () => {
    const gateway = await startGatewayProcess(workers);
    const clients = await connectBoth(gateway);
    const pids = [pidOf(gateway, 1), pidOf(gateway, 2)];
    const unblock = gateway.blockBus();
    for (const client of clients) {
      client.send(...ids(20).map((id) => publishPacket({ id })));
      await client.ping();
    }
    process.kill(gateway.pid, 'SIGTERM');
    await gateway.logged('draining; a second signal ends at once');
    unblock();
    expect(await gateway.exited).toBe(0);
    for (const client of clients) {
      expect(client.ids(type.puback)).toEqual(ids(20));
      await client.closed();
    }
    expect(pids.filter(isAlive)).toEqual([]);
  });

  it('are ended at once by a second signal', async () => {
    const gateway = await startGatewayProcess(workers);
    const [client] = await connectBoth(gateway);
    const pids = [pidOf(gateway, 1), pidOf(gateway, 2)];
    gateway.blockBus();
    client!.send(publishPacket({ id: 1 }));
    await client!.ping();
    process.kill(gateway.pid, 'SIGTERM');
    await gateway.logged('draining; a second signal ends at once');
    process.kill(gateway.pid, 'SIGTERM');
    expect(await gateway.exited).toBe(130);
    await eventually(() => !pids.some(isAlive), { what: 'no worker is left' });
    await client!.closed();
    expect(client!.ids(type.puback)).toEqual([]);
  });

  it('that leave messages unacknowledged make the exit code 1, and say why', async () => {
    const gateway = await startGatewayProcess(workers, 'drainTimeoutMs: 1s');
    const [client] = await connectBoth(gateway);
    gateway.blockBus();
    client!.send(publishPacket({ id: 1 }));
    await client!.ping();
    process.kill(gateway.pid, 'SIGTERM');
    expect(await gateway.exited).toBe(1);
    expect(gateway.lastWords().join('\n')).toMatch(/CLOSE_TIMEOUT: gateway: .* 1 messages that the bus did not take/);
    expect(gateway.lastWords().at(-1)).toMatch(/^sluice: CLOSE_TIMEOUT: worker [12].* did not close in order/);
  });

  it('are started again when they end, while the others keep their clients', async () => {
    const gateway = await startGatewayProcess(workers);
    const clients = await connectBoth(gateway);
    process.kill(pidOf(gateway, 2), 'SIGKILL');
    expect(await gateway.logged('a worker ended; it is started again')).toMatchObject({ worker: 2, signal: 'SIGKILL' });
    expect((await ask(gateway, '/readyz')).status).toBe(200);
    await eventually(async () => (await metrics(gateway, 'sluice_workers'))['worker="primary"'] === 2, patience);
    expect(await metrics(gateway, 'sluice_worker_restarts_total')).toEqual({ 'worker="primary"': 1 });
    const kept = await eventually(() => clients.filter(({ isClosed }) => !isClosed).length === 1 && clients);
    await kept.find(({ isClosed }) => !isClosed)!.ping();
    await gateway.connect('c');
    await gateway.connect('d');
    await eventually(async () => (await metrics(gateway, 'sluice_gateway_clients'))['worker="2"']! > 0);
  });

  it('finish what they hold and end when their primary is gone', async () => {
    const gateway = await startGatewayProcess(workers);
    const clients = await connectBoth(gateway);
    const pids = [pidOf(gateway, 1), pidOf(gateway, 2)];
    const unblock = gateway.blockBus();
    for (const client of clients) {
      client.send(publishPacket({ id: 1 }));
      await client.ping();
    }
    await gateway.kill();
    unblock();
    await eventually(() => !pids.some(isAlive), { ...patience, what: 'the workers end' });
    for (const client of clients) expect(client.ids(type.puback)).toEqual([1]);
  });

  it('that hang are named by /healthz and /readyz', async () => {
    const gateway = await startGatewayProcess(workers);
    const pid = pidOf(gateway, 1);
    process.kill(pid, 'SIGSTOP');
    onTestFinished(() => void (isAlive(pid) && process.kill(pid, 'SIGKILL')));
    const [health, readiness, clients] = await Promise.all([
      ask(gateway, '/healthz'),
      ask(gateway, '/readyz'),
      metrics(gateway, 'sluice_gateway_clients'),
    ]);
    expect(health).toEqual({ status: 503, body: { ok: false, problems: ['worker 1 does not answer'] } });
    // Stopped within an append it has the lock of the file, and the other says that its bus does not answer.
    const named = [expect.stringContaining('does not answer (1)')];
    expect(readiness).toMatchObject({ status: 503, body: { problems: named } });
    expect(Object.keys(clients)).toEqual(['worker="2"']);
    process.kill(pid, 'SIGCONT');
    await eventually(async () => (await ask(gateway, '/healthz')).status === 200, patience);
  });

  it('that cannot start end the primary as one alone would: the port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void other.close());
    await eventually(() => other.listening);
    const { port } = other.address() as { port: number };
    await expect(startGatewayProcess([...workers, '--mqtt-port', String(port)])).rejects.toThrow(
      /ended \(1\)[\s\S]*sluice: LISTEN_FAILED: MQTT cannot listen[\s\S]*SLUICE_MQTT_PORT/,
    );
  });
});

it('`sluice start` is one process, and says so', async () => {
  const starting = startRole(['start', '--config', '/dev/null'], { SLUICE_GATEWAY_WORKERS: '2' });
  await expect(starting).rejects.toThrow(/ended \(2\)[\s\S]*CONFIG_INVALID: .*gateway\.workers is 2/);
});

describe('MQTT over WebSocket with workers', { timeout: 60_000 }, () => {
  const urlOf = ({ http }: GatewayProcess) => `${http.replace('http:', 'ws:')}/mqtt`;

  async function open(gateway: GatewayProcess, clientId: string): Promise<MqttClient> {
    const options = { clientId, protocolVersion: 4, reconnectPeriod: 0 } as const;
    const client = await mqtt.connectAsync(urlOf(gateway), options);
    onTestFinished(() => void client.end(true));
    return client;
  }

  it('goes to the workers in turn, through the same door as TCP', async () => {
    const gateway = await startGatewayProcess(workers, 'mqtt: { maxConnectionsPerAddress: 20 }');
    const clients = await Promise.all(Array.from({ length: 40 }, (_, i) => open(gateway, `web-${i}`)));
    expect(await metrics(gateway, 'sluice_gateway_clients')).toEqual({ 'worker="1"': 20, 'worker="2"': 20 });
    const payload = 'x'.repeat(10_000);
    const topic = 'iot/lab/d1/telemetry';
    await Promise.all(clients.map((client) => client.publishAsync(topic, payload, { qos: 1 })));
    expect(await metrics(gateway, 'sluice_gateway_appended_total')).toEqual({ 'worker="1"': 20, 'worker="2"': 20 });
    await expect(open(gateway, 'one too many')).rejects.toThrow();
    const closed = await metrics(gateway, 'sluice_gateway_closed_total');
    const tooMany = Object.entries(closed).filter(([labels]) => labels.includes('too_many_from_address'));
    expect(tooMany.reduce((sum, [, count]) => sum + count, 0)).toBe(1);
    await clients[0]!.endAsync();
    await eventually(async () => {
      const open = Object.values(await metrics(gateway, 'sluice_gateway_connections'));
      return open.reduce((sum, count) => sum + count, 0) === 39;
    });
    for (const client of clients) client.end(true);
    expect(await gateway.stop()).toBe(0);
  });

  it('loses nothing of a client that does not wait for the answer', async () => {
    const gateway = await startGatewayProcess(workers);
    const { host, hostname, port } = new URL(urlOf(gateway));
    const headers = [`Host: ${host}`, 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'];
    const mqttHeaders = ['Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Protocol: mqtt'];
    const request = `GET /mqtt HTTP/1.1\r\n${[...headers, ...mqttHeaders].join('\r\n')}\r\n\r\n`;
    const packet = connectPacket({ clientId: 'hasty' });
    // A frame whose mask is zero.
    const frame = Buffer.concat([Buffer.from([0x82, 0x80 | packet.length, 0, 0, 0, 0]), packet]);
    const socket = connect({ host: hostname, port: Number(port) });
    onTestFinished(() => void socket.destroy());
    let heard = Buffer.alloc(0);
    socket.on('data', (bytes) => {
      heard = Buffer.concat([heard, bytes]);
    });
    socket.write(Buffer.concat([Buffer.from(request), frame]));
    const connack = Buffer.from([0x82, 4, 0x20, 2, 0, 0]);
    await eventually(() => heard.subarray(-connack.length).equals(connack), { what: String(heard) });
    expect(String(heard)).toMatch(/^HTTP\/1\.1 101 /);
  });

  it('goes to those that are left when a worker ends, and to none while the gateway drains', async () => {
    const gateway = await startGatewayProcess(workers);
    process.kill(pidOf(gateway, 1), 'SIGKILL');
    await gateway.logged('a worker ended; it is started again');
    const [one] = [await open(gateway, 'one'), await open(gateway, 'two')];
    expect((await metrics(gateway, 'sluice_gateway_clients'))['worker="2"']).toBe(2);
    const unblock = gateway.blockBus();
    const publishing = one.publishAsync('iot/lab/d1/telemetry', '{"t":1}', { qos: 1 });
    await eventually(async () => (await metrics(gateway, 'sluice_gateway_held_messages'))['worker="2"'] === 1);
    process.kill(gateway.pid, 'SIGTERM');
    await gateway.logged('draining; a second signal ends at once');
    const late = new WebSocket(urlOf(gateway), 'mqtt');
    const [refusal] = await once(late, 'error');
    expect(String(refusal)).toContain('503');
    unblock();
    await publishing;
    expect(await gateway.exited).toBe(0);
  });
});
