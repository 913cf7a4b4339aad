/** `state_1m`: the rules of docs/processing.md, "States", one by one. */
import { describe, expect, test } from 'vitest';
import type { Point } from '../../store/port.ts';
import { PointValidator } from '../../store/validity.ts';
import { startMs } from './records.ts';
import { Driver, states, type Told } from './windower-driver.ts';

const short = ({ at, field, state, fields: { durationMs, entries, revision, final } }: Told) =>
  `${at} ${field}=${state} ${durationMs}ms ×${entries} r${revision} ${final ? 'final' : 'provisional'}`;

function told(driver: Driver): string[] {
  return driver.told().map(short);
}

describe('a state', () => {
  test('lasts from its reading to the next of its field, to the end of the minute at the latest', () => {
    const driver = new Driver(states);
    driver.read(10, { door: true, mode: 'eco' });
    driver.read(25, { door: false, temperature: 20 });
    driver.read(31.5, { door: true });
    driver.read(40, { door: true });
    driver.read(65, { temperature: 20 });
    expect(told(driver)).toEqual([
      '0 door=true 43500ms ×2 r0 final',
      '0 door=false 6500ms ×1 r0 final',
      '0 mode=eco 50000ms ×1 r0 final',
    ]);
  });

  test('goes on into the next minute up to its first reading, and is no entry there', () => {
    const driver = new Driver(states);
    driver.read(50, { door: true });
    driver.read(70, { door: false });
    driver.read(90, { door: true });
    driver.finish();
    expect(told(driver)).toEqual([
      '0 door=true 10000ms ×1 r0 final',
      '60 door=true 40000ms ×1 r0 final',
      '60 door=false 20000ms ×1 r0 final',
    ]);
  });

  test('the same state again is no entry, also over the end of a minute', () => {
    const driver = new Driver(states);
    driver.read(50, { door: true });
    driver.read(70, { door: true });
    driver.finish();
    expect(told(driver)[1]).toBe('60 door=true 60000ms ×0 r0 final');
  });

  test('does not go on over a minute without a reading of the field, which has no point', () => {
    const driver = new Driver(states);
    driver.read(50, { door: true });
    driver.read(70, { other: true });
    driver.read(140, { door: true });
    driver.finish();
    expect(told(driver)).toEqual([
      '0 door=true 10000ms ×1 r0 final',
      '60 other=true 50000ms ×1 r0 final',
      '120 door=true 40000ms ×1 r0 final',
    ]);
  });

  test('that was over when the minute began has no point in it', () => {
    const driver = new Driver(states);
    driver.read(50, { door: true });
    driver.read(60, { door: false });
    driver.finish();
    expect(told(driver)).toEqual(['0 door=true 10000ms ×1 r0 final', '60 door=false 60000ms ×1 r0 final']);
  });

  test('of two readings at one time the first lasts no time, and was entered', () => {
    const driver = new Driver(states);
    driver.read(30, { mode: 'a' });
    driver.read(30, { mode: 'b' });
    driver.finish();
    expect(told(driver)).toEqual(['0 mode=a 0ms ×1 r0 final', '0 mode=b 30000ms ×1 r0 final']);
  });

  test('a number of the same field is no state', () => {
    const driver = new Driver(states);
    driver.read(10, { mode: 'a' });
    driver.read(20, { mode: 5 });
    driver.finish();
    expect(told(driver)).toEqual(['0 mode=a 50000ms ×1 r0 final']);
  });

  test('is carried over from a minute that is settled, as long as nothing was read of the field since', () => {
    const driver = new Driver(states, { lateness: 0 });
    driver.read(50, { door: true });
    driver.read(66, { mode: 'x' });
    driver.read(70, { door: false });
    driver.finish();
    expect(told(driver).filter((line) => line.includes('60 door'))).toEqual([
      '60 door=true 10000ms ×0 r0 final',
      '60 door=false 50000ms ×1 r0 final',
    ]);
  });
});

describe('a minute', () => {
  test('closes by silence provisionally, opens again, and closes with all its states', () => {
    const driver = new Driver(states);
    driver.read(10, { door: true, mode: 'a' });
    driver.silence(60);
    driver.silence(61);
    expect(told(driver)).toEqual(['0 door=true 50000ms ×1 r0 provisional', '0 mode=a 50000ms ×1 r0 provisional']);
    driver.read(40, { door: false });
    driver.silence(62);
    expect(told(driver)).toEqual([
      '0 door=true 30000ms ×1 r1 provisional',
      '0 door=false 20000ms ×1 r0 provisional',
      '0 mode=a 50000ms ×1 r1 provisional',
    ]);
    driver.read(65, { door: true });
    expect(told(driver)).toHaveLength(3);
  });

  test('a correction writes the states that it changed, and those of the next minute when that began with it', () => {
    const driver = new Driver(states);
    driver.read(10, { mode: 'a' });
    driver.read(20, { mode: 'b' });
    driver.read(80, { mode: 'c' });
    driver.read(150, { mode: 'c' });
    expect(told(driver)).toHaveLength(4);
    // Between a and b: b does not change.
    driver.read(15, { mode: 'x' });
    expect(told(driver)).toEqual(['0 mode=a 5000ms ×1 r1 final', '0 mode=x 5000ms ×1 r0 final']);
    // The last one of the minute: it, and not b, goes on into the next.
    driver.read(50, { mode: 'y' });
    expect(told(driver)).toEqual([
      '0 mode=b 30000ms ×1 r1 final',
      '0 mode=y 10000ms ×1 r0 final',
      '60 mode=y 20000ms ×0 r0 final',
      '60 mode=b 0ms ×0 r1 final',
    ]);
    // A reading that changes nothing.
    driver.read(51, { mode: 'y' });
    expect(told(driver)).toEqual([]);
  });

  test('a provisional next minute that began in another state is opened again', () => {
    const driver = new Driver(states);
    driver.read(58, { door: true });
    driver.read(62, { door: true });
    driver.silence(120);
    expect(told(driver)).toHaveLength(2);
    driver.read(59, { door: false });
    driver.silence(121);
    expect(told(driver)).toEqual([
      '0 door=true 1000ms ×1 r1 provisional',
      '0 door=false 1000ms ×1 r0 provisional',
      '60 door=false 2000ms ×0 r0 provisional',
      '60 door=true 58000ms ×1 r1 provisional',
    ]);
  });
});

describe('the text of a state', () => {
  const stateOf = (text: string) => {
    const driver = new Driver(states);
    driver.read(0, { mode: text });
    driver.finish();
    return driver.told()[0]!.state;
  };

  test('is at most 64 bytes long, never ends within a character, and is never empty', () => {
    expect(stateOf('x'.repeat(64))).toBe('x'.repeat(64));
    expect(stateOf('x'.repeat(65))).toBe('x'.repeat(64));
    expect(stateOf('ö'.repeat(40))).toBe('ö'.repeat(32));
    expect(stateOf(`${'x'.repeat(62)}😀`)).toBe('x'.repeat(62));
    expect(stateOf('')).toBe('(empty)');
  });

  test('has nothing in it that line protocol cannot express', () => {
    expect(stateOf('a\nb\\c\ud800')).toBe('a\ufffdb\ufffdc\ufffd');
    const points: Point[] = [];
    const windower = states.make('lab', 's1', (point) => points.push(point));
    const texts = [
      '',
      ' ',
      'a b',
      'a,b=c',
      '"',
      "'",
      '\\',
      'a\\,',
      '\0',
      '\x7f',
      '\x85',
      '\u2028',
      '\udc00x',
      '😀'.repeat(20),
      '#',
    ];
    texts.forEach((mode, i) => {
      const timeUs = startMs * 1000 + i * 60e6;
      const reading = { site: 'lab', device: 's1', timeUs, seq: null, fields: { mode }, receivedAtMs: startMs };
      windower.add({ ...reading, clock: 'device' }, 0);
    });
    windower.finalise();
    expect(points).toHaveLength(texts.length);
    const validator = new PointValidator();
    expect(points.map((point) => validator.fault(point))).toEqual(points.map(() => null));
  });
});

test('the seventeenth state of a minute and all further ones are counted as one', () => {
  const driver = new Driver(states);
  driver.read(-1, { mode: 'before' });
  for (let i = 0; i < 20; i++) driver.read(1 + i, { mode: `s${i}` });
  driver.finish();
  const minute = driver.told().filter(({ at }) => at === 0);
  expect(minute.map(({ state }) => state)).toEqual([
    'before',
    ...Array.from({ length: 15 }, (_, i) => `s${i}`),
    '(other)',
  ]);
  expect(minute.at(-1)!.fields).toMatchObject({ durationMs: 44_000, entries: 5 });
});

test('a device without booleans and strings has no state to keep', () => {
  const driver = new Driver(states);
  const empty = driver.save().length;
  for (let at = 0; at < 1000; at++) driver.read(at, { temperature: at });
  expect(driver.save().length).toBe(empty);
});

test('minutes go once the one after them is settled', () => {
  const driver = new Driver(states, { lateness: 60 });
  for (let at = 0; at < 300; at++) driver.read(at, { mode: `m${at % 3}` });
  const early = driver.save().length;
  for (let at = 300; at < 3000; at++) driver.read(at, { mode: `m${at % 3}` });
  expect(driver.save().length).toBeLessThan(early * 1.2);
});
