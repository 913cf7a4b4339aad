/**
 * A command that was answered with 202 has exactly one end: two gateways and a web process, and a device that is at one
 * of them, is away, and moves. `SLUICE_COMMANDS_KILL=1`: also on the embedded bus, and the gateway that holds the device
 * is killed; whoever takes its partitions over has to wait for the end of its session.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { CommandResult } from '../../core/commands.ts';
import type { CommandState } from '../../web/api.ts';
import { openDevice } from '../gateway/commands-fixture.ts';
import { type Backend, backendNames, isAvailable, openBackend } from '../support/backends.ts';
import { eventually } from '../support/eventually.ts';
import { type RoleProcess, startRole } from '../support/role-process.ts';

const program = join(import.meta.dirname, '../../bin/sluice.js');
const token = 'a-token-of-enough-length';
const patience = { withinMs: 60_000 };
const kills = process.env.SLUICE_COMMANDS_KILL === '1';
const backends = backendNames.filter((name) => kills || name !== 'embedded');

async function startIt(backend: Backend): Promise<{ gateways: RoleProcess[]; web: RoleProcess }> {
  const env = { ...backend.env, SLUICE_HTTP_PORT: '0', SLUICE_MQTT_PORT: '0', SLUICE_COMMANDS_TOKEN: token };
  const roles = await Promise.all(['gateway', 'gateway', 'web'].map((role) => startRole([role], env)));
  onTestFinished(async () => {
    await Promise.all(roles.map((role) => role.kill()));
    await backend.close();
  });
  return { gateways: roles.slice(0, 2), web: roles[2]! };
}

async function send(web: RoleProcess, id: string, expiresInMs: number): Promise<CommandState> {
  const response = await fetch(`${web.http}/api/devices/lab/d1/commands`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ payloadText: id, id, expiresInMs }),
  });
  expect(response.status).toBe(202);
  return (await response.json()) as CommandState;
}

async function resultsOf(backend: Backend): Promise<CommandResult[]> {
  const bus = await backend.bus();
  const { commandResults } = backend.topics;
  const all: CommandResult[] = [];
  for (let partition = 0; partition < (await bus.partitionCount(commandResults)); partition++) {
    const { records } = await bus.read(commandResults, partition, 0, 1000);
    all.push(...records.map(({ value }) => JSON.parse(String(value)) as CommandResult));
  }
  return all;
}

describe.each(backends)('on %s', (name) => {
  test.skipIf(!isAvailable(name))('each command has one end', { timeout: 120_000 }, async () => {
    const backend = await openBackend(name);
    const { gateways, web } = await startIt(backend);
    const [one, two] = gateways.map(({ mqttPort }) => mqttPort!);
    const endOf = (id: string) =>
      eventually(
        async () => {
          const answer = await fetch(`${web.http}/api/devices/lab/d1/commands/${id}`, {
            headers: { authorization: `Bearer ${token}` },
          });
          const { state } = (await answer.json()) as CommandState;
          return state === 'pending' ? undefined : state;
        },
        { ...patience, what: `the end of ${id}` },
      );

    const first = await openDevice(one!);
    await send(web, 'connected', 60_000);
    expect(await endOf('connected')).toBe('delivered');
    expect(first.got).toEqual(['connected']);
    await first.leave();

    await send(web, 'away', 300);
    expect(await endOf('away')).toBe('expired');

    const dying = await openDevice(one!, { acknowledges: false });
    await send(web, 'moved', 60_000);
    await eventually(() => dying.got.length === 1, patience);
    if (kills) await gateways[0]!.kill();
    else dying.lose();
    const back = await openDevice(two!);
    // By the command line.
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [
        program,
        'command',
        'send',
        'lab/d1',
        '--payload',
        'typed',
        '--id',
        'typed',
        '--url',
        web.http,
        '--expires',
        '60s',
      ],
      { env: { ...process.env, SLUICE_COMMANDS_TOKEN: token } },
    );
    expect(stdout).toBe('typed delivered\n');
    expect(await endOf('moved')).toBe('delivered');
    expect(back.got).toEqual(['moved', 'typed']);
    expect(await gateways[1]!.stop()).toBe(0);

    const results = await resultsOf(backend);
    expect(Object.fromEntries(results.map(({ id, result }) => [id, result]))).toEqual({
      connected: 'delivered',
      away: 'expired',
      moved: 'delivered',
      typed: 'delivered',
    });
    expect(results).toHaveLength(4);
  });
});
