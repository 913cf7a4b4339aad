import { describe, expect, test } from 'vitest';
import { parseRules } from '../../processors/rules/file.ts';
import { inactive, type Step, step } from '../../processors/rules/threshold.ts';

const [hot, slow] = parseRules(
  `
- { name: hot, severity: critical, field: t, when: { above: 30, clear: 27 }, for: 10s }
- { name: slow, severity: info, field: rpm, when: { below: 5 } }
`,
  'rules.yaml',
);

/** [seconds, value] in, steps out. */
function steps(rule: typeof hot, readings: [number, number][]): (Step | null)[] {
  const episode = inactive();
  return readings.map(([seconds, value]) => step(rule!, episode, value, seconds * 1e6));
}

describe('a threshold rule', () => {
  test('fires when the condition was true for the whole time, and ends only at the clear level', () => {
    const readings: [number, number][] = [
      [0, 31],
      [9, 40],
      [10, 31],
      [11, 28],
      [12, 31],
      [13, 27],
      [14, 20],
    ];
    expect(steps(hot, readings)).toEqual(['pending', null, 'firing', null, null, 'cleared', null]);
  });

  test('starts anew when the condition was not true in between, even above the clear level', () => {
    expect(
      steps(hot, [
        [0, 31],
        [5, 29],
        [6, 31],
        [15, 31],
        [16, 31],
      ]),
    ).toEqual(['pending', 'not_sustained', 'pending', null, 'firing']);
  });

  test('a reading at the threshold is not beyond it; without a clear level it ends the episode', () => {
    expect(
      steps(slow, [
        [0, 5],
        [1, 4.9],
        [2, 5],
      ]),
    ).toEqual([null, 'firing', 'cleared']);
  });

  test('an older reading drives nothing, and of several at one time the first counts', () => {
    expect(
      steps(slow, [
        [10, 1],
        [9, 9],
        [10, 9],
        [11, 9],
      ]),
    ).toEqual(['firing', null, null, 'cleared']);
  });
});

describe('the rules file', () => {
  const errorOf = (text: string) => {
    try {
      parseRules(text, 'rules.yaml');
      return null;
    } catch (error) {
      return error as { code: string; message: string };
    }
  };

  test('tells every error at once, each with its rule and key', () => {
    const error = errorOf(`
- { name: a, severity: loud, field: t, when: { above: 1 } }
- { name: b, severity: info, field: t, when: { above: 1, clear: 2 } }
- { name: c, severity: info, when: { above: 1 }, colour: red }
- { name: d, severity: info, field: t, when: { over: 1 }, for: soon }
`);
    expect(error?.code).toBe('CONFIG_INVALID');
    for (const part of [
      'rule 1.severity',
      'clear must not be over above',
      'rule 3',
      'colour',
      'rule 3.field',
      'rule 4.when',
      'rule 4.for',
    ]) {
      expect(error?.message).toContain(part);
    }
  });

  test('refuses two rules of one name, and what is not YAML', () => {
    const rule = '- { name: a, severity: info, field: t, when: { above: 1 } }\n';
    expect(errorOf(rule + rule)?.message).toContain('two rules are named a');
    expect(errorOf('- {')?.code).toBe('CONFIG_INVALID');
  });

  test('an empty file holds no rules', () => {
    expect(parseRules('', 'rules.yaml')).toEqual([]);
    expect(parseRules('# none yet', 'rules.yaml')).toEqual([]);
  });

  test('the version changes with the rule, and only with it', () => {
    const version = (text: string) => parseRules(text, 'rules.yaml')[0]!.version;
    const rule = '- { name: a, severity: info, field: t, when: { above: 1 } }';
    expect(version(`${rule}\n# more`)).toBe(version(rule));
    expect(version(rule.replace('1', '2'))).not.toBe(version(rule));
  });

  test('chooses devices by pattern', () => {
    const [rule] = parseRules(
      "- { name: a, severity: info, field: t, when: { above: 1 }, devices: { site: 'hall-?', device: 'pump*a' } }",
      'rules.yaml',
    );
    expect(rule!.matches('hall-1', 'pump-12a')).toBe(true);
    expect(rule!.matches('hall-12', 'pump-12a')).toBe(false);
    expect(rule!.matches('hall-1', 'pump-12b')).toBe(false);
  });
});
