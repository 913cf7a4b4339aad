/** A Mosquitto of one's own on a free port, ended with whoever started it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';

export interface Mosquitto {
  readonly port: number;
  readonly pid: number;
  close(): Promise<void>;
}

/** `settings`: lines of mosquitto.conf beside listener, anonymous access and no limits on queues. */
export async function startMosquitto(settings: readonly string[] = []): Promise<Mosquitto> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-mosquitto-'));
  const port = await freePort();
  const file = join(dir, 'mosquitto.conf');
  const limits = ['max_inflight_messages 0', 'max_queued_messages 0'];
  const lines = [`listener ${port} 127.0.0.1`, 'allow_anonymous true', ...limits, 'log_type error', ...settings];
  await writeFile(file, `${lines.join('\n')}\n`);
  // Debian puts it where only root looks.
  const PATH = `${process.env.PATH}:/usr/sbin:/usr/local/sbin`;
  const child = spawn('mosquitto', ['-c', file], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, PATH },
  });
  const failed = once(child, 'exit').then(([code]) => {
    throw new Error(`mosquitto ended by itself with code ${code}`);
  });
  failed.catch(() => {});
  await Promise.race([failed, eventually(() => isListening(port), { what: 'mosquitto listens' })]);
  return {
    port,
    pid: child.pid!,
    close: async () => {
      const exited = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : null;
      child.kill('SIGTERM');
      await exited;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => resolve(false));
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
