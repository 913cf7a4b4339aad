/** What is there on this machine. */
import { execFile } from 'node:child_process';
import { access } from 'node:fs/promises';
import { promisify } from 'node:util';

const exec = promisify(execFile);

/** Whether the program can be run at all; `argument`: what makes it answer and end. */
export async function answers(program: string, argument: string): Promise<boolean> {
  return exec(program, [argument]).then(
    () => true,
    () => false,
  );
}

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
