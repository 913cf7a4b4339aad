/** `sluice users` as a program: what it takes, what it prints, what it leaves in the file. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { parseCredentials } from '../../cli/credentials-file.ts';
import { newPassword } from '../../cli/users/new-password.ts';
import { addEntries, changeEntry } from '../../cli/users/users-file.ts';
import { verifyPassword } from '../../gateway/identity/password.ts';
import { parseUsers } from '../../gateway/identity/users.ts';
import { usersFile } from './users-fixture.ts';

const program = join(import.meta.dirname, '../../sluice.ts');

async function users(args: readonly string[], input = '', env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [program, 'users', ...args], {
    env: { ...process.env, NODE_NO_WARNINGS: '1', ...env },
  });
  child.stdin.end(input);
  const [output, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: code as number, output, errors };
}

async function isPassword(file: string, user: string, password: string): Promise<boolean> {
  const hash = (await parseUsers(await readFile(file, 'utf8'))).get(user)!.password!;
  return verifyPassword(Buffer.from(password), hash);
}

describe('sluice users', { timeout: 60_000 }, () => {
  it('adds, lists, changes and removes, and leaves all other lines as they are', async () => {
    const { file } = await usersFile();
    await writeFile(file, '# by hand\n{"user": "old",  "site": "s", "device": "*"}\n');
    await chmod(file, 0o640);
    const place = ['--site', 'plant', '--device', 'pump1'];
    const added = await users(['add', 'pump1', ...place, '--file', file, '--json'], 'from stdin\n');
    expect(added, added.errors).toMatchObject({ code: 0, output: `${JSON.stringify({ added: 'pump1', file })}\n` });
    expect(await isPassword(file, 'pump1', 'from stdin')).toBe(true);

    const generated = await users(['passwd', 'pump1', '--generate', '--json'], '', { SLUICE_MQTT_USERS_FILE: file });
    const { password } = JSON.parse(generated.output);
    expect(password).toMatch(/^[\w-]{24}$/);
    expect(await isPassword(file, 'pump1', password)).toBe(true);
    expect(await readFile(file, 'utf8')).toMatch(
      /^# by hand\n\{"user": "old", {2}"site": "s", "device": "\*"\}\n\{"user":"pump1"/,
    );

    const listed = await users(['list', '--file', file, '--json']);
    expect(JSON.parse(listed.output)).toEqual([
      { user: 'old', site: 's', device: '*', hasPassword: false },
      { user: 'pump1', site: 'plant', device: 'pump1', hasPassword: true },
    ]);
    expect((await users(['remove', 'old', '--file', file])).output).toBe('removed old\n');
    expect([...(await parseUsers(await readFile(file, 'utf8'))).keys()]).toEqual(['pump1']);
    expect((await stat(file)).mode & 0o777).toBe(0o640);
    expect(await readdir(dirname(file)), 'nothing is left beside it').toEqual(['users.ndjson']);
  });

  it('makes a file that only its owner reads, and gives rules', async () => {
    const { file } = await usersFile();
    const made = join(dirname(file), 'made');
    await writeFile(join(dirname(file), 'secret'), 'from a file\n');
    const rules = ['--publish', 'plant/%u/#', 'x', '--subscribe', '#', '--file', made];
    const { code, errors } = await users(['add', 'bridge', ...rules, '--password-file', join(dirname(file), 'secret')]);
    expect(code, errors).toBe(0);
    expect((await stat(made)).mode & 0o777).toBe(0o600);
    expect(await isPassword(made, 'bridge', 'from a file')).toBe(true);
    expect((await parseUsers(await readFile(made, 'utf8'))).get('bridge')!.identity).toMatchObject({
      publish: ['plant/%u/#', 'x'],
      subscribe: ['#'],
    });
  });

  it('gives each device of a list a user, and those that have one are left alone', async () => {
    const { file } = await usersFile([{ user: 'lab/s1', site: 'lab', device: 's1' }]);
    const out = join(dirname(file), 'credentials.ndjson');
    const flags = ['-', '--file', file, '--out', out];
    const first = await users(['import', ...flags, '--json'], '# mine\nlab/s1\nlab/s2\n\nplant/s2\nlab/s2\n');
    expect(first.code, first.errors).toBe(0);
    expect(JSON.parse(first.output)).toEqual({ added: 2, there: 1, file, out });
    const made = parseCredentials(await readFile(out, 'utf8'));
    expect([...made.keys()]).toEqual(['lab/s2', 'plant/s2']);
    expect((await stat(out)).mode & 0o777).toBe(0o600);
    for (const { user, password } of made.values()) {
      expect(await isPassword(file, user, password)).toBe(true);
      expect(await readFile(file, 'utf8')).not.toContain(password);
    }
    const again = await users(['import', ...flags], 'lab/s2\nlab/s3\n');
    expect(again.output).toMatch(/^added 1, there already 1; /);
    const kept = parseCredentials(await readFile(out, 'utf8'));
    expect([...kept.keys()]).toEqual(['lab/s2', 'plant/s2', 'lab/s3']);
    expect(kept.get('lab/s2')).toEqual(made.get('lab/s2'));
    const entries = await parseUsers(await readFile(file, 'utf8'));
    expect(entries.get('plant/s2')!.identity).toMatchObject({ site: 'plant', device: 's2', publish: null });
  });

  it.each([
    ['an empty list', '# nobody\n', 'there is no device in the list'],
    ['what is no device', 'lab/s1\nlab\nlab/*\n', 'line 2: "lab"\n  line 3: "lab/*"'],
  ])('imports nothing of %s', async (_what, input, message) => {
    const { file } = await usersFile();
    const { code, errors } = await users(['import', '-', '--file', file, '--out', join(dirname(file), 'out')], input);
    expect([code, errors]).toEqual([2, expect.stringContaining(message)]);
    expect(await readFile(file, 'utf8')).toBe('');
    expect(await readdir(dirname(file))).toEqual(['users.ndjson']);
  });

  it.each([
    ['no file', ['list'], '', '--file'],
    ['a user that is there', ['add', 'a', '--site', 's', '--device', 'd'], 'long enough', 'there is a user a'],
    ['a password as an argument', ['passwd', 'a', 'my secret'], '', 'too many arguments'],
  ])('refuses %s with exit code 2, changes nothing, and says why', async (what, args, input, message) => {
    const { file } = await usersFile([{ user: 'a', site: 's', device: 'd' }]);
    const before = await readFile(file, 'utf8');
    const { code, errors } = await users([...args, ...(what === 'no file' ? [] : ['--file', file])], input);
    expect(errors).toContain(message);
    expect(code).toBe(2);
    expect(await readFile(file, 'utf8')).toBe(before);
  });
});

describe('A change of the users file', () => {
  it.each([
    ['of a user that is not there', (file: string) => changeEntry(file, 'b', () => null), 'there is no user b'],
    ['to no place and no rules', (file: string) => addEntries(file, [{ user: 'b' }]), 'expected a site and a device'],
    [
      'to a site of two levels',
      (file: string) => addEntries(file, [{ user: 'b', site: 's/t', device: 'd' }]),
      'one level',
    ],
  ])('%s is refused, and changes nothing', async (_what, change, message) => {
    const { file } = await usersFile([{ user: 'a', site: 's', device: 'd' }]);
    const before = await readFile(file, 'utf8');
    await expect(change(file)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(message),
    });
    expect(await readFile(file, 'utf8')).toBe(before);
    expect(await readdir(dirname(file))).toEqual(['users.ndjson']);
  });

  it('is one at a time', async () => {
    const { file } = await usersFile([{ user: 'a', site: 's', device: 'd' }]);
    await writeFile(`${file}.lock`, '');
    await expect(changeEntry(file, 'a', () => null)).rejects.toThrow(`remove ${file}.lock`);
  });

  it.each([
    ['short', '8 characters'],
    ['long enough\nand more', 'more than one line'],
  ])('to the password %j is refused', async (content, message) => {
    const { file } = await usersFile();
    await writeFile(file, content);
    await expect(newPassword({ passwordFile: file })).rejects.toThrow(message);
  });
});
