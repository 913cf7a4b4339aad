/**
 * Guessed passwords by the hundred from one address: what they cost everybody else, and what of them is kept.
 * `SLUICE_GUESSES` says how many a second; 1000 is the long form.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { silentLogger } from '../../core/log.ts';
import { eventually } from '../support/eventually.ts';
import { type Opened, openGateway } from './harness.ts';
import { connectPacket, publishPacket, RawClient, type } from './raw-client.ts';
import { usersFile } from './users-fixture.ts';

const perSecond = Number(process.env.SLUICE_GUESSES ?? 200);
const rounds = 3;
const users = Array.from({ length: 2 * rounds + 1 }, (_, i) => ({
  user: `pump${i}`,
  password: `open sesame ${i}`,
  site: 'lab',
  device: `d${i}`,
}));

/** Ends when it is told to, and then says how many it made. */
async function startGuessing(port: number) {
  const child = fork(join(import.meta.dirname, 'guesser.ts'), [String(port), '127.0.0.2', String(perSecond)]);
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child, 'message');
  return async (): Promise<{ guesses: number; answered: number }> => {
    const said = once(child, 'message');
    child.kill('SIGTERM');
    return (await said)[0];
  };
}

/** Median times of logins with passwords that were not seen before, and of publishing beside them, milliseconds. */
async function measure(opened: Opened, publisher: RawClient, first: number) {
  const loginMs: number[] = [];
  const publishMs: number[] = [];
  for (let i = first; i < first + rounds; i++) {
    const { user, password } = users[i]!;
    let fromMs = performance.now();
    const client = await RawClient.open(opened.port, '127.0.0.3');
    client.send(connectPacket({ clientId: user, credentials: { username: user, password } }));
    expect(await client.received(type.connack)).toEqual([0]);
    loginMs.push(performance.now() - fromMs);
    client.socket.destroy();
    for (let j = 0; j < 3; j++) {
      fromMs = performance.now();
      const before = publisher.ids(type.puback).length;
      publisher.send(publishPacket({ id: before + 1, topic: 'iot/lab/d0/telemetry' }));
      await publisher.received(type.puback, before + 1);
      publishMs.push(performance.now() - fromMs);
    }
  }
  return { loginMs: median(loginMs), publishMs: median(publishMs) };
}

function median(values: number[]): number {
  return Math.round(values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!);
}

describe(`${perSecond} guessed passwords a second from one address`, { timeout: 120_000 }, () => {
  it('slow neither logins from another nor publishing, and no secret is kept', async () => {
    const lines: string[] = [];
    const keep = (fields: object, message: string) => void lines.push(JSON.stringify({ ...fields, message }));
    const log = { ...silentLogger, debug: keep, info: keep, warn: keep, error: keep, child: () => log };
    const { file } = await usersFile(users);
    const opened = await openGateway({ usersFile: file }, { log });
    const { gateway } = opened;
    const [{ user, password }] = users as [(typeof users)[0]];
    const publisher = await opened.connect({ clientId: 'publisher', credentials: { username: user, password } });
    const alone = await measure(opened, publisher, 1);
    const fromMs = performance.now();
    const stop = await startGuessing(opened.port);
    await eventually(() => gateway.status().loginsDelayed > 0, { withinMs: 30_000, what: 'the guesses are slowed' });
    const beside = await measure(opened, publisher, 1 + rounds);
    const { guesses, answered } = await stop();
    const { closed, loginsFailed } = gateway.status();
    process.stderr.write(`${JSON.stringify({ guesses, answered, loginsFailed, alone, beside })}\n`);
    const seconds = (performance.now() - fromMs) / 1000;
    expect(loginsFailed, 'passwords that were looked at').toBeLessThan(40 + 2 * seconds);
    expect(closed.too_many_logins).toBeGreaterThan(guesses / 2);
    // On a machine that does much else both take longer.
    expect(beside.loginMs).toBeLessThan(3 * alone.loginMs + 3000);
    expect(beside.publishMs).toBeLessThan(3 * alone.publishMs + 500);
    const kept = `${lines.join('\n')}${JSON.stringify(gateway.status())}`;
    expect(kept).toContain('too_many_logins');
    expect(kept).not.toMatch(/guessed-secret|open sesame|\$scrypt/);
  });
});
