/** The dependency rule of docs/architecture.md is what the linter enforces: every import it forbids is tried on it. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

const repository = join(import.meta.dirname, '../..');
const linter = join(repository, 'node_modules/.bin/biome');

const ports = ['bus/port.ts', 'store/port.ts'];
const adapters = ['bus/embedded.ts', 'bus/kafka.ts', 'bus/kafka/lane.ts', 'store/embedded.ts', 'store/influx.ts'];
const stages = ['gateway/ingest/ingest.ts', 'processors/runner.ts', 'processors/rules/file.ts', 'web/server.ts'];
const roots = ['simulator/simulator.ts', 'verify/verify.ts', 'cli/run.ts', 'pipeline.ts', 'sluice.ts'];
const core = ['core/errors.ts'];
const clients = ['kafkajs', '@influxdata/influxdb-client'];
const everything = [...core, ...ports, ...adapters, ...stages, ...roots, ...clients];

/** Who imports → what of `everything` it may import. Its own folder is left out. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  'core/reading.ts': [],
  'bus/embedded.ts': core,
  'bus/embedded/writer.ts': core,
  'bus/kafka.ts': [...core, 'kafkajs'],
  'bus/kafka/lane.ts': [...core, 'kafkajs'],
  'store/embedded.ts': core,
  'store/embedded/writer.ts': core,
  'store/influx.ts': [...core, '@influxdata/influxdb-client'],
  'store/influx/queries.ts': [...core, '@influxdata/influxdb-client'],
  'gateway/ingest/ingest.ts': [...core, ...ports],
  'processors/runner.ts': [...core, ...ports],
  'processors/rules/file.ts': [...core, ...ports],
  'web/server.ts': [...core, ...ports],
  'simulator/simulator.ts': core,
  'verify/verify.ts': [...core, ...ports, 'processors/rules/file.ts'],
  'cli/run.ts': [...core, ...ports, ...stages, ...roots],
  'sluice.ts': [...core, ...ports, ...stages, ...roots],
  'pipeline.ts': [...core, ...ports, ...adapters, ...stages, ...roots],
  'examples/alert-consumer.ts': clients,
};
/** May import anything. */
const free = ['test', 'bench'];

let refused: ReadonlySet<string>;
const folder = mkdtempSync(join(tmpdir(), 'sluice-lint-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** One file per importer, one import a line, and one run of the linter over all of them. */
beforeAll(async () => {
  const config = JSON.parse(readFileSync(join(repository, 'biome.json'), 'utf8'));
  writeFileSync(join(folder, 'biome.json'), JSON.stringify({ ...config, vcs: { enabled: false } }));
  for (const importer of Object.keys(allowed)) {
    mkdirSync(dirname(join(folder, importer)), { recursive: true });
    writeFileSync(
      join(folder, importer),
      everything.map((path) => `import '${specifier(importer, path)}';\n`).join(''),
    );
  }
  const args = ['lint', '--reporter=json', '--max-diagnostics=none', '--only=style/noRestrictedImports', folder];
  const { stdout } = await promisify(execFile)(linter, args, { cwd: folder, maxBuffer: 2 ** 24 }).catch(
    (found: { stdout: string }) => found,
  );
  const { diagnostics } = JSON.parse(stdout) as {
    diagnostics: { location: { path: string; start: { line: number } } }[];
  };
  refused = new Set(diagnostics.map(({ location: { path, start } }) => `${path} → ${everything[start.line - 1]}`));
});

test.each(Object.entries(allowed))('%s imports what it may, and nothing else', (importer, may) => {
  const own = importer.includes('/') ? importer.slice(0, importer.indexOf('/') + 1) : importer;
  const others = everything.filter((path) => !path.startsWith(own));
  expect(others.filter((path) => !refused.has(`${importer} → ${path}`))).toEqual(
    others.filter((path) => may.includes(path)),
  );
});

test('every folder with code has its place in the rule', () => {
  const folders = readdirSync(repository, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const withCode = folders
    .map(({ name }) => name)
    .filter((name) => !/^(\.|node_modules$|dist$)/.test(name) && hasCode(name));
  const ruled = new Set([...Object.keys(allowed), ...everything].map((path) => path.split('/')[0]));
  expect(withCode.filter((name) => !ruled.has(name) && !free.includes(name))).toEqual([]);
});

function hasCode(name: string): boolean {
  return readdirSync(join(repository, name), { recursive: true }).some((path) => String(path).endsWith('.ts'));
}

function specifier(importer: string, path: string): string {
  return clients.includes(path) ? path : `${'../'.repeat(importer.split('/').length - 1) || './'}${path}`;
}
