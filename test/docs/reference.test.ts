/** The reference pages say what the code says: every reason, error and setting, and nothing that is not there. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { configReference } from '../../core/config.ts';
import { errorCodes } from '../../core/errors.ts';
import {
  closedReasons,
  commandRefusedReasons,
  deadLetterReasons,
  droppedReasons,
  ignoredReasons,
  notWindowedReasons,
  rejectedReasons,
  untoldReasons,
} from '../../core/reasons.ts';
import { refusalReasons } from '../../store/port.ts';

const page = (name: string) => readFileSync(join(import.meta.dirname, '../../docs', name), 'utf8');

/** First cells of all tables, without their quotes. */
function listed(text: string): string[] {
  return [...text.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name!);
}

test('docs/errors.md lists every error code and no other', () => {
  expect(listed(page('errors.md')).sort()).toEqual(Object.keys(errorCodes).sort());
});

test('docs/configuration.md lists every setting with its variable and default', () => {
  const text = page('configuration.md');
  expect(listed(text)).toEqual(configReference().map(({ path }) => path));
  for (const { path, variable, default: fallback } of configReference()) {
    const row = text.split('\n').find((line) => line.startsWith(`| \`${path}\` |`))!;
    if (variable !== null) expect(row).toContain(variable);
    if (fallback !== undefined) expect(row).toContain(JSON.stringify(fallback));
  }
});

describe('docs/reasons.md', () => {
  test.each([
    ['A message is dead-lettered', deadLetterReasons],
    ['A message is ignored', ignoredReasons],
    ['A reading is rejected', rejectedReasons],
    ['A reading is stored, but in no window', notWindowedReasons],
    ['The gateway does not append a message', droppedReasons],
    ['A command is refused', commandRefusedReasons],
    ['A device is not told of a dead letter', untoldReasons],
    ['The gateway closes a connection', closedReasons],
  ])('%s: every reason, as the code explains it', (title, reasons) => {
    const section = page('reasons.md')
      .split('\n## ')
      .find((part) => part.startsWith(title))!;
    expect(listed(section)).toEqual(Object.keys(reasons));
    for (const { text } of Object.values(reasons)) expect(section).toContain(text);
  });

  test('why the store refuses a point', () => {
    const section = page('reasons.md').split('\n## ').at(-1)!;
    expect(listed(section)).toEqual([...refusalReasons]);
  });
});
