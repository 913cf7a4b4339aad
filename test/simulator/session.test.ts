/** Packet ids: 1 to 65,535, in turn, and never one that is in flight. */
import { expect, test } from 'vitest';
import type { Message } from '../../simulator/message.ts';
import type { Transmission } from '../../simulator/outbox.ts';
import { Session } from '../../simulator/session.ts';

const transmission = (order: number): Transmission => ({ order, message: {} as Message, dueMs: 0 });

test('after the last id comes the first, past those that are in flight', () => {
  const session = new Session();
  const waiting = [1, 2].map((order) => session.begin(transmission(order)));
  expect(waiting).toEqual([1, 2]);
  for (let order = 3; order <= 65_535; order++) session.complete(session.begin(transmission(order)));
  expect(session.begin(transmission(65_536))).toBe(3);
  expect(session.inFlight().map(([id, { order }]) => [id, order])).toEqual([
    [1, 1],
    [2, 2],
    [3, 65_536],
  ]);
});

test('an id is complete once, and what is released is so until then', () => {
  const session = new Session();
  const id = session.begin(transmission(7));
  session.release(99);
  expect([session.isReleased(id), session.isReleased(99)]).toEqual([false, false]);
  session.release(id);
  expect(session.isReleased(id)).toBe(true);
  expect(session.complete(id)?.order).toBe(7);
  expect([session.complete(id), session.isReleased(id)]).toEqual([null, false]);
});
