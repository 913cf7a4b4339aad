/** The same failure with fewer events: drops ever smaller stretches as long as it still fails. */
import type { StreamEvent } from './events.ts';

/** Gives what it has after `withinMs`. */
export function shrink(
  events: readonly StreamEvent[],
  fails: (events: readonly StreamEvent[]) => boolean,
  withinMs = 15_000,
): readonly StreamEvent[] {
  let kept = events;
  const untilMs = performance.now() + withinMs;
  for (let size = Math.ceil(kept.length / 2); ; size = Math.ceil(size / 2)) {
    let hasDropped = false;
    for (let at = 0; at < kept.length && performance.now() < untilMs; ) {
      const fewer = kept.toSpliced(at, size);
      if (fewer.length > 0 && fails(fewer)) {
        kept = fewer;
        hasDropped = true;
      } else at += size;
    }
    if (performance.now() >= untilMs || (size === 1 && !hasDropped)) return kept;
  }
}
