/** `sluice users`: who may connect to the gateway, and what they may do. */
import { type Command, Option } from 'commander';
import { hashPassword } from '../../gateway/identity/password.ts';
import type { UserEntry } from '../../gateway/identity/users.ts';
import { importDevices } from './import.ts';
import { type NewPassword, newPassword, type PasswordFlags } from './new-password.ts';
import { addEntries, changeEntry, readEntries } from './users-file.ts';

interface FileFlags {
  readonly file: string;
  readonly json?: boolean;
}

interface AddFlags extends FileFlags, PasswordFlags {
  readonly site?: string;
  readonly device?: string;
  readonly publish?: readonly string[];
  readonly subscribe?: readonly string[];
  /** `--no-password`. */
  readonly password: boolean;
}

export function addUsers(program: Command): void {
  const command = program.command('users').description('say who may connect to the gateway, and what they may do');
  command.addHelpText(
    'after',
    `
A gateway that runs sees a change within two seconds: who was removed is closed, everybody else stays connected.
The password is asked for, or read from standard input or --password-file; never given on the command line.
Exit codes: 0 done · 2 wrong usage, no such user, or a file that cannot be used

Try it:
  sluice users add pump1 --site plant --device pump1 --generate --file users.ndjson
  SLUICE_MQTT_USERS_FILE=users.ndjson sluice start

A fleet, each device with a user of its own, and the same fleet simulated:
  sluice simulate devices -c 1000 | sluice users import - --file users.ndjson --out credentials.ndjson
  sluice simulate -c 1000 --credentials credentials.ndjson`,
  );
  withPassword(withFile(command.command('add'), 'add a user'))
    .argument('<user>', 'its name')
    .option('--site <site>', 'the site it speaks for; * for any')
    .option('--device <device>', 'the device it speaks for; * for any')
    .option('--publish <filter...>', 'rules of its own: topics it may publish to; %u user, %c client id')
    .option('--subscribe <filter...>', 'the same for topics it may subscribe to')
    .option('--no-password', 'it shows a certificate with its name instead')
    .action(add);
  withFile(command.command('import'), 'add a user with a random password for each device that has none')
    .argument('<devices>', 'a file with site/device in each line; - for standard input')
    .requiredOption('--out <file>', 'where to write users and passwords, added to those that are there')
    .action(importDevices);
  withFile(command.command('remove'), 'remove a user; its connections are closed').argument('<user>').action(remove);
  withPassword(withFile(command.command('passwd'), 'change the password of a user'))
    .argument('<user>')
    .action(passwd);
  withFile(command.command('list'), 'list the users, without their passwords').action(list);
}

function withFile(command: Command, description: string): Command {
  const file = new Option('--file <file>', 'the users file').env('SLUICE_MQTT_USERS_FILE').makeOptionMandatory();
  return command.description(description).addOption(file).option('--json', 'print what was done as JSON');
}

function withPassword(command: Command): Command {
  return command
    .option('--password-file <file>', 'read the password from here')
    .option('--generate', 'make a password and print it');
}

async function add(user: string, flags: AddFlags): Promise<void> {
  const { file, site, device, publish, subscribe } = flags;
  const made = flags.password ? await newPassword(flags) : null;
  const password = made === null ? undefined : await hashPassword(made.password, made.origin);
  await addEntries(file, [{ user, password, site, device, publish, subscribe }]);
  say('added', user, flags, made);
}

async function remove(user: string, flags: FileFlags): Promise<void> {
  await changeEntry(flags.file, user, () => null);
  say('removed', user, flags, null);
}

async function passwd(user: string, flags: FileFlags & PasswordFlags): Promise<void> {
  const made = await newPassword(flags);
  const password = await hashPassword(made.password, made.origin);
  await changeEntry(flags.file, user, (entry) => ({ ...entry, password }));
  say('changed', user, flags, made);
}

async function list({ file, json = false }: FileFlags): Promise<void> {
  const users = (await readEntries(file)).map(({ password, ...entry }) => ({
    ...entry,
    hasPassword: password !== undefined,
  }));
  if (json) console.log(JSON.stringify(users, null, 2));
  else for (const user of users) console.log(describe(user));
}

function say(done: string, user: string, { file, json = false }: FileFlags, made: NewPassword | null): void {
  const shown = made?.origin === 'random' ? { password: made.password } : {};
  if (json) console.log(JSON.stringify({ [done]: user, file, ...shown }));
  else console.log([`${done} ${user}`, ...('password' in shown ? [`password: ${shown.password}`] : [])].join('\n'));
}

function describe({
  user,
  site,
  device,
  publish,
  subscribe,
  hasPassword,
}: UserEntry & { hasPassword: boolean }): string {
  return [
    user,
    ...(site === undefined ? [] : [`${site}/${device}`]),
    ...(publish === undefined ? [] : [`publishes ${publish.join(' ')}`]),
    ...(subscribe === undefined ? [] : [`subscribes ${subscribe.join(' ')}`]),
    ...(hasPassword ? [] : ['no password']),
  ].join('  ');
}
