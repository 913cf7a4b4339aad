/**
 * Who of a group owns which partition. A member lives until its expiry, which its heartbeats move; its id is never used
 * again. A lease names its owner and an epoch that rises with every change of owner; a commit is checked against both in
 * its own transaction, so that a former owner can't change anything, however late it wakes up.
 */
import type { StatementSync } from 'node:sqlite';
import type { Database } from './database.ts';
import type { CommitArgs, Lease, TendArgs, Tended } from './protocol.ts';

type LeaseRow = {
  partition: number;
  partition_id: number;
  epoch: number;
  committed_offset: number | null;
  metadata: string | null;
};

export class Leases {
  readonly #findGroup: StatementSync;
  readonly #addGroup: StatementSync;
  readonly #addLeases: StatementSync;
  readonly #expire: StatementSync;
  readonly #extend: StatementSync;
  readonly #join: StatementSync;
  readonly #leave: StatementSync;
  readonly #members: StatementSync;
  readonly #freeOrphans: StatementSync;
  readonly #owned: StatementSync;
  readonly #size: StatementSync;
  readonly #claim: StatementSync;
  readonly #commit: StatementSync;
  readonly #release: StatementSync;

  constructor({ sqlite }: Database) {
    this.#findGroup = sqlite.prepare('SELECT id FROM groups WHERE topic_id = ? AND name = ?');
    this.#addGroup = sqlite.prepare('INSERT INTO groups (topic_id, name) VALUES (?, ?) RETURNING id');
    this.#addLeases = sqlite.prepare(
      'INSERT INTO leases (group_id, partition_id) SELECT ?, id FROM partitions WHERE topic_id = ?',
    );
    this.#expire = sqlite.prepare('DELETE FROM members WHERE group_id = ? AND expires_ms <= ?');
    this.#extend = sqlite.prepare('UPDATE members SET expires_ms = ? WHERE id = ?');
    this.#join = sqlite.prepare('INSERT INTO members (group_id, expires_ms) VALUES (?, ?) RETURNING id');
    this.#leave = sqlite.prepare('DELETE FROM members WHERE id = ?');
    this.#members = sqlite.prepare('SELECT id FROM members WHERE group_id = ? ORDER BY id');
    this.#freeOrphans = sqlite.prepare(
      `UPDATE leases SET member_id = NULL
       WHERE group_id = ? AND member_id IS NOT NULL AND member_id NOT IN (SELECT id FROM members)`,
    );
    this.#owned = sqlite.prepare(
      `SELECT partition, partition_id, epoch, committed_offset, metadata
       FROM leases JOIN partitions ON partitions.id = partition_id
       WHERE group_id = ? AND member_id = ? ORDER BY partition`,
    );
    this.#size = sqlite.prepare('SELECT count(*) AS partitions FROM leases WHERE group_id = ?');
    this.#claim = sqlite.prepare(
      `UPDATE leases SET member_id = ?, epoch = epoch + 1 WHERE group_id = ? AND partition_id IN
         (SELECT partition_id FROM leases WHERE group_id = ? AND member_id IS NULL ORDER BY partition_id LIMIT ?)`,
    );
    this.#commit = sqlite.prepare(
      `UPDATE leases SET committed_offset = ?, metadata = ?
       WHERE group_id = ? AND partition_id = ? AND member_id = ? AND epoch = ?
         AND EXISTS (SELECT 1 FROM members WHERE id = member_id AND expires_ms > ?)`,
    );
    this.#release = sqlite.prepare(
      `UPDATE leases SET member_id = NULL
       WHERE group_id = ? AND partition_id = ? AND member_id = ? AND epoch = ?`,
    );
  }

  group(topicId: number, name: string): number {
    const existing = this.#findGroup.get(topicId, name) as { id: number } | undefined;
    if (existing !== undefined) return existing.id;
    const { id } = this.#addGroup.get(topicId, name) as { id: number };
    this.#addLeases.run(id, topicId);
    return id;
  }

  /** A member's heartbeat: it stays alive or joins anew, the dead are buried, and it takes its fair share of what is free. */
  tend(args: TendArgs): Tended {
    const { groupId, nowMs, heardAtMs, sessionTimeoutMs, claiming, returned } = args;
    for (const { partitionId, epoch } of returned) this.#release.run(groupId, partitionId, args.memberId, epoch);
    this.#expire.run(groupId, nowMs);
    const memberId = this.#stayAlive(args, heardAtMs + sessionTimeoutMs);
    this.#freeOrphans.run(groupId);
    if (memberId === null) return { memberId, owned: [], surplus: [] };

    const share = this.#shareOf(groupId, memberId);
    let owned = this.#ownedBy(groupId, memberId);
    if (claiming && owned.length < share) {
      this.#claim.run(memberId, groupId, groupId, share - owned.length);
      owned = this.#ownedBy(groupId, memberId);
    }
    return { memberId, owned, surplus: owned.slice(share).map(({ partition }) => partition) };
  }

  /** `false`: not the owner any more. */
  commit({ groupId, partitionId, memberId, epoch, offset, metadata, nowMs }: CommitArgs): boolean {
    return this.#commit.run(offset, metadata, groupId, partitionId, memberId, epoch, nowMs).changes === 1;
  }

  leave(groupId: number, memberId: number): void {
    this.#leave.run(memberId);
    this.#freeOrphans.run(groupId);
  }

  #stayAlive({ memberId, groupId, nowMs, claiming }: TendArgs, expiresMs: number): number | null {
    if (expiresMs <= nowMs) {
      if (memberId !== null) this.#leave.run(memberId);
      return null;
    }
    if (memberId !== null && this.#extend.run(expiresMs, memberId).changes === 1) return memberId;
    return claiming ? (this.#join.get(groupId, expiresMs) as { id: number }).id : null;
  }

  /** Partitions are shared out evenly; the remainder goes to the oldest members, so that a newcomer moves few. */
  #shareOf(groupId: number, memberId: number): number {
    const { partitions } = this.#size.get(groupId) as { partitions: number };
    const members = this.#members.all(groupId) as { id: number }[];
    const rank = members.findIndex(({ id }) => id === memberId);
    return Math.floor(partitions / members.length) + (rank < partitions % members.length ? 1 : 0);
  }

  #ownedBy(groupId: number, memberId: number): Lease[] {
    const rows = this.#owned.all(groupId, memberId) as LeaseRow[];
    return rows.map((row) => ({
      partition: row.partition,
      partitionId: row.partition_id,
      epoch: row.epoch,
      committed: row.committed_offset === null ? null : { offset: row.committed_offset, metadata: row.metadata ?? '' },
    }));
  }
}
