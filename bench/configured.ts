/** A gateway with settings that have no environment variable. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type RoleProcess, startRole } from '../test/support/role-process.ts';

/** `settings`: as in `sluice.yaml`. `use` has the gateway until it resolves. */
export async function withGateway<T>(
  env: Record<string, string>,
  settings: object,
  use: (gateway: RoleProcess) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  const file = join(folder, 'sluice.yaml');
  await writeFile(file, stringify(settings));
  try {
    const gateway = await startRole(['gateway', '--config', file], env);
    try {
      return await use(gateway);
    } finally {
      await gateway.stop();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
