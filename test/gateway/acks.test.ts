import { describe, expect, it } from 'vitest';
import { AckQueue } from '../../gateway/ingest/acks.ts';

describe('AckQueue', () => {
  function queueOf(count: number) {
    const queue = new AckQueue();
    const released: number[] = [];
    const acks = Array.from({ length: count }, (_, i) => queue.add(10, 0, () => released.push(i)));
    return { queue, acks, released };
  }

  it('releases in arrival order whatever becomes durable first', () => {
    const { acks, released } = queueOf(4);
    acks[2]!.settle();
    acks[1]!.settle();
    expect(released).toEqual([]);
    acks[0]!.settle();
    expect(released).toEqual([0, 1, 2]);
    acks[3]!.settle();
    expect(released).toEqual([0, 1, 2, 3]);
  });

  it('counts what is not released', () => {
    const { queue, acks } = queueOf(3);
    acks[1]!.settle();
    expect([queue.messages, queue.bytes]).toEqual([3, 30]);
    acks[0]!.settle();
    expect([queue.messages, queue.bytes]).toEqual([1, 10]);
    acks[2]!.settle();
    expect([queue.messages, queue.bytes]).toEqual([0, 0]);
  });

  it('takes new ones after it ran empty', () => {
    const { queue, acks, released } = queueOf(1);
    acks[0]!.settle();
    queue.add(1, 0, () => released.push(7)).settle();
    expect(released).toEqual([0, 7]);
  });

  it('releases a repetition with its original, in the place of its own queue', () => {
    const { acks, released } = queueOf(1);
    const other = new AckQueue();
    const before = other.add(1, 0, () => released.push(10));
    acks[0]!.repeat(other, 0, () => released.push(11));
    acks[0]!.settle();
    expect(released).toEqual([0]);
    before.settle();
    expect(released).toEqual([0, 10, 11]);
  });

  it('releases a repetition of what is durable at once', () => {
    const { queue, acks, released } = queueOf(1);
    acks[0]!.settle();
    acks[0]!.repeat(queue, 0, () => released.push(1));
    expect(released).toEqual([0, 1]);
  });

  it('can release from within a release', () => {
    const queue = new AckQueue();
    const released: number[] = [];
    const second = { settle: () => {} };
    const first = queue.add(1, 0, () => {
      released.push(1);
      second.settle();
    });
    const ack = queue.add(1, 0, () => released.push(2));
    second.settle = () => ack.settle();
    first.settle();
    expect(released).toEqual([1, 2]);
  });
});
