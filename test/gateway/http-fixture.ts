import { onTestFinished } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { silentLogger } from '../../core/log.ts';
import type { Gateway } from '../../gateway/gateway.ts';
import { WebServer } from '../../web/server.ts';

/** The HTTP side of a gateway's process, as `pipeline.ts` puts it there; returns where MQTT over WebSocket is spoken. */
export async function openWebSocket(gateway: Gateway): Promise<string> {
  const web = new WebServer({
    host: '127.0.0.1',
    port: 0,
    instance: 'run1',
    version: '0.0.0',
    clock: systemClock,
    log: silentLogger,
    checks: {},
    problems: () => [],
    status: () => [gateway.status()],
    pipeline: null,
    mqtt: (request, head) => gateway.upgrade(request, head),
  });
  await web.start();
  onTestFinished(() => web.close());
  return `ws://127.0.0.1:${web.address().port}/mqtt`;
}
