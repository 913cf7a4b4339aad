/** Time comes in through a parameter, so that tests own it and nothing reads the machine's clock by accident. */
export interface Clock {
  /** Milliseconds since the epoch, integer. */
  nowMs(): number;
  /** Resolves after `delayMs`, or at once with no error when `signal` aborts. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
  /** Calls `tick` every `periodMs` until the returned function is called. */
  every(periodMs: number, tick: () => void): () => void;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),

  sleep: (delayMs, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) {
        resolve();
        return;
      }
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, delayMs);
      signal?.addEventListener('abort', done, { once: true });
    }),

  every: (periodMs, tick) => {
    const timer = setInterval(tick, periodMs);
    return () => clearInterval(timer);
  },
};
