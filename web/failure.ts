/** What a caller is told when an answer is not 2xx. */
import { SluiceError } from '../core/errors.ts';
import type { Failure } from './api.ts';

/** An answer that is a failure on purpose. Fastify reads `statusCode`. */
export class HttpFailure extends Error {
  readonly statusCode: number;
  readonly code: string;
  /** `Retry-After`, where trying again helps. */
  readonly retryAfterSeconds: number | undefined;

  constructor(statusCode: number, code: string, message: string, retryAfterSeconds?: number) {
    super(message);
    this.name = 'HttpFailure';
    this.statusCode = statusCode;
    this.code = code;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

const retryAfterSeconds = 2;

/** Anything thrown in a route as what the caller should know of it. What is not ours is not shown to the outside. */
export function failureOf(error: unknown): HttpFailure {
  if (error instanceof HttpFailure) return error;
  if (error instanceof SluiceError && error.retriable) {
    return new HttpFailure(503, error.code, error.message, retryAfterSeconds);
  }
  const status = statusCodeOf(error);
  if (status !== null) return new HttpFailure(status, 'BAD_REQUEST', (error as Error).message);
  return new HttpFailure(500, 'INTERNAL', 'something failed here; the log of this process says what');
}

export function failureBody({ code, message }: HttpFailure): Failure {
  return { error: { code, message } };
}

/** Of what the HTTP framework refuses by itself: a body too large, a path that cannot be decoded. */
function statusCodeOf(error: unknown): number | null {
  if (!(error instanceof Error) || !('statusCode' in error)) return null;
  const { statusCode } = error;
  return typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500 ? statusCode : null;
}
