/** What an error of the client means for us. It wraps the broker's answer in one or more errors of its own. */
import { messageOf, SluiceError } from '../../core/errors.ts';

/** The broker's error code in words, such as `MESSAGE_TOO_LARGE`; `null` when it was no answer of a broker. */
export function protocolErrorOf(error: unknown): string | null {
  for (let e = error; e instanceof Error; e = e.cause) {
    if ('type' in e && typeof e.type === 'string' && /^[A-Z_]+$/.test(e.type)) return e.type;
  }
  return null;
}

/** Answers that a record gets however often it is sent. */
const refusals = new Set([
  'MESSAGE_TOO_LARGE',
  'RECORD_LIST_TOO_LARGE',
  'INVALID_RECORD',
  'INVALID_TIMESTAMP',
  'INVALID_REQUIRED_ACKS',
  'CORRUPT_MESSAGE',
  'UNSUPPORTED_FOR_MESSAGE_FORMAT',
]);

export function isRefusal(error: unknown): boolean {
  const type = protocolErrorOf(error);
  return type !== null && refusals.has(type);
}

export function isTopicMissing(error: unknown): boolean {
  return protocolErrorOf(error) === 'UNKNOWN_TOPIC_OR_PARTITION';
}

/** Answers to a member that the group goes on without. */
const lostMembership = new Set([
  'UNKNOWN_MEMBER_ID',
  'ILLEGAL_GENERATION',
  'FENCED_INSTANCE_ID',
  'REBALANCE_IN_PROGRESS',
]);

export function isMembershipLost(error: unknown): boolean {
  const type = protocolErrorOf(error);
  return type !== null && lostMembership.has(type);
}

export function topicMissing(topic: string): SluiceError {
  return new SluiceError('BUS_TOPIC_MISSING', `topic ${topic} does not exist: run \`sluice setup\``);
}

export function unavailable(what: string, cause: unknown): SluiceError {
  return new SluiceError('BUS_UNAVAILABLE', `Kafka: ${what}: ${messageOf(cause)}`, { cause });
}
