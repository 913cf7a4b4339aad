import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Database } from '../../bus/embedded/database.ts';
import { Leases } from '../../bus/embedded/leases.ts';
import { TopicTable } from '../../bus/embedded/topic-table.ts';
import { temporaryFolder, topic } from './embedded-fixture.ts';

test('a commit counts only from the living owner under the epoch of its lease', async () => {
  const database = new Database(join(await temporaryFolder(), 'bus.db'), 1_000);
  const topics = new TopicTable(database);
  topics.create([topic('topic')]);
  const leases = new Leases(database);
  const groupId = leases.group(topics.find('topic')!.id, 'group');
  const tend = {
    groupId,
    memberId: null,
    nowMs: 0,
    heardAtMs: 0,
    sessionTimeoutMs: 1_000,
    claiming: true,
    returned: [],
  };
  const { memberId, owned } = leases.tend(tend);
  const { partitionId, epoch } = owned[0]!;
  const owner = { groupId, partitionId, memberId: memberId!, epoch, offset: 7, metadata: '', nowMs: 999 };

  expect(leases.commit({ ...owner, epoch: epoch - 1 })).toBe(false);
  expect(leases.commit({ ...owner, epoch: epoch + 1 })).toBe(false);
  expect(leases.commit({ ...owner, memberId: memberId! + 1 })).toBe(false);
  expect(leases.commit({ ...owner, nowMs: 1_000 })).toBe(false);
  expect(leases.tend({ ...tend, memberId, nowMs: 500, heardAtMs: 500 }).owned[0]?.committed).toBeNull();
  expect(leases.commit(owner)).toBe(true);
  expect(leases.tend({ ...tend, memberId, nowMs: 500, heardAtMs: 500 }).owned[0]?.committed?.offset).toBe(7);
  database.close();
});
