/**
 * Every error we raise on purpose: a stable code, a sentence that says what, where and how to fix it, and whether the
 * same call can succeed later. `docs/errors.md` lists the codes (a test compares).
 */
export const errorCodes = {
  /** The configuration is wrong; nothing was started. */
  CONFIG_INVALID: { retriable: false },
  /** The bus can't take or give records now; nothing of the call is promised. */
  BUS_UNAVAILABLE: { retriable: true },
  /** Some records of an append can never be appended; see `RecordsRefusedError`. */
  BUS_RECORDS_REFUSED: { retriable: false },
  /** A topic does not exist: `sluice setup` was not run. */
  BUS_TOPIC_MISSING: { retriable: false },
  /** This member no longer owns the partition: drop the work, a later assignment starts from the commit. */
  BUS_ASSIGNMENT_LOST: { retriable: false },
  /** The store can't take points now (401, 403, 404, 429, 5xx, network, disk): wait and write them again. */
  STORE_UNAVAILABLE: { retriable: true },
  /** A snapshot is missing, torn, or of a version this program cannot read. */
  STATE_UNREADABLE: { retriable: false },
  /** A part did not close within its deadline. */
  CLOSE_TIMEOUT: { retriable: false },
  /** An address is taken or cannot be bound. */
  LISTEN_FAILED: { retriable: false },
} as const satisfies Record<string, { retriable: boolean }>;

export type ErrorCode = keyof typeof errorCodes;

export class SluiceError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'SluiceError';
    this.code = code;
  }

  get retriable(): boolean {
    return errorCodes[this.code].retriable;
  }
}

/** Some records can never be appended. Every other record of the same append **is durable**. */
export class RecordsRefusedError extends SluiceError {
  readonly refused: readonly { index: number; message: string }[];

  constructor(topic: string, refused: readonly { index: number; message: string }[]) {
    const first = refused[0]?.message ?? 'unknown';
    super('BUS_RECORDS_REFUSED', `${refused.length} record(s) cannot be appended to ${topic}: ${first}`);
    this.refused = refused;
  }
}

/** The store is out of reach; nothing or only a part of the write may have happened. Write the same points again. */
export class StoreUnavailableError extends SluiceError {
  /** What the server asked us to wait (`Retry-After`), milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options: { cause?: unknown; retryAfterMs?: number | undefined } = {}) {
    super('STORE_UNAVAILABLE', message, options);
    this.retryAfterMs = options.retryAfterMs;
  }
}

export function isSluiceError(error: unknown, code: ErrorCode): error is SluiceError {
  return error instanceof SluiceError && error.code === code;
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
