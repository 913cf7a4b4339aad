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

function problemsOf(issue: z.core.$ZodIssue, _index = 0, _all: unknown = null): Problem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...issue.path, key], message: 'unknown key' }));
  }
  const alternative = issue.code === 'invalid_union' ? closest(issue.errors) : null;
  if (alternative === null) return [{ path: issue.path, message: issue.message }];
  return alternative.flatMap((inner) => problemsOf({ ...inner, path: [...issue.path, ...inner.path] }));
}

/** Of the alternatives of a union the one whose kind of value was given, if there is exactly one. */
function closest(alternatives: readonly (readonly z.core.$ZodIssue[])[]): readonly z.core.$ZodIssue[] | null {
  const fitting = alternatives.filter((issues) => issues.every((issue) => !isOtherKind(issue)));
  return fitting.length === 1 ? fitting[0]! : null;
}

function isOtherKind(issue: z.core.$ZodIssue): boolean {
  return issue.code === 'invalid_type' && issue.path.length === 0;
}
