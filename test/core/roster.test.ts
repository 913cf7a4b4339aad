import { describe, expect, it } from 'vitest';
import { gatewayLost } from '../../core/presence.ts';
import { Roster } from '../../core/roster.ts';

const online = (instance: string) => ({ status: 'online', instance }) as const;
const offline = (instance: string) => ({ status: 'offline', instance }) as const;

/** So many statuses of each come, in turns. */
function beats(roster: Roster, count: number, ...keys: readonly string[]): void {
  for (let beat = 0; beat < count; beat++) for (const key of keys) roster.lives(key);
}

const told = (roster: Roster) => roster.lost(5000).map(({ site, device }) => `${site}/${device}`);

describe('Where a device is', () => {
  it('is the gateway that said last that it is online', () => {
    const roster = new Roster('gateway/a');
    roster.heard('lab/d1', online('b'));
    roster.heard('lab/d1', online('c'));
    expect(roster.holderOf('lab/d1')).toBe('c');
    expect(roster.size).toBe(1);
  });

  it('is not changed by what a gateway says that it had left', () => {
    const roster = new Roster('gateway/a');
    roster.heard('lab/d1', online('b'));
    roster.heard('lab/d1', online('c'));
    expect(roster.heard('lab/d1', offline('b'))).toBe(false);
    expect(roster.holderOf('lab/d1')).toBe('c');
    expect(roster.heard('lab/d1', offline('c'))).toBe(true);
    expect(roster.holderOf('lab/d1')).toBe(null);
    expect(roster.size).toBe(0);
  });

  it('is known of 100,000 devices at most', () => {
    const roster = new Roster('gateway/a');
    for (let i = 0; i < 100_001; i++) roster.heard(`lab/d${i}`, online('b'));
    expect(roster.size).toBe(100_000);
    expect(roster.holderOf('lab/d100000')).toBe(null);
    roster.heard('lab/d7', offline('b'));
    roster.heard('lab/d100000', online('b'));
    expect(roster.holderOf('lab/d100000')).toBe('b');
  });
});

describe('A gateway that is gone', () => {
  it('is one from which nothing came while six statuses of our own did', () => {
    const roster = new Roster('gateway/a');
    beats(roster, 3, 'gateway/a', 'gateway/b');
    roster.heard('lab/d1', online('b'));
    beats(roster, 6, 'gateway/a');
    expect(roster.lost(5000)).toEqual([]);
    beats(roster, 1, 'gateway/a');
    expect(roster.lost(5000)).toEqual([
      {
        site: 'lab',
        device: 'd1',
        status: 'offline',
        sinceMs: 5000,
        reason: gatewayLost,
        clientId: null,
        identity: null,
        instance: 'b',
      },
    ]);
  });

  it('is not one whose statuses come, nor any while ours do not', () => {
    const roster = new Roster('gateway/a');
    roster.heard('lab/d1', online('b'));
    roster.heard('lab/d2', online('c'));
    beats(roster, 3, 'gateway/a');
    beats(roster, 50, 'gateway/b', 'processor/p');
    expect(roster.lost(5000)).toEqual([]);
    beats(roster, 50, 'gateway/a', 'gateway/b', 'gateway/c');
    expect(roster.lost(5000)).toEqual([]);
  });

  it('may have ended before we began', () => {
    const roster = new Roster('gateway/a');
    beats(roster, 100, 'gateway/a');
    roster.heard('lab/d1', online('ended'));
    expect(roster.lost(5000)).toEqual([]);
    beats(roster, 7, 'gateway/a');
    expect(told(roster)).toEqual(['lab/d1']);
  });

  it('has its devices told by the first of those that live, by the next one only where that does not', () => {
    const first = new Roster('gateway/a');
    const second = new Roster('gateway/c');
    const page = new Roster('web/a');
    const all = [first, second, page];
    for (const roster of all) roster.heard('lab/d1', online('b'));
    for (const roster of all) beats(roster, 7, 'gateway/a', 'gateway/c', 'web/a', 'processor/p');
    expect(all.map(told)).toEqual([['lab/d1'], [], []]);
    for (const roster of all) beats(roster, 3, 'gateway/a', 'gateway/c', 'web/a');
    expect(all.map(told)).toEqual([['lab/d1'], ['lab/d1'], []]);
    for (const roster of all) beats(roster, 3, 'gateway/a', 'gateway/c', 'web/a');
    expect(all.map(told)).toEqual([['lab/d1'], ['lab/d1'], ['lab/d1']]);
  });

  it('does not keep its place in the line', () => {
    const roster = new Roster('gateway/b');
    beats(roster, 1, 'gateway/a');
    roster.heard('lab/d1', online('a'));
    beats(roster, 7, 'gateway/b');
    expect(told(roster)).toEqual(['lab/d1']);
  });

  it('keeps no device that has come to another, or was told of', () => {
    const roster = new Roster('gateway/a');
    for (const device of ['d1', 'd2', 'd3']) roster.heard(`lab/${device}`, online('b'));
    beats(roster, 7, 'gateway/a');
    roster.heard('lab/d2', online('c'));
    const lost = roster.lost(5000);
    expect(lost.map(({ device }) => device)).toEqual(['d1', 'd3']);
    roster.heard('lab/d1', lost[0]!);
    expect(told(roster)).toEqual(['lab/d3']);
  });

  it('is told of in batches', () => {
    const roster = new Roster('gateway/a');
    for (let i = 0; i < 3000; i++) roster.heard(`lab/d${i}`, online('b'));
    beats(roster, 7, 'gateway/a');
    const batch = roster.lost(5000);
    expect(batch).toHaveLength(2000);
    for (const presence of batch) roster.heard(`lab/${presence.device}`, presence);
    expect(roster.lost(5000)).toHaveLength(1000);
  });
});
