/** A real chromium, and pages that remember everything they complain of. */
import axe from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';

export function launchBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
}

export interface Look {
  readonly colorScheme?: 'light' | 'dark';
  readonly width?: number;
  readonly height?: number;
}

export interface WatchedPage extends AsyncDisposable {
  readonly page: Page;
  /** Errors and warnings on the console, uncaught errors, refusals by the content security policy: in words. */
  readonly complaints: readonly string[];
}

export async function openPage(browser: Browser, url: string, look: Look = {}): Promise<WatchedPage> {
  const { colorScheme = 'light', width = 1440, height = 900 } = look;
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, locale: 'en-GB' });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  await page.goto(url);
  return { page, complaints, [Symbol.asyncDispose]: () => context.close() };
}

/** What axe-core finds against WCAG 2 A and AA, in words; the policy of the page stays in force. */
export async function accessibilityFaults(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  return page.evaluate(`
    axe.run({ runOnly: ['wcag2a', 'wcag2aa'] }).then(({ violations }) =>
      violations.map(({ id, help, nodes }) => id + ': ' + help + ' at ' + nodes.map(({ html }) => html).join(' , ')))
  `);
}
