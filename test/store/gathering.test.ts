import { describe, expect, it } from 'vitest';
import { Gathering, maxPointsTogether, type WritePoints } from '../../store/influx/gathering.ts';
import type { Point } from '../../store/port.ts';

const series = { bucket: 'raw', measurement: 'm', tags: {} } as const;
const points = (count: number, value = 1): Point[] =>
  Array.from({ length: count }, (_, i) => ({ series, fields: { v: value }, timeUs: i, k: 0 }));

/** A server that takes its time, refuses bad points and keeps what it was sent. */
function server() {
  const requests: (readonly Point[])[] = [];
  const write: WritePoints = async (sent) => {
    requests.push(sent);
    await Promise.resolve();
    return sent.flatMap(({ fields }, index) =>
      fields.v === -1 ? [{ index, reason: 'type_conflict' as const, message: 'bad' }] : [],
    );
  };
  return { requests, gathering: new Gathering(write) };
}

describe('writes that come in one turn', () => {
  it('leave in one request, in their order', async () => {
    const { requests, gathering } = server();
    const [first, second] = [points(3), points(2)];
    expect(await Promise.all([gathering.write(first), gathering.write(second)])).toEqual([[], []]);
    expect(requests).toEqual([[...first, ...second]]);
    await gathering.write(first);
    expect(requests).toHaveLength(2);
  });

  it('leave in as few requests as the bound allows', async () => {
    const { requests, gathering } = server();
    const sizes = [maxPointsTogether - 1, 1, 1, maxPointsTogether + 1, 2];
    await Promise.all(sizes.map((size) => gathering.write(points(size))));
    expect(requests.map(({ length }) => length)).toEqual([maxPointsTogether, 1, maxPointsTogether + 1, 2]);
  });

  it('have each its own refusals', async () => {
    const { requests, gathering } = server();
    const writes = [points(2), [...points(3), ...points(1, -1)], points(4), points(1, -1)];
    const refused = await Promise.all(writes.map((write) => gathering.write(write)));
    expect(refused.map((items) => items.map(({ index }) => index))).toEqual([[], [3], [], [0]]);
    expect(requests).toHaveLength(1);
  });

  it('fail together when the server cannot be reached, and the next is tried again', async () => {
    let reachable = false;
    const gathering = new Gathering(async () => {
      if (!reachable) throw new Error('gone');
      return [];
    });
    const results = await Promise.allSettled([gathering.write(points(1)), gathering.write(points(1))]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    reachable = true;
    expect(await gathering.write(points(1))).toEqual([]);
  });
});
