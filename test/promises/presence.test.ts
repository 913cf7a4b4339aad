/**
 * Devices that are cut off, by `kill -9` of their gateway and by a network that passes no byte on: each is told offline
 * once, with the reason, in time, without a storm, and the page agrees. `SLUICE_PRESENCE_DEVICES=5000` is the long form.
 */
import { describe, expect, test } from 'vitest';
import type { BusRecord } from '../../bus/port.ts';
import { type DevicePresence, parsePresence } from '../../core/presence.ts';
import { type Backend, backendNames, isAvailable, openBackend } from '../support/backends.ts';
import { eventually } from '../support/eventually.ts';
import { startQuietFleet } from '../support/quiet-fleet.ts';
import { type RoleProcess, startRole } from '../support/role-process.ts';

const devices = Number(process.env.SLUICE_PRESENCE_DEVICES ?? 200);
const isLong = devices > 1000;
const keepaliveSeconds = isLong ? 30 : 4;
/** The short form is for the harder one. */
const backends = isLong ? backendNames : backendNames.filter(isAvailable).slice(-1);
const inTimeMs = 1500 * keepaliveSeconds;
/** Until what a gateway says on the bus has been read here. */
const underwayMs = 2000;
/** Each of two gateways tells 2,000 in a second; what has gathered while we did not look comes on top. */
const stormFrom = 5000;

interface Told extends DevicePresence {
  readonly atMs: number;
}

/** What is told from now on. */
class Listener {
  readonly all: Told[] = [];
  readonly #online = new Set<string>();

  read(records: readonly BusRecord[]): void {
    const atMs = Date.now();
    for (const { key, value } of records) {
      const presence = parsePresence(value)!;
      this.all.push({ ...presence, atMs });
      if (presence.status === 'online') this.#online.add(key);
      else this.#online.delete(key);
    }
  }

  get online(): number {
    return this.#online.size;
  }

  of(name: string): Told[] {
    return this.all.filter(({ device }) => device.startsWith(`${name}-`));
  }

  mostInASecond(): number {
    let most = 0;
    let first = 0;
    for (const [i, { atMs }] of this.all.entries()) {
      while (atMs - this.all[first]!.atMs >= 1000) first++;
      most = Math.max(most, i - first + 1);
    }
    return most;
  }
}

async function startAll(backend: Backend, onEnd: (end: () => Promise<void>) => void) {
  const env = { ...backend.env, SLUICE_HTTP_PORT: '0', SLUICE_MQTT_PORT: '0' };
  const start = async (role: string): Promise<RoleProcess> => {
    const started = await startRole([role], env);
    onEnd(() => started.kill());
    return started;
  };
  return Promise.all([start('gateway'), start('gateway'), start('web')]);
}

async function shownOnline(web: RoleProcess): Promise<{ online: number; ofList: number; truncated: boolean }> {
  const answer = await fetch(`${web.http}/api/devices`);
  const body = (await answer.json()) as { devices: { online: boolean }[]; online: number; truncated: boolean };
  return { ...body, ofList: body.devices.filter(({ online }) => online).length };
}

describe.each(backends)('on %s', (name) => {
  test.skipIf(!isAvailable(name))(
    `${2 * devices} devices cut off at once`,
    { timeout: isLong ? 240_000 : 90_000 },
    async ({ onTestFinished }) => {
      const backend = await openBackend(name);
      onTestFinished(() => backend.close());
      const listener = new Listener();
      const bus = await backend.bus();
      await bus.follow(backend.topics.deviceStatus, 'beginning', (records) => listener.read(records));
      const [victim, other, web] = await startAll(backend, onTestFinished);
      const [killed, cut] = await Promise.all([
        startQuietFleet(victim.mqttPort!, 'killed', devices, keepaliveSeconds),
        startQuietFleet(other.mqttPort!, 'cut', devices, keepaliveSeconds),
      ]);
      onTestFinished(() => Promise.all([killed.end(), cut.end()]).then(() => {}));
      await eventually(() => listener.online === 2 * devices, { withinMs: 30_000, what: 'all are told online' });
      await eventually(async () => (await shownOnline(web)).online === 2 * devices, {
        what: 'the page shows all online',
      });

      const fromMs = Date.now();
      await victim.kill();
      cut.stop();
      await eventually(() => listener.online === 0, { withinMs: 3 * inTimeMs, what: 'all are told offline' });

      for (const [fleet, reason] of [
        ['killed', 'gateway_lost'],
        ['cut', 'keepalive_timeout'],
      ] as const) {
        const told = listener.of(fleet);
        expect(told, 'each is told online once, and offline once').toHaveLength(2 * devices);
        const offline = told.filter(({ status }) => status === 'offline');
        expect(new Set(offline.map(({ device }) => device)).size).toBe(devices);
        expect(new Set(offline.map((each) => each.reason))).toEqual(new Set([reason]));
        const latestMs = Math.max(...offline.map(({ atMs }) => atMs)) - fromMs;
        if (isLong) console.log(`${name}: ${devices} ${fleet}: the last is told offline after ${latestMs} ms`);
        // Ten seconds are what it takes at most until a gateway that says nothing is taken for lost.
        expect(latestMs).toBeLessThan(Math.max(inTimeMs, 10_000) + underwayMs);
      }
      if (isLong) console.log(`${name}: ${listener.mostInASecond()} records in a second at most`);
      expect(listener.mostInASecond()).toBeLessThan(stormFrom);
      const shown = await eventually(async () => {
        const now = await shownOnline(web);
        return now.online === 0 && now;
      });
      expect(shown).toMatchObject({ online: 0, ofList: 0, truncated: 2 * devices > 2000 });
      expect(await other.stop()).toBe(0);
    },
  );
});
