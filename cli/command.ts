/** `sluice command send`: a command to a device, through the API of `sluice start` or `sluice web`. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { durationMs } from '../core/duration.ts';
import { messageOf, SluiceError } from '../core/errors.ts';
import type { CommandState, Failure } from '../web/api.ts';

interface SendFlags {
  readonly url: string;
  readonly payload?: string;
  readonly payloadFile?: string;
  readonly expires: number;
  readonly id?: string;
  readonly tokenFile?: string;
  readonly wait: boolean;
  readonly json?: boolean;
}

const askEveryMs = 500;
const answerWithinMs = 15_000;
/** Its end is told a little after its time is over, and later when a gateway was killed. */
const endWithinMs = 30_000;

export function addCommand(program: Command): void {
  const command = program.command('command').description('say something to a device');
  command
    .command('send')
    .description('send a command, and wait for its end')
    .argument('<site/device>', 'the device', device)
    .option('--payload <text>', 'what it is sent, as it is')
    .option('--payload-file <file>', 'the same from a file; - for standard input')
    .addOption(
      new Option('--expires <time>', 'how long it may wait for the device, at most a day; 0: now or never')
        .argParser(time)
        .default(30_000, '30s'),
    )
    .option('--id <id>', 'an id of your own: of several commands with one id the first counts')
    .addOption(new Option('--url <url>', 'where the page is served').default('http://127.0.0.1:8080'))
    .addOption(new Option('--token-file <file>', 'file of the commands.token there').env('SLUICE_COMMANDS_TOKEN_FILE'))
    .option('--no-wait', 'do not wait: it is on the bus when this returns')
    .option('--json', 'print the command as JSON')
    .addHelpText(
      'after',
      `
The device listens on iot/{site}/{device}/commands at QoS 1. The token can be in SLUICE_COMMANDS_TOKEN, too.
Exit codes: 0 delivered, or on the bus with --no-wait · 1 not delivered, or not sent · 2 wrong usage

Try it:
  mosquitto_sub -q 1 -t iot/lab/s1/commands &
  sluice command send lab/s1 --payload '{"valve":"open"}'`,
    )
    .action(send);
}

async function send(to: string, flags: SendFlags): Promise<void> {
  const path = `/api/devices/${to.split('/').map(encodeURIComponent).join('/')}/commands`;
  const payload = readPayload(flags);
  const asked = { payloadBase64: payload.toString('base64'), expiresInMs: flags.expires };
  const body = JSON.stringify(flags.id === undefined ? asked : { ...asked, id: flags.id });
  let state = await ask(flags, path, { method: 'POST', body });
  if (flags.wait) {
    const untilMs = state.expiresAtMs + endWithinMs;
    while (state.state === 'pending' && Date.now() < untilMs) {
      await sleep(askEveryMs);
      state = await ask(flags, `${path}/${state.id}`);
    }
  }
  console.log(
    flags.json === true ? JSON.stringify(state) : [state.id, state.state, state.reason ?? ''].join(' ').trim(),
  );
  if (flags.wait && state.state !== 'delivered') process.exitCode = 1;
}

async function ask(flags: SendFlags, path: string, init: RequestInit = {}): Promise<CommandState> {
  const token = readToken(flags);
  const headers = {
    'content-type': 'application/json',
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  };
  const response = await fetch(new URL(path, flags.url), {
    ...init,
    headers,
    signal: AbortSignal.timeout(answerWithinMs),
  }).catch((error: unknown) => {
    throw failed(
      `${flags.url} does not answer (${messageOf(error)}): is \`sluice start\` or \`sluice web\` running there?`,
    );
  });
  const answer: unknown = await response.json().catch(() => null);
  if (response.ok) return answer as CommandState;
  const said = (answer as Failure | null)?.error?.message ?? `HTTP ${response.status}`;
  throw response.status < 500 ? invalid(said) : failed(said);
}

function readPayload({ payload, payloadFile }: SendFlags): Buffer {
  if ((payload === undefined) === (payloadFile === undefined)) throw invalid('give --payload or --payload-file');
  return payload === undefined ? readFile('--payload-file', payloadFile!) : Buffer.from(payload);
}

function readToken({ tokenFile }: SendFlags): string | undefined {
  if (tokenFile === undefined) return process.env.SLUICE_COMMANDS_TOKEN;
  return readFile('--token-file', tokenFile).toString().trim();
}

function readFile(flag: string, file: string): Buffer {
  try {
    return readFileSync(file === '-' ? 0 : file);
  } catch (error) {
    throw invalid(`${flag} cannot be read: ${messageOf(error)}`);
  }
}

function device(text: string): string {
  if (/^[^/]+\/[^/]+$/.test(text)) return text;
  throw new InvalidArgumentError('expected site/device, such as lab/s1');
}

function time(text: string): number {
  const { data, error } = durationMs.safeParse(text);
  if (error !== undefined) throw new InvalidArgumentError(error.issues[0]!.message);
  return data;
}

function invalid(message: string): SluiceError {
  return new SluiceError('CONFIG_INVALID', message);
}

function failed(message: string): SluiceError {
  return new SluiceError('BUS_UNAVAILABLE', message);
}
