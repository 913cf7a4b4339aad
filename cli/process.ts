import { open } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { messageOf, SluiceError } from '../core/errors.ts';
import { replay } from '../processors/replay.ts';
import { readConfig } from './config-sources.ts';
import { type CommonFlags, flagValues } from './flags.ts';
import { readRules } from './rules.ts';

export async function processFile(flags: CommonFlags & { in: string; flush: boolean }): Promise<void> {
  const config = readConfig(flags.config, flagValues(flags));
  const input = flags.in === '-' ? process.stdin : await openInput(flags.in);
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  const options = { ...config.processing, windows: config.windows };
  const outputs = replay(lines, options, readRules(config), { flush: flags.flush });
  await pipeline(outputs, withLineEnds, process.stdout, { end: false });
}

async function openInput(file: string): Promise<NodeJS.ReadableStream> {
  try {
    return (await open(file)).createReadStream();
  } catch (error) {
    throw new SluiceError('CONFIG_INVALID', `--in cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

async function* withLineEnds(lines: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const line of lines) yield `${line}\n`;
}
