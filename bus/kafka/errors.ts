/** What an error of the client means for us. It wraps the broker's answer in one or more errors of its own. */
import { messageOf, SluiceError } from '../../core/errors.ts';

/** The broker's answer in words, such as `MESSAGE_TOO_LARGE`; `null` when it was no answer of a broker. */
function answerOf(error: unknown): string | null {
  for (let e = error; e instanceof Error; e = e.cause) {
    if ('type' in e && typeof e.type === 'string') return e.type;
  }
  return null;
}

/** No answer came in time. The client says so by name alone. */
export function isTimeout(error: unknown): boolean {
  for (let e = error; e instanceof Error; e = e.cause) if (e.name === 'KafkaJSRequestTimeoutError') return true;
  return false;
}

/**
 * The client takes a broker for connected that took the connection and did not answer its first question in time, and
 * never asks again: only a new connection helps. It says so by its message alone.
 */
export function isHalfConnected(error: unknown): boolean {
  for (let e = error; e instanceof Error; e = e.cause) if (e.message === 'Broker not connected') return true;
  return false;
}

function answers(...types: string[]): (error: unknown) => boolean {
  const known: ReadonlySet<string | null> = new Set(types);
  return (error) => known.has(answerOf(error));
}

/** Records of the batch can't be appended, however often they are sent. */
export const isRefusal = answers(
  'MESSAGE_TOO_LARGE',
  'RECORD_LIST_TOO_LARGE',
  'INVALID_RECORD',
  'INVALID_TIMESTAMP',
  'CORRUPT_MESSAGE',
);

/** The broker and the producer no longer agree on its sequence numbers: only a new producer helps. */
export const isProducerSpent = answers(
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'DUPLICATE_SEQUENCE_NUMBER',
  'UNKNOWN_PRODUCER_ID',
  'INVALID_PRODUCER_EPOCH',
  'INVALID_PRODUCER_ID_MAPPING',
);

export const isTopicMissing = answers('UNKNOWN_TOPIC_OR_PARTITION');

/** The group has heard this member, and gives out everything anew as soon as its handlers have ended. */
export const isRebalancing = answers('REBALANCE_IN_PROGRESS');

/** The group goes on without this member, or is about to: what it holds is given out anew. */
export const isMembershipLost = answers(
  'UNKNOWN_MEMBER_ID',
  'ILLEGAL_GENERATION',
  'FENCED_INSTANCE_ID',
  'REBALANCE_IN_PROGRESS',
  // The client finds the new coordinator only by joining again.
  'NOT_COORDINATOR_FOR_GROUP',
);

/** Whoever coordinates the group from now on reads what it has committed first. */
export const isCoordinatorBusy = answers(
  'GROUP_LOAD_IN_PROGRESS',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR_FOR_GROUP',
);

export function assignmentLost(cause: unknown): SluiceError {
  return new SluiceError('BUS_ASSIGNMENT_LOST', `Kafka: ${messageOf(cause)}`, { cause });
}

export function topicMissing(topic: string): SluiceError {
  return new SluiceError('BUS_TOPIC_MISSING', `topic ${topic} does not exist: run \`sluice setup\``);
}

export function unavailable(what: string, cause: unknown): SluiceError {
  // The client gathers what went wrong per topic or group in an error that says nothing itself.
  const first = cause instanceof Error && 'errors' in cause && Array.isArray(cause.errors) ? cause.errors[0] : cause;
  return new SluiceError('BUS_UNAVAILABLE', `Kafka: ${what}: ${messageOf(first ?? cause)}`, { cause });
}

export function busClosed(): SluiceError {
  return new SluiceError('BUS_UNAVAILABLE', 'the Kafka bus is closed');
}
