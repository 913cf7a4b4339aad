import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { claimFirst } from '../../bus/embedded/claim.ts';
import { temporaryFolder } from './embedded-fixture.ts';

async function claims() {
  const folder = await temporaryFolder();
  const fileOf = (number: number) => join(folder, `own-${number}.sqlite`);
  return { folder, fileOf, claim: () => claimFirst(fileOf) };
}

test('each takes the first file that no one else has', async () => {
  const { fileOf, claim } = await claims();
  const [first, second, third] = [claim(), claim(), claim()];
  expect([first, second, third].map(({ file }) => file)).toEqual([1, 2, 3].map(fileOf));
  second.release();
  const again = claim();
  expect(again.file).toBe(fileOf(2));
  for (const { release } of [first, again, third]) release();
});

test('a process that was killed has none', async () => {
  const { folder, fileOf, claim } = await claims();
  const module = pathToFileURL(join(import.meta.dirname, '../../bus/embedded/claim.ts')).href;
  const program = `
    const { claimFirst } = await import(${JSON.stringify(module)});
    console.log(claimFirst((number) => ${JSON.stringify(folder)} + '/own-' + number + '.sqlite').file);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [said] = await once(child.stdout, 'data');
  expect(String(said).trim()).toBe(fileOf(1));
  const other = claim();
  expect(other.file).toBe(fileOf(2));
  other.release();
  child.kill('SIGKILL');
  await once(child, 'exit');
  const own = claim();
  expect(own.file).toBe(fileOf(1));
  own.release();
});
