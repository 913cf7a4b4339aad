/** What a device holds: order, both bounds, resends, and that each message is settled once. */
import { expect, test } from 'vitest';
import type { Message } from '../../simulator/message.ts';
import { Outbox, type Transmission } from '../../simulator/outbox.ts';
import { Schedule } from '../../simulator/schedule.ts';

function message(seq: number, over: Partial<Message> = {}): Message {
  return {
    seq,
    timeMs: seq,
    topic: 't',
    payload: `${seq}`,
    reading: null,
    faults: [],
    expect: { as: 'stored' },
    copies: 1,
    delayMs: 0,
    isHeldBack: false,
    isByIntruder: false,
    ...over,
  };
}

const order = (n: number): Transmission => ({ order: n, message: message(n), dueMs: 0 });
const given: number[] = [];

function filled(count: number, { maxInFlight = 2, maxHeld = 100 } = {}): Outbox {
  given.length = 0;
  const outbox = new Outbox(maxInFlight, maxHeld, (transmission) => given.push(transmission.message.seq));
  for (let seq = 0; seq < count; seq++) outbox.add(message(seq), seq);
  return outbox;
}

/** Takes all that may be taken: its numbers, those sent before with an `r`. */
function taken(outbox: Outbox): string[] {
  const names: string[] = [];
  for (let next = outbox.take(); next !== null; next = outbox.take()) {
    names.push(`${next.transmission.message.seq}${next.isResend ? 'r' : ''}`);
  }
  return names;
}

test('no more are in flight than allowed; one goes out for each that is settled', () => {
  const outbox = filled(5);
  expect(taken(outbox)).toEqual(['0', '1']);
  expect(outbox.settle(order(1))).toBe(true);
  expect(taken(outbox)).toEqual(['2']);
  expect(outbox.held).toBe(4);
});

test('a full outbox refuses the newest and keeps the rest', () => {
  const outbox = filled(3, { maxHeld: 3 });
  expect(outbox.add(message(3), 0)).toBe(false);
  expect(taken(outbox)).toEqual(['0', '1']);
  expect(outbox.add(message(4), 0), 'those in flight count').toBe(false);
  outbox.settle(order(0));
  expect(outbox.add(message(5), 0)).toBe(true);
  expect(taken(outbox)).toEqual(['2']);
});

test('after a lost connection what was in flight goes first, in order, marked as sent before', () => {
  const outbox = filled(5, { maxInFlight: 3 });
  expect(taken(outbox)).toEqual(['0', '1', '2']);
  outbox.settle(order(1));
  outbox.connectionLost();
  expect(taken(outbox)).toEqual(['0r', '2r', '3']);
  outbox.connectionLost();
  outbox.connectionLost();
  expect(taken(outbox)).toEqual(['0r', '2r', '3r']);
});

test('each copy of a message goes out and is settled by itself; all find room, or none', () => {
  const outbox = filled(0, { maxInFlight: 3, maxHeld: 3 });
  expect(outbox.add(message(0, { copies: 4 }), 0)).toBe(false);
  expect(outbox.add(message(0, { copies: 2 }), 0)).toBe(true);
  expect(outbox.add(message(1, { copies: 2 }), 0)).toBe(false);
  expect(taken(outbox)).toEqual(['0', '0']);
  expect(outbox.settle(order(0))).toBe(true);
  outbox.connectionLost();
  expect(taken(outbox)).toEqual(['0r']);
});

test('what the broker has to refuse is sent on one connection only', () => {
  const outbox = filled(1);
  outbox.add(message(1, { expect: { as: 'refused_by_broker' } }), 0);
  outbox.add(message(2, { expect: { as: 'refused_by_broker' } }), 0);
  expect(taken(outbox)).toEqual(['0', '1']);
  outbox.connectionLost();
  expect(given).toEqual([1]);
  expect(taken(outbox)).toEqual(['0r', '2']);
  outbox.giveUp();
  expect([given, outbox.held]).toEqual([[1, 0, 2], 0]);
});

test('a transmission is settled once', () => {
  const outbox = filled(1);
  taken(outbox);
  expect(outbox.settle(order(0))).toBe(true);
  expect(outbox.settle(order(0))).toBe(false);
  expect(outbox.held).toBe(0);
});

test('the schedule runs what is due by time, equal times in the order given', () => {
  const schedule = new Schedule();
  const ran: string[] = [];
  const times = [50, 20, 90, 20, 10, 70, 20, 30, 60, 80, 40];
  for (const [n, atMs] of times.entries()) schedule.add(atMs, () => ran.push(`${atMs}/${n}`));
  schedule.add(5, () => schedule.add(15, () => ran.push('15/added')));
  schedule.runDue(30);
  expect(ran).toEqual(['10/4', '15/added', '20/1', '20/3', '20/6', '30/7']);
  schedule.runDue(89);
  expect(ran.slice(6)).toEqual(['40/10', '50/0', '60/8', '70/5', '80/9']);
  schedule.clear();
  schedule.runDue(1000);
  expect(ran).toHaveLength(11);
});
