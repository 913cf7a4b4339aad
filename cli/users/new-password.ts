/** Where the password of a user comes from: never from the command line, which all can see. */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { messageOf, SluiceError } from '../../core/errors.ts';
import { type PasswordOrigin, randomPassword } from '../../gateway/identity/password.ts';

export interface PasswordFlags {
  readonly passwordFile?: string;
  readonly generate?: boolean;
}

export interface NewPassword {
  readonly password: string;
  /** Of a random one: its user does not know it yet, it has to be shown. */
  readonly origin: PasswordOrigin;
}

const minLength = 8;
const maxBytes = 1024;

/** Throws CONFIG_INVALID when there is none, or it is too short. */
export async function newPassword({ passwordFile, generate = false }: PasswordFlags): Promise<NewPassword> {
  if (generate && passwordFile !== undefined) throw invalid('--generate and --password-file exclude each other');
  if (generate) return { password: randomPassword(), origin: 'random' };
  const password = await readPassword(passwordFile);
  if ([...password].length < minLength) throw invalid(`the password needs ${minLength} characters at least`);
  if (Buffer.byteLength(password) > maxBytes) throw invalid(`the password is longer than ${maxBytes} bytes`);
  return { password, origin: 'chosen' };
}

async function readPassword(file: string | undefined): Promise<string> {
  if (file !== undefined) return firstLine(readFile(file));
  if (!process.stdin.isTTY) return firstLine(await text(process.stdin));
  const password = await ask('New password: ');
  if ((await ask('The same once more: ')) !== password) throw invalid('they are not the same');
  return password;
}

function readFile(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw invalid(`--password-file cannot be read: ${messageOf(error)}`);
  }
}

function firstLine(content: string): string {
  const [line = '', ...rest] = content.split(/\r?\n/);
  if (rest.some((other) => other !== '')) throw invalid('more than one line where a password was expected');
  return line;
}

/** Without an echo. */
async function ask(question: string): Promise<string> {
  process.stderr.write(question);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: silent, terminal: true });
  terminal.on('SIGINT', () => process.exit(130));
  try {
    return await terminal.question('');
  } finally {
    terminal.close();
    process.stderr.write('\n');
  }
}

function invalid(message: string): SluiceError {
  return new SluiceError('CONFIG_INVALID', message);
}
