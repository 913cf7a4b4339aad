/** Builds the published package: JavaScript in `dist/` (Node strips no types under node_modules), and what is served. */
import { execFileSync } from 'node:child_process';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const dist = join(import.meta.dirname, 'dist');
const compiler = join(import.meta.dirname, 'node_modules/.bin/tsc');

rmSync(dist, { recursive: true, force: true });
execFileSync(compiler, ['--project', 'tsconfig.build.json'], { cwd: import.meta.dirname, stdio: 'inherit' });
cpSync(join(import.meta.dirname, 'web/page'), join(dist, 'web/page'), { recursive: true });
for (const data of ['shipped', 'scenario.schema.json']) {
  cpSync(join(import.meta.dirname, 'simulator/scenario', data), join(dist, 'simulator/scenario', data), {
    recursive: true,
  });
}
