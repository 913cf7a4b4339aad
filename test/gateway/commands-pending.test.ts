/** What the log of the commands topic makes of commands: the first outcome counts, and everything has a bound. */
import { describe, expect, it } from 'vitest';
import type { NewRecord } from '../../bus/port.ts';
import { longestExpiryMs } from '../../core/commands.ts';
import { headers } from '../../core/topics.ts';
import { entryOf } from '../../gateway/commands/entries.ts';
import { PendingCommands } from '../../gateway/commands/pending.ts';
import { commandRecord, logOf, outcomeRecord, startMs } from './commands-records.ts';

/** The ends that the records bring, in order. */
function endsOf(records: readonly NewRecord[], pending = new PendingCommands()) {
  return logOf(records).flatMap((record) => {
    const entry = entryOf(record);
    return (entry === null ? null : pending.apply(entry)) ?? [];
  });
}

const shortOf = (records: readonly NewRecord[]) => endsOf(records).map(({ id, result }) => `${id} ${result}`);

describe('A command ends', () => {
  it('with its first outcome, in the order of the log', () => {
    const records = [
      commandRecord('a'),
      commandRecord('b'),
      outcomeRecord('b', 'expired'),
      outcomeRecord('a', 'acknowledged'),
      outcomeRecord('b', 'acknowledged'),
      outcomeRecord('a', 'expired'),
      outcomeRecord('unknown', 'expired'),
    ];
    expect(shortOf(records)).toEqual(['b expired', 'a delivered']);
  });

  it('and says when it was asked for, until when it might be sent, and who says how it ended', () => {
    const records = [commandRecord('a', { expiresInMs: 500 }), outcomeRecord('a', 'acknowledged', startMs + 20)];
    expect(endsOf(records)).toEqual([
      {
        id: 'a',
        site: 'lab',
        device: 'd1',
        result: 'delivered',
        reason: null,
        requestedAtMs: startMs,
        expiresAtMs: startMs + 500,
        atMs: startMs + 20,
        gateway: 'other',
      },
    ]);
  });

  it('once, however often it was asked for with one id', () => {
    const records = [
      commandRecord('a'),
      commandRecord('a', { payload: 'other' }),
      outcomeRecord('a', 'acknowledged'),
      commandRecord('a'),
      outcomeRecord('a', 'expired'),
    ];
    expect(shortOf(records)).toEqual(['a delivered']);
  });

  it('apart from one to another device that has the same id', () => {
    const records = [
      commandRecord('a'),
      commandRecord('a', { key: 'lab/d2' }),
      outcomeRecord('a', 'expired', startMs, 'lab/d2'),
    ];
    const pending = new PendingCommands();
    expect(endsOf(records, pending)).toMatchObject([{ device: 'd2' }]);
    expect(pending.count).toBe(1);
    expect(pending.firstOffset).toBe(0);
  });

  it('refused at the bound of its device, and that of its partition', () => {
    const ofOne = Array.from({ length: 101 }, (_, i) => commandRecord(`c${i}`));
    expect(endsOf(ofOne)).toMatchObject([{ id: 'c100', result: 'refused', reason: 'device_full', atMs: startMs }]);
    const large = { payload: 'x'.repeat(400_000) };
    const ofSize = ['a', 'b', 'c'].map((id) => commandRecord(id, large));
    expect(endsOf(ofSize)).toMatchObject([{ id: 'c', result: 'refused', reason: 'device_full' }]);
    const ofMany = Array.from({ length: 5001 }, (_, i) => commandRecord('c', { key: `lab/d${i}` }));
    expect(endsOf(ofMany)).toMatchObject([{ device: 'd5000', result: 'refused', reason: 'partition_full' }]);
    const ofManyLarge = Array.from({ length: 11 }, (_, i) => commandRecord('c', { key: `lab/d${i}`, ...large }));
    expect(endsOf(ofManyLarge)).toMatchObject([{ device: 'd10', result: 'refused', reason: 'partition_full' }]);
  });

  it('and makes room for others', () => {
    const fill = Array.from({ length: 100 }, (_, i) => commandRecord(`c${i}`));
    const records = [...fill, outcomeRecord('c5', 'acknowledged'), commandRecord('d'), commandRecord('e')];
    expect(shortOf(records)).toEqual(['c5 delivered', 'e refused']);
  });
});

describe('A record of the commands topic', () => {
  it.each<[string, Partial<NewRecord>]>([
    ['has no id', { headers: {} }],
    ['has an id of another form', { headers: { ...commandRecord('a').headers, [headers.commandId]: 'a b' } }],
    ['does not say until when', { headers: { [headers.commandId]: 'a' } }],
    ['is for no device', { key: 'lab' }],
    ['is for a topic with a wildcard', { key: 'lab/+' }],
    ['says something else of a command', { headers: { [headers.commandId]: 'a', [headers.commandOutcome]: 'lost' } }],
  ])('that %s is a stranger’s', (_what, over) => {
    expect(entryOf(logOf([{ ...commandRecord('a'), ...over }])[0]!)).toBeNull();
  });

  it('cannot ask for more than a day', () => {
    const entry = entryOf(logOf([commandRecord('a', { expiresInMs: 10 * longestExpiryMs })])[0]!);
    expect(entry).toMatchObject({ expiresAtMs: startMs + longestExpiryMs });
  });
});
