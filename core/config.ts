/**
 * Configuration: built-in defaults ← `sluice.yaml` ← environment ← flags. All errors come at once, each with its path and
 * the fix. Pure: whoever calls reads files.
 */
import { z } from 'zod';
import { type Config, configSchema, contradictions, environment } from './config-schema.ts';
import { SluiceError } from './errors.ts';

export interface ConfigSources {
  /** The parsed `sluice.yaml`, `undefined` when there is none, and its name for messages. */
  readonly file?: { readonly name: string; readonly content: unknown };
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Path in the schema → value, as given on the command line. */
  readonly flags: Readonly<Record<string, unknown>>;
  /** Reads the file of a `…_FILE` variable. */
  readonly readText: (path: string) => string;
}

type Tree = { [key: string]: unknown };

/** Merges the sources and checks them. Throws CONFIG_INVALID that lists every error. */
export function resolveConfig(sources: ConfigSources): Config {
  const problems: string[] = [];
  const origin = new Map<string, string>();
  const merged: Tree = {};

  const content = sources.file?.content ?? {};
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    problems.push(`${sources.file?.name}: expected a mapping of settings`);
  } else {
    Object.assign(merged, structuredClone(content));
  }
  for (const [name, path] of Object.entries(environment)) {
    const value = fromEnvironment(name, sources, problems);
    if (value !== undefined) place(merged, path, value, name, origin);
  }
  for (const [path, value] of Object.entries(sources.flags)) {
    if (value !== undefined) place(merged, path, value, `flag for ${path}`, origin);
  }

  groupBesideTopics(merged);
  const result = configSchema.safeParse(merged);
  if (!result.success) {
    for (const issue of result.error.issues) problems.push(describeIssue(issue, origin, sources.file?.name));
  } else {
    problems.push(...contradictions(result.data));
  }
  if (problems.length > 0) {
    throw new SluiceError(
      'CONFIG_INVALID',
      `the configuration has ${problems.length} error(s):\n  ${problems.join('\n  ')}`,
    );
  }
  return Object.freeze(result.data!);
}

/** The configuration in force with every secret replaced, for people to read. */
export function withoutSecrets(config: Config): Config {
  const hide = (value: string | undefined) => (value === undefined ? undefined : '(hidden)');
  return {
    ...config,
    mqtt: { ...config.mqtt, password: hide(config.mqtt.password) },
    commands: { token: hide(config.commands.token) },
    kafka: { ...config.kafka, saslPassword: hide(config.kafka.saslPassword) },
    influx: { ...config.influx, token: hide(config.influx.token) },
  };
}

export interface Setting {
  readonly path: string;
  readonly description: string;
  readonly default: unknown;
  /** Environment variable, if there is one. */
  readonly variable: string | null;
}

/** Every key of the schema, for `sluice config --all` and for the test that compares `docs/configuration.md`. */
export function configReference(): Setting[] {
  const variables = new Map(Object.entries(environment).map(([name, path]) => [path, name]));
  const defaults = configSchema.parse({}) as Tree;
  return settingsOf(configSchema, '', defaults, variables);
}

function settingsOf(schema: z.ZodObject, prefix: string, defaults: Tree, variables: Map<string, string>): Setting[] {
  return Object.entries(schema.shape).flatMap(([key, part]) => {
    const path = `${prefix}${key}`;
    const inner = part instanceof z.ZodPrefault ? part.unwrap() : part;
    if (inner instanceof z.ZodObject) return settingsOf(inner, `${path}.`, defaults[key] as Tree, variables);
    const description = (part as z.ZodType).description ?? '';
    return [{ path, description, default: defaults[key], variable: variables.get(path) ?? null }];
  });
}

function fromEnvironment(name: string, sources: ConfigSources, problems: string[]): string | undefined {
  const value = sources.env[name];
  const file = sources.env[`${name}_FILE`];
  if (file === undefined || file === '') return value === '' ? undefined : value;
  if (value !== undefined && value !== '') {
    problems.push(`${name} and ${name}_FILE are both set; keep one`);
    return undefined;
  }
  try {
    return sources.readText(file).trim();
  } catch (error) {
    problems.push(`${name}_FILE: ${file} cannot be read (${error instanceof Error ? error.message : error})`);
    return undefined;
  }
}

function place(tree: Tree, path: string, value: unknown, from: string, origin: Map<string, string>): void {
  const keys = path.split('.');
  const last = keys.pop()!;
  let node = tree;
  for (const key of keys) {
    const next = node[key];
    if (typeof next !== 'object' || next === null) node[key] = {};
    node = node[key] as Tree;
  }
  node[last] = value;
  origin.set(path, from);
}

/** Pipelines that share a Kafka under prefixes of their own must not share a group: its leader knows its own topic only. */
function groupBesideTopics(merged: Tree): void {
  const { topics, processing = {} } = merged as { topics?: Tree; processing?: unknown };
  if (typeof topics?.prefix !== 'string' || typeof processing !== 'object' || processing === null) return;
  merged.processing = { group: `${topics.prefix}processor`, ...processing };
}

function describeIssue(issue: z.core.$ZodIssue, origin: Map<string, string>, file: string | undefined): string {
  const path = issue.path.join('.');
  const from = origin.get(path) ?? file ?? 'configuration';
  if (issue.code === 'unrecognized_keys') {
    const keys = issue.keys.map((key) => (path === '' ? key : `${path}.${key}`));
    return `${from}: unknown key ${keys.join(', ')}; \`sluice config --all\` lists the keys there are`;
  }
  return `${from}: ${path}: ${issue.message}`;
}
