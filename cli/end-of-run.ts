import { messageOf } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';

export interface EndOfRun {
  /** Rejects when a part cannot go on. */
  readonly failed?: Promise<void>;
  readonly signals?: readonly NodeJS.Signals[];
  /** Before a second signal ends the process. */
  readonly onSecond?: () => void;
}

/** Resolves with `null` at the first SIGINT or SIGTERM, or with what failed. A second signal ends the process at once. */
export function endOfRun(
  log: Logger,
  { failed, signals = ['SIGINT', 'SIGTERM'], onSecond = () => {} }: EndOfRun,
): Promise<Error | null> {
  return new Promise((resolve) => {
    let came = 0;
    const onSignal = (signal: NodeJS.Signals) => {
      came++;
      if (came > 1) {
        onSecond();
        process.exit(130);
      }
      log.info({ signal }, 'draining; a second signal ends at once');
      resolve(null);
    };
    for (const signal of signals) process.on(signal, onSignal);
    failed?.catch((error: unknown) => {
      log.error({ error: messageOf(error) }, 'a part cannot go on; closing');
      resolve(error instanceof Error ? error : new Error(messageOf(error)));
    });
  });
}
