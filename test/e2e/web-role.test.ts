/** `sluice web` in a process of its own shows what gateways and processors in other processes do. */
import { connectAsync } from 'mqtt';
import { describe, expect, test } from 'vitest';
import type { Device, Overview } from '../../web/api.ts';
import { backendNames, isAvailable, openBackend } from '../support/backends.ts';
import { openEventStream } from '../support/event-stream.ts';
import { eventually } from '../support/eventually.ts';
import { startRole } from '../support/role-process.ts';

describe.each(backendNames)('on %s', (name) => {
  test.skipIf(!isAvailable(name))(
    'a reading published to the gateway is in the devices, totals and events of web; a killed gateway is listed no more',
    async ({ onTestFinished }) => {
      const backend = await openBackend(name);
      const env = { ...backend.env, SLUICE_HTTP_PORT: '0', SLUICE_MQTT_PORT: '0' };
      const roles = await Promise.all(['gateway', 'processor', 'web'].map((role) => startRole([role], env)));
      const [gateway, , web] = roles as [(typeof roles)[0], (typeof roles)[0], (typeof roles)[0]];
      onTestFinished(async () => {
        await Promise.all(roles.map((role) => role.kill()));
        await backend.close();
      });
      const status = async () => (await (await fetch(`${web.http}/api/status`)).json()) as Overview;
      const rolesShown = async () => (await status()).roles.map(({ role }) => role);
      await eventually(async () => (await rolesShown()).join() === 'gateway,processor,web', {
        withinMs: 30_000,
        what: 'all three roles in /api/status',
      });

      const { stream: events } = await openEventStream(`${web.http}/api/events`);
      onTestFinished(() => events.leave());
      const client = await connectAsync(`mqtt://127.0.0.1:${gateway.mqttPort}`, { clientId: 's1' });
      onTestFinished(() => client.endAsync(true));
      await client.publishAsync('iot/lab/s1/telemetry', '{"temperature":21.5}', { qos: 1 });

      const isShown = (devices: readonly Device[]) =>
        devices.some((device) => device.device === 's1' && device.fields.temperature === 21.5 && device.online);
      await eventually(() => events.of('devices').some((data) => isShown((data as { devices: Device[] }).devices)), {
        withinMs: 20_000,
        what: 'the reading in an event',
      });
      const { devices } = (await (await fetch(`${web.http}/api/devices`)).json()) as { devices: Device[] };
      expect(devices).toMatchObject([
        { site: 'lab', device: 's1', online: true, lastSeenMs: expect.any(Number), fields: { temperature: 21.5 } },
      ]);
      const full = { clients: 1, received: 1, appended: 1, stored: 1 };
      const seen = await eventually(async () => {
        const { totals, ledger, bus, store } = await status();
        return totals.stored === 1 && totals.appended === 1 ? { totals, ledger, bus, store } : undefined;
      });
      expect(seen).toMatchObject({
        totals: full,
        ledger: { balanced: true },
        bus: name === 'embedded' ? 'embedded' : 'kafka',
        store: name === 'embedded' ? 'embedded' : 'influx',
      });
      await eventually(() => events.of('status').some((data) => (data as Overview).totals.stored === 1), {
        what: 'the totals in an event',
      });

      await gateway.kill();
      await eventually(async () => (await rolesShown()).join() === 'processor,web', {
        withinMs: 10_000,
        what: 'the killed gateway gone from /api/status',
      });
      expect((await status()).totals).toMatchObject({ clients: 0, received: 1, appended: 1, stored: 1 });
      const readiness = await fetch(`${web.http}/readyz`);
      expect(readiness.status).toBe(200);
      expect(await readiness.json()).toMatchObject({
        checks: { bus: { ok: true }, store: { ok: true } },
        problems: [],
      });

      // Another run of the gateway goes on counting where the first one ended.
      const second = await startRole(['gateway'], env);
      roles.push(second);
      const again = await connectAsync(`mqtt://127.0.0.1:${second.mqttPort}`, { clientId: 's1' });
      onTestFinished(() => again.endAsync(true));
      await again.publishAsync('iot/lab/s1/telemetry', '{"temperature":22.5}', { qos: 1 });
      await eventually(async () => (await status()).totals.received === 2, { what: 'totals over both runs' });
    },
  );
});
