import { describe, expect, it } from 'vitest';
import { type Rejected, writeNarrowing } from '../../store/influx/narrowing.ts';

/** Refuses a request that holds one of `bad`; keeps what it was sent. */
function refusing(bad: ReadonlySet<string>, rejected: Rejected) {
  const sent: (readonly string[])[] = [];
  const send = async (lines: readonly string[]) => {
    sent.push(lines);
    return lines.some((line) => bad.has(line)) ? rejected : null;
  };
  return { sent, send };
}

const lines = Array.from({ length: 1000 }, (_, i) => `line${i}`);

describe('narrowing a refused batch', () => {
  it('sends one request when nothing is refused', async () => {
    const { sent, send } = refusing(new Set(), { statusCode: 422, message: '' });
    expect(await writeNarrowing(lines, send)).toEqual([]);
    expect(sent).toEqual([lines]);
  });

  it('finds each bad line, and sends every line again in order', async () => {
    const bad = [0, 1, 499, 500, 999];
    const { sent, send } = refusing(new Set(bad.map((i) => `line${i}`)), { statusCode: 400, message: 'missing field' });
    const refused = await writeNarrowing(lines, send);
    expect(refused).toEqual(bad.map((index) => ({ index, reason: 'invalid_point', message: 'missing field' })));
    const settled = sent.filter((part) => part.length === 1 || !part.some((line) => bad.includes(lines.indexOf(line))));
    expect(settled.flat()).toEqual(lines);
  });

  it.each([
    ['field type conflict: input field "v" on measurement "m" is type string', 'type_conflict'],
    ['partial write: dropped 1 points outside retention policy of duration 1h0m0s', 'beyond_retention'],
    ['points beyond retention policy', 'beyond_retention'],
    ['input field "s" on measurement "m" is too long, 1048577 > 1048576', 'too_large'],
    ["unable to parse 'm v=': missing field value", 'invalid_point'],
  ])('reads the reason of "%s"', async (message, reason) => {
    const { send } = refusing(new Set(['a']), { statusCode: 422, message });
    expect(await writeNarrowing(['a'], send)).toEqual([{ index: 0, reason, message }]);
  });

  it('asks no further when the server counts every line', async () => {
    const { sent, send } = refusing(new Set(lines), {
      statusCode: 422,
      message: 'field type conflict: … dropped=1000',
    });
    const refused = await writeNarrowing(lines, send);
    expect(refused).toHaveLength(1000);
    expect(refused[999]).toMatchObject({ index: 999, reason: 'type_conflict' });
    expect(sent).toHaveLength(1);
  });

  it('keeps messages short', async () => {
    const { send } = refusing(new Set(['a']), { statusCode: 400, message: 'x'.repeat(100_000) });
    expect((await writeNarrowing(['a'], send))[0]?.message).toHaveLength(500);
  });

  it('stops at an error that is not the points fault', async () => {
    let requests = 0;
    const send = async (): Promise<Rejected | null> => {
      requests += 1;
      if (requests === 3) throw new Error('gone');
      return { statusCode: 422, message: '' };
    };
    await expect(writeNarrowing(lines, send)).rejects.toThrow('gone');
    expect(requests).toBe(3);
  });
});
