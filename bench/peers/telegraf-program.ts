/** Where Telegraf is: TELEGRAF_BIN, the PATH, or built once with Go from the published module into the user's cache folder. */
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { answers, exists } from '../../test/support/installed.ts';

const exec = promisify(execFile);
const version = '1.39.1';
/** Only the plugins that are used: all of them take far longer to build. */
const plugins = [
  'inputs.mqtt_consumer',
  'inputs.kafka_consumer',
  'outputs.kafka',
  'outputs.influxdb_v2',
  'parsers.json',
  'parsers.influx',
  'serializers.influx',
];

const howToGetIt = 'Telegraf: set TELEGRAF_BIN, put telegraf on the PATH, or install Go 1.26 to build it';

export async function findTelegraf(): Promise<string> {
  if (process.env.TELEGRAF_BIN) return process.env.TELEGRAF_BIN;
  if (await answers('telegraf', '--version')) return 'telegraf';
  const folder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'sluice', `telegraf-${version}`);
  const program = join(folder, 'telegraf');
  if (await exists(program)) return program;
  if (!(await answers('go', 'version'))) throw new Error(howToGetIt);
  process.stderr.write(`building Telegraf ${version}, once: some minutes\n`);
  await mkdir(folder, { recursive: true });
  const module = 'github.com/influxdata/telegraf';
  const named = ['-ldflags', `-s -w -X ${module}/internal.Version=${version}`];
  await exec(
    'go',
    ['install', ...named, '-tags', ['custom', ...plugins].join(','), `${module}/cmd/telegraf@v${version}`],
    {
      env: { ...process.env, GOBIN: folder },
      maxBuffer: 64 * 1024 * 1024,
    },
  );
  return program;
}
