/** The alert rules file: a list of rules, checked as a whole, with every error at once. */
import { createHash } from 'node:crypto';
import { parse } from 'yaml';
import { z } from 'zod';
import type { Severity } from '../../core/alert.ts';
import { SluiceError } from '../../core/errors.ts';
import { glob } from '../../core/glob.ts';

const unitUs = { ms: 1000, s: 1_000_000, m: 60_000_000, h: 3_600_000_000, d: 86_400_000_000 } as const;

const duration = z
  .string()
  .regex(/^\d+(\.\d+)?(ms|s|m|h|d)$/, 'expected a duration such as 500ms, 30s, 5m, 1h')
  .transform((text) => {
    const unit = /[a-z]+$/.exec(text)![0] as keyof typeof unitUs;
    return Number.parseFloat(text) * unitUs[unit];
  });

const above = z
  .strictObject({ above: z.number(), clear: z.number().optional() })
  .refine(({ above, clear }) => clear === undefined || clear <= above, 'clear must not be over above');
const below = z
  .strictObject({ below: z.number(), clear: z.number().optional() })
  .refine(({ below, clear }) => clear === undefined || clear >= below, 'clear must not be under below');

const ruleSchema = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'letters, digits, . _ and -, at most 64'),
  severity: z.enum(['info', 'warning', 'critical']),
  field: z.string().min(1),
  when: z.union(
    [above, below],
    'expected { above: <number>, clear?: <number> } or { below: <number>, clear?: <number> }',
  ),
  for: duration.optional(),
  devices: z.strictObject({ site: z.string().optional(), device: z.string().optional() }).optional(),
  labels: z.record(z.string(), z.string()).optional(),
  summary: z.string().optional(),
});

export interface Rule {
  readonly name: string;
  /** Changes whenever the rule does. */
  readonly version: string;
  readonly severity: Severity;
  readonly field: string;
  readonly direction: 'above' | 'below';
  readonly threshold: number;
  /** The level on the other side of which an episode ends. */
  readonly clear: number;
  /** How long the condition must hold in event time before the alert fires. */
  readonly forUs: number;
  readonly matches: (site: string, device: string) => boolean;
  readonly labels: Readonly<Record<string, string>>;
  /** With {site}, {device}, {field}, {value} and {threshold} to be filled in. */
  readonly summary: string;
}

/** Parses a rules file. Throws CONFIG_INVALID that lists every error with its path. */
export function parseRules(text: string, fileName: string): Rule[] {
  let content: unknown;
  try {
    content = parse(text) ?? [];
  } catch (error) {
    throw new SluiceError('CONFIG_INVALID', `${fileName}: ${error instanceof Error ? error.message : error}`);
  }
  const parsed = z.array(ruleSchema).safeParse(content);
  const problems = parsed.success
    ? repeatedNames(parsed.data.map(({ name }) => name))
    : parsed.error.issues.map((issue) => `${pathOf(issue.path)}: ${issue.message}`);
  if (problems.length > 0) {
    throw new SluiceError('CONFIG_INVALID', `${fileName} has ${problems.length} error(s):\n  ${problems.join('\n  ')}`);
  }
  return parsed.data!.map(compile);
}

function compile(rule: z.output<typeof ruleSchema>): Rule {
  const direction = 'above' in rule.when ? 'above' : 'below';
  const threshold = 'above' in rule.when ? rule.when.above : rule.when.below;
  const site = glob(rule.devices?.site ?? '*');
  const device = glob(rule.devices?.device ?? '*');
  return {
    name: rule.name,
    version: createHash('sha256').update(JSON.stringify(rule)).digest('hex').slice(0, 12),
    severity: rule.severity,
    field: rule.field,
    direction,
    threshold,
    clear: rule.when.clear ?? threshold,
    forUs: rule.for ?? 0,
    matches: (s, d) => site.test(s) && device.test(d),
    labels: rule.labels ?? {},
    summary: rule.summary ?? `{field} of {site}/{device} is {value}, ${direction} {threshold}`,
  };
}

function repeatedNames(names: readonly string[]): string[] {
  const repeated = new Set(names.filter((name, i) => names.indexOf(name) !== i));
  return [...repeated].map((name) => `two rules are named ${name}; a name identifies a rule`);
}

function pathOf(path: readonly PropertyKey[]): string {
  return path.map((part) => (typeof part === 'number' ? `rule ${part + 1}` : String(part))).join('.') || 'file';
}
