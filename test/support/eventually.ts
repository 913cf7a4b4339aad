/**
 * Waits for a condition instead of sleeping and hoping. `check` returns or resolves to a value when it holds, and
 * `undefined`, `false` or a throw when it does not yet.
 */
export async function eventually<T>(
  check: () => T | Promise<T>,
  { withinMs = 10_000, everyMs = 20, what = 'condition' } = {},
): Promise<Exclude<T, undefined | false>> {
  const deadline = performance.now() + withinMs;
  let last: unknown;
  for (;;) {
    try {
      last = await check();
      if (last !== undefined && last !== false) return last as Exclude<T, undefined | false>;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) {
      throw new Error(`${what} did not hold within ${withinMs} ms`, { cause: last });
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
