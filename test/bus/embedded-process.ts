/**
 * Another process on a bus file, as tests of the embedded bus need it.
 *
 *     append FILE FIRST    appends the numbers from FIRST on for ever, four appends in flight; says each number once it is durable
 *     consume FILE         holds its first batch of partition 0 until it is told `commit`, then says how that commit went
 */
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { EmbeddedBus } from '../../bus/embedded.ts';
import { systemClock } from '../../core/clock.ts';
import { SluiceError } from '../../core/errors.ts';
import { silentLogger } from '../../core/log.ts';

const [role, file, first] = process.argv.slice(2);
const bus = new EmbeddedBus({ file: file!, clock: systemClock, log: silentLogger });
await bus.start();

if (role === 'append')
  await Promise.all(Array.from({ length: 4 }, (_, lane) => appendForEver(Number(first) + lane * 10)));
else await consumeAndHold();

async function appendForEver(from: number): Promise<never> {
  for (let number = from; ; number += 40) {
    const numbers = Array.from({ length: 10 }, (_, i) => number + i);
    await bus.append(
      'topic',
      numbers.map((each) => ({ key: 'key', value: Buffer.from(`${each}`), headers: {}, timestampMs: Date.now() })),
    );
    writeSync(1, numbers.map((each) => `${each}\n`).join(''));
  }
}

async function consumeAndHold(): Promise<void> {
  const told = new Promise((resolve) => createInterface({ input: process.stdin }).once('line', resolve));
  await bus.consume(
    'topic',
    'group',
    async (batch) => {
      console.log('holding');
      await told;
      const outcome = await batch.commit(99, 'too late').then(
        () => 'committed',
        (error: unknown) => (error instanceof SluiceError ? error.code : 'unexpected'),
      );
      console.log(outcome);
    },
    { sessionTimeoutMs: 1_000, maxBatchRecords: 10 },
  );
}
