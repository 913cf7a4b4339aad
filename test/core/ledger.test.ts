import { expect, test } from 'vitest';
import {
  addLedgers,
  count,
  emptyGatewayLedger,
  emptyPartitionLedger,
  gatewayImbalances,
  imbalances,
  type PartitionLedger,
} from '../../core/ledger.ts';

function balanced(firstOffset: number): PartitionLedger {
  const ledger = emptyPartitionLedger(firstOffset);
  Object.assign(ledger, {
    nextOffset: firstOffset + 10,
    ticks: 2,
    redelivered: 1,
    messages: 7,
    decoded: 5,
    readings: 5,
  });
  count(ledger.ignored, 'retained_clear');
  count(ledger.deadLettered, 'not_json');
  count(ledger.rejected, 'future');
  Object.assign(ledger, { duplicates: 1, accepted: 3, stored: 2, windowed: 1, late: 1 });
  count(ledger.refused, 'type_conflict');
  count(ledger.notWindowed, 'no_number');
  return ledger;
}

test('a ledger whose equations hold balances, and so does the sum of several', () => {
  expect(imbalances(balanced(0))).toEqual([]);
  const sum = addLedgers([balanced(0), balanced(500)]);
  expect(imbalances(sum)).toEqual([]);
  expect(sum).toMatchObject({
    records: 20,
    messages: 14,
    deadLettered: { not_json: 2 },
    refused: { type_conflict: 2 },
  });
});

test.each(['ticks', 'messages', 'readings', 'accepted', 'stored', 'late'] as const)(
  'one %s too many is an imbalance that names its equation',
  (counter) => {
    const ledger = balanced(0);
    ledger[counter] += 1;
    expect(imbalances(ledger).join()).toContain(counter);
  },
);

test('the ledger of a gateway balances with what it holds', () => {
  const ledger = emptyGatewayLedger();
  Object.assign(ledger, { received: 6, inherited: 4, appended: 3, spooled: 4, held: 2 });
  expect(gatewayImbalances(ledger)).toEqual([
    'received + inherited = appended + spooled + dropped + held: 10 against 9',
  ]);
  count(ledger.dropped, 'qos0_over_cap');
  expect(gatewayImbalances(ledger)).toEqual([]);
});
