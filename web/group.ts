/** Other processes that a process answers for at `/healthz` and `/metrics`: the workers of a gateway. */
export interface Group {
  /** How many do their work now. */
  readonly running: number;
  /** How often one ended by itself and was started again. */
  readonly restarts: number;
  /** Those whose event loop does not turn, in words. */
  silent(): Promise<readonly string[]>;
  /** What `/metrics` would show, of each that answers. */
  metrics(): Promise<readonly object[][]>;
}
