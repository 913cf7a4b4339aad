import { type ErrorCode, SluiceError } from '../../../core/errors.ts';

/** The code a promise rejects with; `null` when it resolves. Anything that is not our own error is thrown on. */
export async function errorCode(promise: Promise<unknown>): Promise<ErrorCode | null> {
  try {
    await promise;
    return null;
  } catch (error) {
    if (error instanceof SluiceError) return error.code;
    throw error;
  }
}
