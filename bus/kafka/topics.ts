/** Topics as `sluice setup` makes them. */
import type { Admin } from 'kafkajs';
import type { Clock } from '../../core/clock.ts';
import type { TopicSpec } from '../../core/topics.ts';
import { unavailable } from './errors.ts';

const servedWithinMs = 30_000;

/** Resolves when records can be appended to each of them. */
export async function createServedTopics(
  admin: Admin,
  specs: readonly TopicSpec[],
  replicationFactor: number,
  clock: Clock,
): Promise<void> {
  const topics = specs.map((spec) => ({
    topic: spec.name,
    numPartitions: spec.partitions,
    replicationFactor,
    configEntries: configEntries(spec, replicationFactor),
  }));
  // Not waiting for leaders: the client takes a broker that has not heard of the topic yet for a failure.
  await admin.createTopics({ topics, waitForLeaders: false });
  for (const { name } of specs) await untilServed(admin, name, clock);
}

/** A broker can know that it leads a partition before it serves it. */
async function untilServed(admin: Admin, topic: string, clock: Clock): Promise<void> {
  const untilMs = clock.nowMs() + servedWithinMs;
  for (;;) {
    try {
      await admin.fetchTopicOffsets(topic);
      return;
    } catch (error) {
      if (clock.nowMs() >= untilMs) throw unavailable(`${topic} was created but is not served`, error);
    }
    await clock.sleep(50);
  }
}

function configEntries(spec: TopicSpec, replicationFactor: number): { name: string; value: string }[] {
  const settings: Record<string, string> = {
    'cleanup.policy': spec.cleanup,
    'max.message.bytes': String(spec.maxMessageBytes),
    'min.insync.replicas': String(replicationFactor >= 3 ? 2 : 1),
  };
  if (spec.cleanup === 'delete') {
    settings['retention.ms'] = String(spec.retentionMs ?? -1);
    settings['retention.bytes'] = String(spec.retentionBytes ?? -1);
  } else {
    // Compacted while it is in use, not only once a default segment of a week or a gigabyte is full.
    settings['segment.ms'] = '600000';
    settings['segment.bytes'] = String(64 * 1024 * 1024);
    settings['min.cleanable.dirty.ratio'] = '0.3';
    settings['delete.retention.ms'] = '3600000';
  }
  return Object.entries(settings).map(([name, value]) => ({ name, value }));
}
