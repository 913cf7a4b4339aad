/**
 * The live page in a real chromium, on a real pipeline. One pipeline for all, and the tests in the order of a newcomer's
 * first minutes: the page is empty only once.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync, type MqttClient } from 'mqtt';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { accessibilityFaults, launchBrowser, openPage } from '../support/browser.ts';
import { eventually } from '../support/eventually.ts';
import { hasProgram, run } from '../support/programs.ts';
import { type RoleProcess, startRole } from '../support/role-process.ts';

const canRun = [hasProgram('chromium', 'chromium'), hasProgram('mosquitto_pub', 'mosquitto-clients')].every(Boolean);

const rules = `
- name: too-warm
  severity: critical
  field: temperature
  when: { above: 30, clear: 28 }
  summary: '{device} is at {value}'
`;

describe.skipIf(!canRun)('the live page', () => {
  let browser: Browser;
  let folder: string;
  let sluice: RoleProcess;
  /** Connects with the first reading: a device that is online would be on the empty page. */
  let devices: Promise<MqttClient> | null = null;

  function start(ports: { mqtt: number; http: number }): Promise<RoleProcess> {
    return startRole(['start'], {
      SLUICE_DATA_DIR: join(folder, 'data'),
      SLUICE_RULES: join(folder, 'rules.yaml'),
      SLUICE_MQTT_PORT: String(ports.mqtt),
      SLUICE_HTTP_PORT: String(ports.http),
    });
  }

  async function send(device: string, payload: object): Promise<void> {
    devices ??= connectAsync({ host: '127.0.0.1', port: sluice.mqttPort!, clientId: 'hall' });
    await (await devices).publishAsync(`iot/hall/${device}/telemetry`, JSON.stringify(payload), { qos: 1 });
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-page-'));
    await writeFile(join(folder, 'rules.yaml'), rules);
    [browser, sluice] = await Promise.all([launchBrowser(), start({ mqtt: 0, http: 0 })]);
  });

  afterAll(async () => {
    await (await devices)?.endAsync(true);
    await browser?.close();
    await sluice?.kill();
    await rm(folder, { recursive: true, force: true });
  });

  test('an empty page shows the line that makes the first row appear within 2 s', async () => {
    await using opened = await openPage(browser, sluice.http);
    const { page, complaints } = opened;
    await page.waitForSelector('#hint:not([hidden])');
    const line = await eventually(async () => {
      const text = await page.textContent('#hint-line');
      return text?.startsWith('mosquitto_pub') ? text : undefined;
    });
    expect(line).toBe(
      `mosquitto_pub -h 127.0.0.1 -p ${sluice.mqttPort} -q 1 -t iot/lab/s1/telemetry -m '{"temperature":21.5}'`,
    );
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.click('#hint-copy');
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(line);
    expect(await accessibilityFaults(page)).toEqual([]);
    expect(await page.locator('.panel.chart').isVisible()).toBe(false);

    await run('sh', ['-c', line]);
    await page.waitForSelector('tr[data-site="lab"][data-device="s1"]', { timeout: 2000 });
    expect(await shownValue(page, 's1', 'temperature')).toBe('21.5');
    expect(await page.locator('#hint').isVisible()).toBe(false);
    expect(complaints).toEqual([]);
  });

  test('values, chart, strip and ledger go on by themselves', async () => {
    await using opened = await openPage(browser, sluice.http);
    const { page, complaints } = opened;
    await send('a1', { temperature: 20, humidity: 40.25, door: 'shut', light: true });
    await page.waitForSelector('tr[data-device="a1"]');
    await send('a1', { temperature: 20.75 });
    await eventually(async () => (await shownValue(page, 'a1', 'temperature')) === '20.75', { withinMs: 2000 });
    expect(await shownValue(page, 'a1', 'humidity')).toBe('40.25');
    expect(await shownValue(page, 'a1', 'door')).toBe('shut');
    expect(await page.locator('tr[data-device="a1"] button').count()).toBe(2);

    await eventually(async () => (await page.textContent('#ledger-verdict')) === '✓ balanced');
    const { received } = (await overview(sluice)).totals;
    await eventually(async () => {
      const [gateway] = await page.locator('.equation').allTextContents();
      return gateway === `✓${received} received= ${received} appended+ 0 dropped+ 0 held`;
    });
    expect(await page.locator('.equation.unequal').count()).toBe(0);
    expect(await page.locator('.stage').allTextContents()).toEqual([
      expect.stringMatching(/^Clients1 connectedMQTT 127\.0\.0\.1:\d+0 refused$/),
      expect.stringMatching(/^Gateway[\d.]+ received\/s[\d.]+ appended\/sack .* ms, p99 .* ms0 dropped$/),
      expect.stringMatching(/^Bus\d+ behind.*embedded$/),
      expect.stringMatching(/^Processor[\d.]+ records\/s1 process0 dead-lettered0 late0 duplicates$/),
      expect.stringMatching(/^Store[\d.]+ readings\/s– rollups\/minembedded$/),
      expect.stringMatching(/^Alerts0 firing0 raised in all$/),
    ]);
    expect(complaints).toEqual([]);
  });

  test('the line can be asked for later, and a device says how it is here', async () => {
    await using opened = await openPage(browser, sluice.http);
    const { page, complaints } = opened;
    await page.waitForSelector('tr[data-device="a1"]');
    expect(await page.locator('#hint').isVisible()).toBe(false);
    await page.click('#hint-toggle');
    expect(await page.getAttribute('#hint-toggle', 'aria-expanded')).toBe('true');
    expect(await page.textContent('#hint-line')).toMatch(/^mosquitto_pub -h 127\.0\.0\.1 -p \d+ -q 1 /);
    expect(await page.locator('#hint-user').isVisible()).toBe(false);
    expect(await page.locator('.panel.chart').isVisible()).toBe(true);
    expect(await accessibilityFaults(page)).toEqual([]);
    await page.click('#hint-toggle');
    expect(await page.locator('#hint').isVisible()).toBe(false);
    const dot = page.locator('tr[data-device="a1"] .dot');
    await eventually(async () =>
      /^online, since .*, without saying who it is$/.test((await dot.getAttribute('title'))!),
    );
    expect(complaints).toEqual([]);
  });

  test('where a user is needed the line says so, and who is refused is counted by its reason', async () => {
    const secured = await startRole(['start'], {
      SLUICE_DATA_DIR: join(folder, 'secured'),
      SLUICE_MQTT_PORT: '0',
      SLUICE_HTTP_PORT: '0',
      SLUICE_MQTT_USERNAME: 'fleet',
      SLUICE_MQTT_PASSWORD: 'hunted',
    });
    try {
      await using opened = await openPage(browser, secured.http);
      const { page } = opened;
      await page.waitForSelector('#hint-user:not([hidden])');
      const line = (await page.textContent('#hint-line'))!;
      expect(line).toContain(`-p ${secured.mqttPort} -u USER -P PASSWORD -q 1`);
      expect(await accessibilityFaults(page)).toEqual([]);
      await run('sh', ['-c', line]).catch(() => {});
      const clients = page.locator('.stage').first();
      await eventually(async () => (await clients.textContent())!.endsWith('1 bad credentials'));
      await run('sh', ['-c', line.replace('USER', 'fleet').replace('PASSWORD', 'hunted')]);
      await page.waitForSelector('tr[data-site="lab"][data-device="s1"]');
    } finally {
      await secured.kill();
    }
  });

  test('a series is chosen with the keyboard alone, drawn, kept up to date, and as a band of its minutes', async () => {
    const nowMs = Date.now();
    for (let minute = 4; minute >= 0; minute--) {
      for (const offset of [0, 2, 4]) {
        await send('k1', { ts: nowMs - minute * 60_000 + offset, flow: 10 + minute + offset, level: 3 });
      }
    }
    await using opened = await openPage(browser, sluice.http);
    const { page, complaints } = opened;
    await page.waitForSelector('tr[data-device="k1"]');
    await eventually(async () => {
      await page.keyboard.press('Tab');
      return page.evaluate(`document.activeElement.closest('tbody') !== null`);
    });
    await page.keyboard.press('Home');
    await eventually(async () => {
      await page.keyboard.press('ArrowDown');
      return (await focused(page)).startsWith('k1 ');
    });
    await page.keyboard.press('ArrowRight');
    expect(await focused(page)).toBe('k1 level');
    await page.keyboard.press('ArrowLeft');
    expect(await focused(page)).toBe('k1 flow');
    await page.keyboard.press('Enter');

    await eventually(async () => (await page.textContent('#chart-title')) === 'k1 · hall');
    expect(await page.inputValue('#chart-field')).toBe('flow');
    await eventually(async () => (await page.textContent('#chart-value')) === '14');
    await eventually(async () => (await drawnPixels(page)) > 100, { what: 'a line on the canvas' });
    expect(await focused(page)).toBe('k1 flow');

    await send('k1', { flow: 17.5 });
    await eventually(async () => (await page.textContent('#chart-value')) === '17.5', { withinMs: 2000 });

    await page.focus('#chart-resolution input:checked');
    await page.keyboard.press('ArrowRight');
    await eventually(async () => /^from [\d.]+ to [\d.]+ at /.test((await page.textContent('#chart-when')) ?? ''));
    await eventually(async () => (await drawnPixels(page)) > 100, { what: 'a line on the canvas' });
    await page.focus('#chart-range input:checked');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    expect(await page.locator('#chart-range input:checked').inputValue()).toBe('24h');
    await page.reload();
    await eventually(async () => (await page.textContent('#chart-title')) === 'k1 · hall');
    expect(await page.locator('#chart-range input:checked').inputValue()).toBe('24h');
    expect(complaints).toEqual([]);
  });

  test('an alert is in the feed with what it is about, is announced, and ends', async () => {
    await using opened = await openPage(browser, sluice.http);
    const { page, complaints } = opened;
    await eventually(async () => (await page.textContent('#alerts-tally')) === 'none firing');
    await untilNewsIsNew(page);
    await send('b1', { temperature: 31.5 });
    const alert = page.locator('.alert');
    await eventually(async () => (await alert.count()) === 1);
    expect(await alert.textContent()).toMatch(
      /^firingcriticaltoo-warmfor \d+ sb1 is at 31\.5hall\/b1value 31\.5, threshold 30$/,
    );
    expect(await page.textContent('#announcer')).toBe('Alert, critical: b1 is at 31.5');
    expect(await page.textContent('#alerts-tally')).toBe('1 firing');

    await send('b2', { temperature: 40 });
    await eventually(async () => (await alert.count()) === 2);
    await send('b2', { temperature: 20 });
    await eventually(async () => (await page.textContent('#alerts-tally')) === '1 firing');
    expect(await page.locator('.alert .badge').allTextContents()).toEqual(['firing', 'resolved']);
    expect(complaints).toEqual([]);
  });

  test('what a device sends is text, whatever it is', async () => {
    const hostile = `<img src=x onerror="document.title='owned'">`;
    await send('c1', { [hostile]: 1, note: hostile, temperature: 35 });
    await using opened = await openPage(browser, sluice.http);
    const { page, complaints } = opened;
    await page.click('tr[data-device="c1"]');
    expect(await page.locator('tr[data-device="c1"] .name').first().textContent()).toBe(hostile);
    expect(await shownValue(page, 'c1', 'note')).toBe(hostile);
    await eventually(async () => (await page.inputValue('#chart-field')) === hostile);
    await eventually(async () => (await page.textContent('#chart-value')) === '1');
    expect(await page.locator('main img').count()).toBe(0);
    expect(await page.title()).toBe('Sluice');
    expect(complaints).toEqual([]);
  });

  test('of a large fleet the first rows are drawn, the rest is counted, filtered and sorted', async () => {
    await Promise.all(Array.from({ length: 250 }, (_, index) => send(`fleet-${index}`, { speed: index })));
    await using opened = await openPage(browser, sluice.http);
    const { page, complaints } = opened;
    const rows = page.locator('#devices tr');
    await eventually(async () => /^\d+ more match/.test((await page.textContent('#devices-note')) ?? ''));
    expect(await rows.count()).toBe(200);
    await page.fill('#devices-filter', 'speed');
    await eventually(async () => (await page.textContent('#devices-note'))?.startsWith('50 more match'));
    await page.fill('#devices-filter', 'fleet-24');
    await eventually(async () => (await rows.count()) === 11);
    expect(await rows.locator('th').allTextContents()).toEqual([
      'fleet-24',
      ...Array.from({ length: 10 }, (_, i) => `fleet-24${i}`),
    ]);
    await page.click('button[data-sort="device"]');
    await page.click('button[data-sort="device"]');
    await eventually(async () => (await rows.locator('th').first().textContent()) === 'fleet-249');
    expect(await page.locator('th[aria-sort="descending"]').textContent()).toBe('Device');
    expect(complaints).toEqual([]);
  });

  test.for([
    { colorScheme: 'light', width: 1440 },
    { colorScheme: 'dark', width: 1440 },
    { colorScheme: 'light', width: 360 },
    { colorScheme: 'dark', width: 360 },
  ] as const)('$colorScheme and $width wide: no fault that axe finds, no scrolling sideways', async (look) => {
    await using opened = await openPage(browser, sluice.http, look);
    const { page, complaints } = opened;
    await page.waitForSelector('#devices tr');
    await page.waitForSelector('.alert');
    await eventually(async () => (await page.textContent('#chart-value')) !== '');
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(look.width);
    expect(await accessibilityFaults(page)).toEqual([]);
    expect(complaints).toEqual([]);
  });

  test('a rate spans seconds, and a counter that goes back starts afresh', async () => {
    await using opened = await openPage(browser, sluice.http);
    const rates = await opened.page.evaluate(`(async () => {
      const { Rates } = await import('/rates.js');
      const rates = new Rates();
      const seen = [];
      for (const [second, received] of [[0, 100], [1, 100], [2, 140], [3, 160], [4, 0], [5, 10]]) {
        rates.add({ atMs: second * 1000, totals: { received } });
        seen.push(rates.perSecond('received'));
      }
      seen.push(rates.perMinute('received'));
      for (let second = 6; second <= 70; second++) rates.add({ atMs: second * 1000, totals: { received: 2 * second } });
      seen.push(rates.perMinute('received'));
      return seen;
    })()`);
    expect(rates).toEqual([null, 0, 20, 20, null, 10, null, 120]);
  });

  test('a lost connection is said, and mended when the server is back on its port', async () => {
    await using opened = await openPage(browser, sluice.http);
    const { page } = opened;
    await eventually(async () => (await page.textContent('#connection')) === 'live');
    expect(await page.locator('.banner.lost').isVisible()).toBe(false);
    const ports = { mqtt: sluice.mqttPort!, http: Number(new URL(sluice.http).port) };
    await sluice.stop();
    await page.waitForSelector('.banner.lost:not([hidden])');
    expect(await page.textContent('#connection')).toBe('reconnecting');
    expect(await page.locator('#devices tr').count()).toBeGreaterThan(0);

    sluice = await start(ports);
    await eventually(async () => (await page.textContent('#connection')) === 'live', { withinMs: 20_000 });
    expect(await page.locator('.banner.lost').isVisible()).toBe(false);
    await send('a1', { temperature: 18.5 });
    await eventually(async () => (await shownValue(page, 'a1', 'temperature')) === '18.5');
    await eventually(async () => (await page.textContent('#ledger-verdict')) === '✓ balanced');
  });
});

function shownValue(page: Page, device: string, field: string): Promise<string | null> {
  return page.textContent(`tr[data-device="${device}"] [data-field="${field}"] .number`, { timeout: 1000 });
}

/** Device and field of the value that has the focus. */
function focused(page: Page): Promise<string> {
  return page.evaluate(`(() => {
    const value = document.activeElement;
    return [value.closest('tr')?.dataset.device, value.dataset.field].join(' ');
  })()`);
}

/** Pixels of the chart that have the colour of its line, at whatever opacity its edges have. */
function drawnPixels(page: Page): Promise<number> {
  return page.evaluate(`(() => {
    const canvas = document.querySelector('#chart-plot canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const accent = getComputedStyle(document.documentElement).getPropertyValue('--accent').trim();
    const [red, green, blue] = [1, 3, 5].map((at) => Number.parseInt(accent.slice(at, at + 2), 16));
    let drawn = 0;
    for (let i = 0; i < data.length; i += 4) {
      const distance = Math.abs(data[i] - red) + Math.abs(data[i + 1] - green) + Math.abs(data[i + 2] - blue);
      if (distance < 24 && data[i + 3] > 127) drawn++;
    }
    return drawn;
  })()`);
}

/** What comes at a connection is not news; the second status ends it, and brings the first rate. */
async function untilNewsIsNew(page: Page): Promise<void> {
  const received = page.locator('.stage .figure').nth(1);
  await eventually(async () => (await received.textContent()) !== '–');
}

async function overview({ http }: RoleProcess): Promise<{ totals: { received: number } }> {
  const response = await fetch(`${http}/api/status`);
  return (await response.json()) as { totals: { received: number } };
}
