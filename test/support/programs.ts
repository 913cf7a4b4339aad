/** Programs of others that tests use as independent clients: mosquitto_pub, mosquitto_sub, kcat. */
import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';

const exec = promisify(execFile);

/** `false`, with one loud line, when a program is missing; an error on CI. */
export function hasProgram(name: string, debianPackage: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${name}`], { stdio: 'ignore' });
    return true;
  } catch {
    const line = `${name} is missing: apt-get install ${debianPackage}`;
    if (process.env.CI === 'true') throw new Error(`nothing may be skipped on CI: ${line}`);
    process.stderr.write(`\n!! SKIPPED: ${line}\n`);
    return false;
  }
}

/** Runs a program to its end and returns what it printed. */
export async function run(name: string, args: readonly string[]): Promise<string> {
  const { stdout } = await exec(name, [...args], { timeout: 30_000, maxBuffer: 64 * 1024 * 1024 });
  return stdout;
}

export function publish(port: number, topic: string, payload: string, qos = 1): Promise<string> {
  return run('mosquitto_pub', ['-h', '127.0.0.1', '-p', String(port), '-q', String(qos), '-t', topic, '-m', payload]);
}
