import type { Lag } from '../bus/port.ts';
import type { PartitionStatus, PipelineStatus } from '../core/status.ts';

/**
 * How far the processors are behind, from what they say themselves: exact to the record, where the bus knows only their
 * commits, which are up to a snapshot old. `null` when that cannot be relied on: a partition has no owner that is heard
 * of, or one is not ready and may not know how much has come since.
 */
export function lagOfOwners(roles: readonly PipelineStatus[], partitionCount: number): Lag | null {
  const owned = new Map<string, PartitionStatus>();
  let atMs = 0;
  for (const status of roles) {
    if (status.role !== 'processor') continue;
    if (!status.ready) return null;
    atMs = Math.max(atMs, status.atMs);
    for (const [id, partition] of Object.entries(status.partitions)) {
      if (partition.position >= (owned.get(id)?.position ?? 0)) owned.set(id, partition);
    }
  }
  if (owned.size < partitionCount) return null;
  let records = 0;
  let oldestMs = atMs;
  for (const { position, endOffset, clockMs } of owned.values()) {
    if (endOffset <= position) continue;
    records += endOffset - position;
    oldestMs = Math.min(oldestMs, clockMs);
  }
  return { records, seconds: (atMs - oldestMs) / 1000 };
}
