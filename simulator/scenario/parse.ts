/** A scenario file, checked as a whole: every error at once, each with its line, its path and what was expected. */
import { isNode, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { SluiceError } from '../../core/errors.ts';
import { wrongReferences } from './references.ts';
import { type ScenarioSpec, scenarioSchema } from './schema.ts';

export interface Problem {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** Throws CONFIG_INVALID that lists every error. */
export function parseScenarioSpec(text: string, fileName: string): ScenarioSpec {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  if (document.errors.length > 0)
    throw invalid(
      fileName,
      document.errors.map(({ message }) => message.trim()),
    );
  const content: unknown = document.toJS();
  const parsed = scenarioSchema.safeParse(content);
  const problems = [...(parsed.error?.issues ?? []).flatMap(problemsOf), ...wrongReferences(content)];
  if (parsed.success && problems.length === 0) return parsed.data;
  const located = problems.map(({ path, message }) => {
    const line = lineOf(path);
    return { line, text: `line ${line}: ${path.map(String).join('.') || 'file'}: ${message}` };
  });
  throw invalid(
    fileName,
    located.sort((a, b) => a.line - b.line).map(({ text }) => text),
  );

  /** Of the node that is wrong, or of the nearest around it when it is missing. */
  function lineOf(path: readonly PropertyKey[]): number {
    for (let depth = path.length; depth > 0; depth--) {
      const node = document.getIn(path.slice(0, depth), true);
      if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
    }
    return 1;
  }
}

function invalid(fileName: string, problems: readonly string[]): SluiceError {
  return new SluiceError('CONFIG_INVALID', `${fileName} has ${problems.length} error(s):\n  ${problems.join('\n  ')}`);
}

type Issue = z.core.$ZodIssue;

function problemsOf(issue: Issue): Problem[] {
  return resolved(issue).flatMap((one) => {
    const { path } = one;
    if (one.code === 'unrecognized_keys')
      return one.keys.map((key) => ({ path: [...path, key], message: 'unknown key' }));
    if (one.code === 'invalid_key') return one.issues.map(({ message }) => ({ path, message }));
    const message = one.message.replace(/^Invalid input: /, '').replace(/, received undefined$/, ', and it is missing');
    return [{ path, message }];
  });
}

/** Where one of several forms is expected: what is wrong with the form that is nearest to what was given. */
function resolved(issue: Issue): readonly Issue[] {
  if (issue.code !== 'invalid_union') return [issue];
  const forms = issue.errors.map((issues) => issues.flatMap(resolved));
  const distances = forms.map(distanceOf);
  const shortest = Math.min(...distances);
  if (shortest === Number.POSITIVE_INFINITY) return [issue];
  const nearest = forms[distances.indexOf(shortest)]!;
  return nearest.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] }));
}

/** In keys that are wrong; `Infinity`: another kind of value was given. */
function distanceOf(issues: readonly Issue[]): number {
  return issues.reduce((sum, issue) => {
    const isOtherKind = issue.path.length === 0 && (issue.code === 'invalid_type' || issue.code === 'invalid_union');
    if (isOtherKind) return Number.POSITIVE_INFINITY;
    return sum + (issue.code === 'unrecognized_keys' ? issue.keys.length : 1);
  }, 0);
}
