/**
 * Duplicates of one device. The identity of a reading is its time, its `seq` and a hash of its fields; it is remembered
 * for as long as the reading can still be counted, in arrays sorted by time: readings that come in order cost nothing.
 */
import type { Fields } from '../core/reading.ts';

/** At most so many identities per device: then the oldest go, and what they covered is late from then on. */
const maxIdentities = 65_536;
const firstCapacity = 16;
const maxK = 999;

export interface SeenState {
  readonly times: Float64Array;
  readonly identities: Float64Array;
  readonly ks: Uint16Array;
  readonly horizonUs: number;
}

export class SeenReadings {
  /** Ring-free: live entries are [#start, #end). */
  #times = new Float64Array(firstCapacity);
  #identities = new Float64Array(firstCapacity);
  #ks = new Uint16Array(firstCapacity);
  #start = 0;
  #end = 0;
  /** Readings before this time are no longer covered. */
  horizonUs = Number.NEGATIVE_INFINITY;

  /**
   * Remembers a reading. Returns the `k` that tells it from others at its time (0 for the first one), or -1 when it is
   * a duplicate. The caller has checked that `timeUs` is not before the horizon.
   */
  add(timeUs: number, identity: number): number {
    const inOrder = this.#end === this.#start || timeUs > this.#times[this.#end - 1]!;
    const at = inOrder ? this.#end : this.#after(timeUs);
    const k = inOrder ? 0 : this.#judge(at, timeUs, identity);
    if (k >= 0) this.#insert(at, timeUs, identity, k);
    return k;
  }

  /** Forgets what lies before `horizonUs`. */
  trim(horizonUs: number): void {
    if (horizonUs <= this.horizonUs) return;
    this.horizonUs = horizonUs;
    while (this.#start < this.#end && this.#times[this.#start]! < horizonUs) this.#start++;
  }

  state(): SeenState {
    return {
      times: this.#times.slice(this.#start, this.#end),
      identities: this.#identities.slice(this.#start, this.#end),
      ks: this.#ks.slice(this.#start, this.#end),
      horizonUs: this.horizonUs,
    };
  }

  restore(state: SeenState): void {
    this.#start = 0;
    this.#end = state.times.length;
    this.#times = Float64Array.from(state.times);
    this.#identities = Float64Array.from(state.identities);
    this.#ks = Uint16Array.from(state.ks);
    this.horizonUs = state.horizonUs;
  }

  /** Index after the last entry whose time is not later. */
  #after(timeUs: number): number {
    let low = this.#start;
    let high = this.#end;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#times[middle]! <= timeUs) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** -1 when the identity is there already, else a `k` that is free at this time. */
  #judge(after: number, timeUs: number, identity: number): number {
    const taken: number[] = [];
    for (let i = after - 1; i >= this.#start && this.#times[i] === timeUs; i--) {
      if (this.#identities[i] === identity) return -1;
      taken.push(this.#ks[i]!);
    }
    if (taken.length === 0) return 0;
    let k = 1 + (identity % maxK);
    for (let tries = 0; taken.includes(k) && tries < maxK; tries++) k = 1 + (k % maxK);
    return k;
  }

  #insert(at: number, timeUs: number, identity: number, k: number): void {
    let index = at;
    if (this.#end === this.#times.length) {
      index -= this.#start;
      this.#makeRoom();
    }
    if (index < this.#end) {
      this.#times.copyWithin(index + 1, index, this.#end);
      this.#identities.copyWithin(index + 1, index, this.#end);
      this.#ks.copyWithin(index + 1, index, this.#end);
    }
    this.#times[index] = timeUs;
    this.#identities[index] = identity;
    this.#ks[index] = k;
    this.#end++;
    if (this.#end - this.#start > maxIdentities) this.trim(this.#times[this.#start + maxIdentities / 16]!);
  }

  /** Moves the live entries to the front, of larger arrays where more than half of the room is in use. */
  #makeRoom(): void {
    const live = this.#end - this.#start;
    const capacity = live * 2 > this.#times.length ? this.#times.length * 2 : this.#times.length;
    const { times, identities, ks } = this.state();
    this.#times = new Float64Array(capacity);
    this.#times.set(times);
    this.#identities = new Float64Array(capacity);
    this.#identities.set(identities);
    this.#ks = new Uint16Array(capacity);
    this.#ks.set(ks);
    this.#start = 0;
    this.#end = live;
  }
}

const numberView = new Float64Array(1);
const bitsView = new Uint32Array(numberView.buffer);
const textHashes = new Map<string, number>();

/**
 * A hash (53 bits) of `seq` and the fields, the same in whatever order the fields come: each field is hashed by itself
 * and the hashes are added.
 */
export function identityOf(seq: number | null, fields: Fields): number {
  let low = seq === null ? 0x9e3779b9 : mixNumber(seq, 0x51ed270b);
  let high = seq === null ? 0 : mixNumber(seq, 0x2545f491);
  for (const name in fields) {
    const value = fields[name]!;
    const nameHash = hashOfText(name);
    if (typeof value === 'number') {
      low = (low + mixNumber(value, nameHash)) | 0;
      high = (high + mixNumber(value, nameHash ^ 0x6c62272e)) | 0;
    } else {
      const valueHash = typeof value === 'string' ? fnv(value) : value ? 3 : 2;
      low = (low + mix(nameHash ^ Math.imul(valueHash, 0x85ebca6b))) | 0;
      high = (high + mix((nameHash + 0x6c62272e) ^ Math.imul(valueHash, 0xc2b2ae35))) | 0;
    }
  }
  return (mix(high) >>> 11) * 0x1_0000_0000 + (mix(low) >>> 0);
}

function mixNumber(value: number, seed: number): number {
  // -0 and 0 are one value to every store and to JSON.
  numberView[0] = value === 0 ? 0 : value;
  return mix(seed ^ Math.imul(bitsView[0]!, 0xcc9e2d51) ^ mix(bitsView[1]! ^ seed));
}

/** The finalizer of murmur3: every bit of the input reaches every bit of the output. */
function mix(bits: number): number {
  let h = bits;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function hashOfText(name: string): number {
  let hash = textHashes.get(name);
  if (hash === undefined) {
    hash = fnv(name);
    if (textHashes.size < 10_000) textHashes.set(name, hash);
  }
  return hash;
}

function fnv(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}
