/** What a gateway needs for clients that are connected and say nothing: resident memory for each. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { setUpTopics } from './backend.ts';
import { withGateway } from './configured.ts';
import { memoryBytes } from './cpu.ts';

export interface IdleFigures {
  readonly clients: number;
  /** From the first connection to the last CONNACK. */
  readonly connectedInSeconds: number;
  readonly kibPerClient: number;
  readonly memoryMiB: number;
}

const program = join(import.meta.dirname, 'idle-clients.ts');
/** For what was needed only to connect. */
const settleMs = 10_000;

export async function measureIdle(env: Record<string, string>, clients: number): Promise<IdleFigures> {
  await setUpTopics(env);
  const mqtt = { maxConnections: clients, maxConnectionsPerAddress: clients };
  return withGateway(env, { mqtt }, async ({ pid, mqttPort }) => {
    const before = memoryBytes(pid);
    const args = ['--port', String(mqttPort), '--clients', String(clients)];
    const startedAtMs = performance.now();
    const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(child, 'exit').then(([code]) => Promise.reject(new Error(`the clients ended with ${code}`)));
    ended.catch(() => {});
    // It says so when all are connected.
    await Promise.race([once(child.stdout, 'data'), ended]);
    const connectedInSeconds = (performance.now() - startedAtMs) / 1000;
    await Promise.race([sleep(settleMs), ended]);
    const memory = memoryBytes(pid);
    child.kill();
    return {
      clients,
      connectedInSeconds,
      kibPerClient: Math.round(((memory - before) / 1024 / clients) * 10) / 10,
      memoryMiB: Math.round(memory / 1024 / 1024),
    };
  });
}
