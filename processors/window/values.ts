/**
 * Lists of values as bytes, bit for bit. Most sensors tell a few decimals: such values are whole numbers of tenths,
 * hundredths …, and their differences take one or two bytes instead of eight. Others are written as doubles.
 */
import type { StateReader, StateWriter } from '../codec.ts';

const scales = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000] as const;
const asDoubles = scales.length;
/** Beyond it, rounding to whole numbers would not be safe. */
const maxScaled = 2 ** 45;

export function writeValues(to: StateWriter, values: readonly number[]): void {
  to.uint(values.length);
  const decimals = decimalsOf(values);
  to.uint(decimals);
  if (decimals === asDoubles) {
    for (let i = 0; i < values.length; i++) to.double(values[i]!);
    return;
  }
  const scale = scales[decimals]!;
  let before = 0;
  for (let i = 0; i < values.length; i++) {
    const scaled = Math.round(values[i]! * scale);
    to.int(scaled - before);
    before = scaled;
  }
}

export function readValues(from: StateReader): number[] {
  const count = from.uint();
  const decimals = from.uint();
  const values: number[] = [];
  if (decimals === asDoubles) {
    for (let i = 0; i < count; i++) values.push(from.double());
    return values;
  }
  const scale = scales[decimals]!;
  let scaled = 0;
  for (let i = 0; i < count; i++) {
    scaled += from.int();
    values.push(scaled / scale);
  }
  return values;
}

/** How many decimals tell every value exactly, or `asDoubles`. */
function decimalsOf(values: readonly number[]): number {
  let decimals = 0;
  let largest = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    while (!isWhole(value, scales[decimals]!)) if (++decimals === asDoubles) return asDoubles;
    largest = Math.max(largest, Math.abs(value));
  }
  return largest * scales[decimals]! <= maxScaled ? decimals : asDoubles;
}

function isWhole(value: number, scale: number): boolean {
  const scaled = Math.round(value * scale);
  // Minus zero has no whole number; what is not finite differs from itself or its quotient.
  return scaled === 0 ? Object.is(value, 0) : scaled / scale === value;
}
