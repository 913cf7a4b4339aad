/** `sluice gateway` as a process on an embedded bus in a folder of its own, whose disk a test can block. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { onTestFinished } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { type RoleProcess, startRole } from '../support/role-process.ts';
import { connectPacket, RawClient, type } from './raw-client.ts';

export interface GatewayProcess extends RoleProcess {
  /** Connects and waits for the CONNACK. */
  connect(clientId: string): Promise<RawClient>;
  /** No append ends until the returned function is called. */
  blockBus(): () => void;
  /** `sluice: …` at its end, and what else is no line of its log. */
  lastWords(): string[];
  /** Waits until it has logged this. */
  logged(message: string): Promise<Record<string, unknown>>;
}

/** `settings`: lines of `sluice.yaml`. */
export async function startGatewayProcess(args: readonly string[] = [], settings = ''): Promise<GatewayProcess> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-gateway-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'sluice.yaml');
  await writeFile(file, settings);
  const env = { SLUICE_DATA_DIR: folder, SLUICE_HTTP_PORT: '0', SLUICE_MQTT_PORT: '0' };
  const role = await startRole(['gateway', '--config', file, ...args], env);
  const clients: RawClient[] = [];
  onTestFinished(async () => {
    for (const { socket } of clients) socket.destroy();
    await role.kill();
  });
  return {
    ...role,
    connect: async (clientId) => {
      const client = await RawClient.open(role.mqttPort!);
      clients.push(client);
      client.send(connectPacket({ clientId }));
      await client.received(type.connack);
      return client;
    },
    blockBus: () => {
      const database = new DatabaseSync(join(folder, 'bus.sqlite'), { timeout: 5000 });
      database.exec('BEGIN IMMEDIATE');
      let isBlocked = true;
      const unblock = () => {
        if (isBlocked) database.close();
        isBlocked = false;
      };
      onTestFinished(unblock);
      return unblock;
    },
    lastWords: () => role.log().filter((line) => !line.startsWith('{')),
    logged: (message) =>
      eventually(() => linesOf(role).find(({ msg }) => msg === message), { withinMs: 20_000, what: message }),
  };
}

export function linesOf(role: RoleProcess): Record<string, unknown>[] {
  return role.log().flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));
}
