/**
 * Devices that connect, send one message and then only ping: as a process of its own, so that a test can stop it as a
 * network that passes no byte on would, or end it. `node quiet-fleet.ts PORT NAME COUNT KEEPALIVE_SECONDS`; each line that
 * it prints is how many are connected.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { connectPacket, pingreq, publishPacket } from '../gateway/raw-client.ts';

/** A gateway takes 2,500 connections of one address. */
const devicesPerAddress = 2000;
const connectsAtOnce = 50;

export interface QuietFleet {
  /** No byte more comes of it, and no connection ends. */
  stop(): void;
  end(): Promise<void>;
}

/** Resolves when all are connected and their messages are acknowledged. Their site is `lab`, their names `NAME-NUMBER`. */
export async function startQuietFleet(
  port: number,
  name: string,
  count: number,
  keepaliveSeconds: number,
): Promise<QuietFleet> {
  const args = [import.meta.filename, port, name, count, keepaliveSeconds].map(String);
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const killWithUs = () => child.kill('SIGKILL');
  process.once('exit', killWithUs);
  child.once('exit', () => process.off('exit', killWithUs));
  for await (const line of createInterface({ input: child.stdout! })) if (Number(line) === count) break;
  return { stop: () => void child.kill('SIGSTOP'), end: () => end(child) };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

async function runDevice(port: number, name: string, number: number, keepaliveSeconds: number): Promise<void> {
  const device = `${name}-${number}`;
  const localAddress = `127.0.1.${1 + Math.floor(number / devicesPerAddress)}`;
  const socket = connect({ port, host: '127.0.0.1', localAddress, noDelay: true });
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(connectPacket({ clientId: device, keepaliveSeconds }));
  await bytes(socket, 4);
  socket.write(publishPacket({ topic: `iot/lab/${device}/telemetry` }));
  await bytes(socket, 4);
  socket.resume();
  const pinging = setInterval(() => socket.write(pingreq()), (keepaliveSeconds * 1000) / 2);
  socket.on('close', () => clearInterval(pinging));
}

/** A CONNACK and a PUBACK have four bytes, and come alone. */
async function bytes(socket: Socket, count: number): Promise<void> {
  while (socket.read(count) === null) {
    if (socket.destroyed) throw new Error('the gateway closed the connection');
    await Promise.race([once(socket, 'readable'), once(socket, 'close')]);
  }
}

async function runFleet(port: number, name: string, count: number, keepaliveSeconds: number): Promise<void> {
  for (let number = 0; number < count; ) {
    const group = Array.from({ length: Math.min(connectsAtOnce, count - number) }, () => number++);
    await Promise.all(group.map((each) => runDevice(port, name, each, keepaliveSeconds)));
    process.stdout.write(`${number}\n`);
  }
}

if (process.argv[1] === import.meta.filename) {
  const [port, name, count, keepaliveSeconds] = process.argv.slice(2);
  await runFleet(Number(port), name!, Number(count), Number(keepaliveSeconds));
}
