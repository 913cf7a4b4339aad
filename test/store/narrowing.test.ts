import { describe, expect, it } from 'vitest';
import type { FieldValue } from '../../core/reading.ts';
import { Narrowing, type Rejected, type Send } from '../../store/influx/narrowing.ts';
import { Suspicion } from '../../store/influx/suspicion.ts';
import type { Point } from '../../store/port.ts';
import { ManualClock } from '../support/manual-clock.ts';

const clock = new ManualClock();
const series = { bucket: 'raw', measurement: 'm', tags: {} } as const;

function pointOf(index: number, fields: Record<string, FieldValue> = { v: index }): Point {
  return { series, fields, timeUs: (clock.nowMs() + index) * 1000, k: 0 };
}

const points = Array.from({ length: 1000 }, (_, i) => pointOf(i));

function withBad(bad: (index: number) => boolean, fields: Record<string, FieldValue> = { v: 'text' }): Point[] {
  return points.map((point, i) => (bad(i) ? pointOf(i, fields) : point));
}

/** Takes what `answer` says `null` to, and keeps what it was sent. */
function serverOf(answer: (sent: readonly Point[]) => Rejected | null) {
  const requests: (readonly Point[])[] = [];
  const send: Send = async (sent) => {
    requests.push(sent);
    return answer(sent);
  };
  return { requests, narrowing: new Narrowing(send, new Suspicion(clock)) };
}

/** Answers as InfluxDB does where all fields are numbers: it names the first conflict and counts them all. */
function typedServer() {
  return serverOf((sent) => {
    const conflicts = sent.flatMap(({ fields }) => {
      const [name, value] = Object.entries(fields).find(([, given]) => typeof given !== 'number') ?? [];
      return name === undefined ? [] : [`input field "${name}" on measurement "m" is type ${typeof value}`];
    });
    if (conflicts.length === 0) return null;
    const message = `partial write: field type conflict: ${conflicts[0]}, already exists as type float dropped=${conflicts.length}`;
    return { statusCode: 422, message };
  });
}

/** Refuses a request that has one of `bad` in it, without a word of which. */
function silentServer(bad: ReadonlySet<Point>, rejected: Rejected = { statusCode: 400, message: 'missing field' }) {
  return serverOf((sent) => (sent.some((point) => bad.has(point)) ? rejected : null));
}

describe('narrowing a refused batch', () => {
  it('sends one request when nothing is refused', async () => {
    const { requests, narrowing } = silentServer(new Set());
    expect(await narrowing.write(points)).toEqual([]);
    expect(requests).toEqual([points]);
  });

  it('finds each bad point by halving when the server does not name it, and sends every point again in order', async () => {
    const bad = [0, 1, 499, 500, 999];
    const isBad = new Set(bad.map((i) => points[i]!));
    const { requests, narrowing } = silentServer(isBad);
    const refused = await narrowing.write(points);
    expect(refused).toEqual(bad.map((index) => ({ index, reason: 'invalid_point', message: 'missing field' })));
    const settled = requests.filter((sent) => sent.length === 1 || !sent.some((point) => isBad.has(point)));
    expect(settled.flat()).toEqual(points);
  });

  it.each([
    ['field type conflict: input field "v" on measurement "m" is type string', 'type_conflict'],
    ['partial write: dropped 1 points outside retention policy of duration 1h0m0s', 'beyond_retention'],
    ['points beyond retention policy', 'beyond_retention'],
    ['input field "s" on measurement "m" is too long, 1048577 > 1048576', 'too_large'],
    ["unable to parse 'm v=': missing field value", 'invalid_point'],
  ])('reads the reason of "%s"', async (message, reason) => {
    const { narrowing } = silentServer(new Set(points), { statusCode: 422, message });
    expect(await narrowing.write([points[0]!])).toEqual([{ index: 0, reason, message }]);
  });

  it('asks no further when the server counts every point', async () => {
    const rejected: Rejected = { statusCode: 422, message: 'field type conflict: … dropped=1000' };
    const { requests, narrowing } = silentServer(new Set(points), rejected);
    const refused = await narrowing.write(points);
    expect(refused).toHaveLength(1000);
    expect(refused[999]).toMatchObject({ index: 999, reason: 'type_conflict' });
    expect(requests).toHaveLength(1);
  });

  it('keeps messages short', async () => {
    const { narrowing } = silentServer(new Set(points), { statusCode: 400, message: 'x'.repeat(100_000) });
    expect((await narrowing.write([points[0]!]))[0]?.message).toHaveLength(500);
  });

  it('stops at an error that is not the points’ fault', async () => {
    let requests = 0;
    const send: Send = async () => {
      requests += 1;
      if (requests === 3) throw new Error('gone');
      return { statusCode: 422, message: '' };
    };
    await expect(new Narrowing(send, new Suspicion(clock)).write(points)).rejects.toThrow('gone');
    expect(requests).toBe(3);
  });
});

describe('narrowing what the server names', () => {
  const everyFifth = (i: number) => i % 5 === 2;

  it('finds two hundred points of a wrong type among a thousand with a few requests, then with two', async () => {
    const { requests, narrowing } = typedServer();
    const batch = withBad(everyFifth);
    const refused = await narrowing.write(batch);
    expect(refused.map(({ index }) => index)).toEqual(points.map((_, i) => i).filter(everyFifth));
    expect(new Set(refused.map(({ reason }) => reason))).toEqual(new Set(['type_conflict']));
    expect(requests.length).toBeLessThanOrEqual(5);

    requests.length = 0;
    expect(await narrowing.write(batch)).toEqual(refused);
    expect(requests.map(({ length }) => length)).toEqual([800, 200]);
  });

  it('says of each point what is wrong with it, not with the first one', async () => {
    const { narrowing } = typedServer();
    await narrowing.write([points[0]!, pointOf(1, { v: 'text' }), pointOf(2, { w: true })]);
    const batch = [points[0]!, pointOf(3, { v: 'text' }), pointOf(4, { w: true, v: 1 })];
    expect((await narrowing.write(batch)).map(({ message }) => message)).toEqual([
      'field type conflict: input field "v" on measurement "m" is type string, already exists as type float',
      'field type conflict: input field "w" on measurement "m" is type boolean, already exists as type float',
    ]);
  });

  it('takes no more than a few requests for each of many kinds, and two when they are known', async () => {
    const { requests, narrowing } = typedServer();
    const batch = points.map((point, i) => (i % 2 === 0 ? point : pointOf(i, { [`f${i}`]: 'text' })));
    expect(await narrowing.write(batch)).toHaveLength(500);
    expect(requests.length).toBeLessThan(2000);
    // Each half is sent again, not everything for each kind.
    expect(requests.flat().length).toBeLessThan(20_000);
    requests.length = 0;
    expect(await narrowing.write(batch)).toHaveLength(500);
    expect(requests).toHaveLength(2);
  });

  it('lets the server decide: what it takes after all is not refused', async () => {
    const message =
      'field type conflict: input field "v" on measurement "m" is type string, already exists as type float dropped=1';
    let isRefusing = true;
    const { requests, narrowing } = serverOf(() => (isRefusing ? { statusCode: 422, message } : null));
    expect(await narrowing.write([pointOf(0, { v: 'text' })])).toHaveLength(1);
    isRefusing = false;
    expect(await narrowing.write(withBad(everyFifth))).toEqual([]);
    expect(requests.map(({ length }) => length)).toEqual([1, 800, 200]);
  });

  it('learns how old is too old', async () => {
    const oldestUs = clock.nowMs() * 1000 - 3_600_000_000;
    const { requests, narrowing } = serverOf((sent) => {
      const old = sent.filter(({ timeUs }) => timeUs < oldestUs).length;
      return old === 0 ? null : { statusCode: 422, message: `points beyond retention policy dropped=${old}` };
    });
    const batch = points.map((point, i) => (everyFifth(i) ? { ...point, timeUs: oldestUs - 1000 - i } : point));
    const indexes = points.map((_, i) => i).filter(everyFifth);
    expect((await narrowing.write(batch)).map(({ index }) => index)).toEqual(indexes);
    requests.length = 0;
    expect((await narrowing.write(batch)).map(({ index }) => index)).toEqual(indexes);
    expect(requests).toHaveLength(2);
  });
});
