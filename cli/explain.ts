/** `sluice explain`: where the number of a window comes from. */
import { type Command, Option } from 'commander';
import { systemClock } from '../core/clock.ts';
import { SluiceError } from '../core/errors.ts';
import { momentForms, momentMs } from '../core/moment.ts';
import { topicNames } from '../core/topics.ts';
import { explainWindow, isEmpty, type Question } from '../processors/explain/explain.ts';
import { readConfig } from './config-sources.ts';
import { addExistingFlags, withBusAndStore } from './existing.ts';
import { explanationText } from './explain-text.ts';
import { type CommonFlags, flagValues } from './flags.ts';

interface ExplainFlags extends CommonFlags {
  readonly device: string;
  readonly field: string;
  readonly window: string;
  readonly every?: string;
  readonly name?: string;
  readonly json?: boolean;
}

export function addExplain(program: Command): void {
  const command = program.command('explain').description('say which readings a number of a window comes from, and why');
  addExistingFlags(command)
    .addOption(new Option('--device <site/device>', 'whose').makeOptionMandatory())
    .addOption(new Option('--field <name>', 'of what').makeOptionMandatory())
    .addOption(new Option('--window <time>', `a moment in the window: ${momentForms}`).makeOptionMandatory())
    .addOption(new Option('--every <span>', 'rollup of that span (default: 1m)').choices(['1m', '1h', '1d']))
    .addOption(new Option('--name <name>', 'a window of your own, or state_1m').conflicts('every'))
    .option('--json', 'print it as JSON')
    .addHelpText(
      'after',
      `
Puts the raw records since the window's start through the stages once more, and compares with what is stored. The bus must
still have them, and the configuration be that of the processors. Changes nothing; the pipeline may run. Progress goes to
standard error.
Exit codes: 0 told · 1 there is nothing of such a window · 2 wrong usage

Try it:
  sluice explain --device lab/s1 --field temperature --window 2026-01-01T12:00:00Z
  sluice explain --device lab/s1 --field speed --window 2026-01-01T12:00:00Z --name trip --json`,
    )
    .action(explain);
}

async function explain(flags: ExplainFlags): Promise<void> {
  const config = readConfig(flags.config, flagValues(flags));
  const question = questionOf(flags);
  await withBusAndStore(config, async (bus, store) => {
    const explanation = await explainWindow(
      {
        bus,
        store,
        topics: topicNames(config.topics.prefix),
        options: { ...config.processing, windows: config.windows },
        progress: (text) => process.stderr.write(`${text}\n`),
      },
      question,
    );
    if (flags.json === true) console.log(JSON.stringify(explanation, null, 2));
    else console.log(explanationText(question, explanation));
    if (explanation === null || isEmpty(explanation)) process.exitCode = 1;
  });
}

function questionOf({ device: key, field, window, every = '1m', name }: ExplainFlags): Question {
  const slash = key.indexOf('/');
  if (slash < 1 || slash === key.length - 1) {
    throw new SluiceError('CONFIG_INVALID', `--device: expected site/device, such as lab/s1; got ${key}`);
  }
  const device = { site: key.slice(0, slash), device: key.slice(slash + 1) };
  return { ...device, field, name: name ?? `rollup_${every}`, timeUs: windowMs(window) * 1000 };
}

function windowMs(text: string): number {
  const ms = momentMs(text, systemClock.nowMs());
  if (ms === null) throw new SluiceError('CONFIG_INVALID', `--window: expected ${momentForms}; got ${text}`);
  return ms;
}
