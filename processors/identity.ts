/**
 * A hash of what a reading says: its `seq` and its fields, in whatever order they stand. It is only ever compared among
 * readings of one device at one time, so 32 bits leave one false match in four thousand million such pairs.
 */
import type { Reading } from '../core/reading.ts';

const bits = new Float64Array(1);
const words = new Uint32Array(bits.buffer);

/** Unsigned 32-bit. */
export function identityHash(reading: Reading): number {
  const { fields } = reading;
  let sum = reading.seq === null ? 0x51ed270b : ofNumber(reading.seq, 0x2c1b3c6d);
  for (const name in fields) {
    const nameHash = ofText(name, 0x811c9dc5);
    const value = fields[name];
    if (typeof value === 'number') sum = (sum + ofNumber(value, nameHash)) | 0;
    else if (typeof value === 'string') sum = (sum + avalanche(ofText(value, nameHash ^ 0x3c6ef372))) | 0;
    else sum = (sum + avalanche(nameHash ^ (value === true ? 0x1b873593 : 0x38b34ae5))) | 0;
  }
  return avalanche(sum) >>> 0;
}

function ofNumber(value: number, seed: number): number {
  bits[0] = value;
  return avalanche(Math.imul(seed ^ words[0]!, 0xcc9e2d51) ^ words[1]!);
}

/** FNV-1a over UTF-16 units. */
function ofText(text: string, seed: number): number {
  let hash = seed;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}

/** The finaliser of murmur3: every bit of the input changes every bit of the hash. */
function avalanche(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
