/** The proof as its user runs it: a fleet that writes down what it knows, a pipeline that is killed, and `sluice verify`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import type { TruthMessage } from '../../core/truth.ts';
import { backendNames, isAvailable, openBackend } from '../support/backends.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { startRole } from '../support/role-process.ts';

const program = join(import.meta.dirname, '../../sluice.ts');
/** Short silences, so that the last windows close within seconds. */
const settings = 'processing: { sessionTimeoutMs: 6s, idleAfterMs: 2s }\n';

interface Run {
  readonly code: number | null;
  readonly out: string;
}

async function sluice(args: readonly string[], env: Record<string, string>): Promise<Run> {
  const child = spawn(process.execPath, [program, ...args], {
    env: { PATH: process.env.PATH, SLUICE_LOG_LEVEL: 'silent', ...env },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [out, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  return { code, out };
}

describe.each(backendNames)('on %s', (name) => {
  test.skipIf(!isAvailable(name))(
    'everything acknowledged is accounted for after a kill -9, and what never came is named with where it was last seen',
    { timeout: 180_000 },
    async ({ onTestFinished }) => {
      const backend = await openBackend(name);
      const folder = backend.env.SLUICE_DATA_DIR!;
      const [configFile, truthFile] = [join(folder, 'sluice.yaml'), join(folder, 'truth.ndjson')];
      await writeFile(configFile, settings);
      const mqttPort = String(await freePort());
      const env = { ...backend.env, SLUICE_HTTP_PORT: '0', SLUICE_MQTT_PORT: mqttPort };
      const start = () => startRole(['start', '--config', configFile], env);
      let pipeline = await start();
      onTestFinished(async () => {
        await pipeline.kill();
        await backend.close();
      });

      const broker = ['--broker', `mqtt://127.0.0.1:${mqttPort}`];
      const load = ['-c', '20', '--rate', '400', '-L', '3000', '--drain', '60s'];
      const simulated = sluice(['simulate', ...broker, ...load, '--truth', truthFile, '--json'], {});
      await eventually(async () => (await readFile(truthFile, 'utf8')).length > 0, { withinMs: 30_000 });
      await pipeline.kill();
      pipeline = await start();
      const { code: simulatedCode, out: simulatedReport } = await simulated;
      expect(JSON.parse(simulatedReport)).toMatchObject({ acknowledged: 3000, problems: [] });
      expect(simulatedCode).toBe(0);

      const verifyArgs = ['verify', '--config', configFile, '--truth', truthFile, '--json'];
      const proved = await sluice([...verifyArgs, '--wait', '15s'], env);
      expect(JSON.parse(proved.out)).toMatchObject({ ok: true, messages: { acknowledged: 3000, lost: 0 } });
      expect(proved.code).toBe(0);

      const lines = (await readFile(truthFile, 'utf8')).trimEnd().split('\n');
      const last = JSON.parse(lines.at(-1)!) as TruthMessage;
      const never = { ...last, n: last.n + 1, digest: 'A'.repeat(43), intendedMs: last.intendedMs + 1 };
      const reading = { ...last.reading!, timeMs: last.reading!.timeMs! + 1, seq: last.n + 1 };
      await appendFile(truthFile, `${JSON.stringify({ ...never, reading })}\n`);
      const disproved = await sluice([...verifyArgs, '--wait', '2s'], env);
      expect(disproved.code).toBe(1);
      expect(JSON.parse(disproved.out)).toMatchObject({ ok: false, messages: { lost: 1 } });
      expect(disproved.out).toContain(`${last.site}/${last.device}`);
    },
  );
});
