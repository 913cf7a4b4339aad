/**
 * A consumer that stays away once it is told to leave. The client knows nothing of a start of its own that is under way
 * (it begins again by itself after a failure): told to end meanwhile it waits for the join, for as long as the
 * other members let it wait, and is then a member that nobody hears.
 */
import type { Consumer, ConsumerConfig, Kafka } from 'kafkajs';
import type { Clock } from '../../core/clock.ts';
import { endsWithin } from '../../core/deadline.ts';

export interface MemberContext {
  readonly kafka: Kafka;
  readonly config: ConsumerConfig;
  /** Whether the client may begin again after this error. */
  readonly mayComeBack: (error: Error) => Promise<boolean>;
  readonly clock: Clock;
}

const leaveTimeoutMs = 3000;

/** Its `disconnect` takes at most 3 s; a join that ends after that is undone then. */
export function openMember({ kafka, config, mayComeBack, clock }: MemberContext): Consumer {
  let hasLeft = false;
  const restartOnFailure = async (error: Error) => !hasLeft && (await mayComeBack(error)) && !hasLeft;
  const consumer = kafka.consumer({ ...config, retry: { ...config.retry, restartOnFailure } });
  consumer.on('consumer.fetch_start', () => {
    if (hasLeft) void consumer.disconnect().catch(() => {});
  });
  return {
    ...consumer,
    disconnect: async () => {
      hasLeft = true;
      await endsWithin(clock, leaveTimeoutMs, consumer.disconnect());
    },
  };
}
