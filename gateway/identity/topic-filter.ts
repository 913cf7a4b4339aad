/** Topic filters of rules: MQTT's wildcards, `%u` for the user and `%c` for the client id (MQTT 3.1.1 §4.7). */

export interface Names {
  readonly user: string;
  readonly clientId: string;
}

/** What is wrong with a filter, in words; `null` when nothing is. */
export function filterProblem(filter: string): string | null {
  const levels = filter.split('/');
  if (filter === '') return 'it is empty';
  if (levels.slice(0, -1).includes('#')) return '# is not its last level';
  if (levels.some((level) => level.length > 1 && /[+#]/.test(level))) return '+ and # stand for whole levels';
  return null;
}

/**
 * Whether a topic without wildcards is one of the filter. A name is put in after the wildcards were found, and compared
 * as text of one level: a user called `+` or `a/b` gains nothing by it.
 */
export function matches(filter: string, topic: string, names: Names): boolean {
  const levels = topic.split('/');
  const wanted = filter.split('/');
  for (const [i, level] of wanted.entries()) {
    // [MQTT-4.7.1-2]: also the level above it.
    if (level === '#') return levels.length >= i;
    const actual = levels[i];
    if (actual === undefined || (level !== '+' && withNames(level, names) !== actual)) return false;
  }
  return levels.length === wanted.length;
}

function withNames(level: string, { user, clientId }: Names): string {
  return level.replace(/%[uc]/g, (name) => (name === '%u' ? user : clientId));
}
