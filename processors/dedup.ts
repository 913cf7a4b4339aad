/**
 * The identities of one device's readings that can still come again, sorted by event time: appending in order costs
 * nothing, and what lies behind the device's horizon is cut off. 14 bytes a reading.
 */
import type { Reading } from '../core/reading.ts';
import type { StateReader, StateWriter } from './codec.ts';

/** At the bound the oldest go, and with them the device's horizon rises: what is no longer covered is late, never counted twice. */
export const maxIdentities = 65_536;
/** `k` tells readings of one time apart and is a part of the stored nanosecond. */
const maxSameTime = 1000;
/** Readings without a time of their own are known by (seq, hash); at the bound the oldest go. */
const maxUntimed = 1024;

export const DUPLICATE = -1;
/** More different readings at one time than a stored time can tell apart. */
export const TIME_FULL = -2;

export class SeenReadings {
  #times = new Float64Array(0);
  #hashes = new Uint32Array(0);
  #ks = new Uint16Array(0);
  #start = 0;
  #end = 0;
  #untimed: Set<number> | null = null;
  /** Readings before it are not covered any more, integer microseconds. */
  horizonUs = Number.NEGATIVE_INFINITY;

  get size(): number {
    return this.#end - this.#start;
  }

  /** Event time of the oldest identity that is kept; `null` when there is none. */
  get oldestUs(): number | null {
    return this.size === 0 ? null : this.#times[this.#start]!;
  }

  /** How many are known by (seq, hash) alone. */
  get untimedSize(): number {
    return this.#untimed?.size ?? 0;
  }

  /** Takes a reading that is not behind the horizon: its `k` (0..999), or DUPLICATE, or TIME_FULL. */
  place(reading: Reading, hash: number): number {
    if (reading.clock === 'device') return this.#placeTimed(reading.timeUs, hash, true);
    if (reading.seq !== null && this.#repeatsUntimed(reading.seq, hash)) return DUPLICATE;
    return this.#placeTimed(reading.timeUs, hash, false);
  }

  /** Forgets everything before `timeUs`. */
  trim(timeUs: number): void {
    if (timeUs <= this.horizonUs) return;
    this.horizonUs = timeUs;
    while (this.#start < this.#end && this.#times[this.#start]! < timeUs) this.#start++;
  }

  #placeTimed(timeUs: number, hash: number, identified: boolean): number {
    if (this.#end === this.#start || timeUs > this.#times[this.#end - 1]!) {
      this.#insert(this.#end, timeUs, hash, 0);
      return 0;
    }
    const first = this.#lowerBound(timeUs);
    let after = first;
    while (after < this.#end && this.#times[after] === timeUs) {
      if (identified && this.#hashes[after] === hash) return DUPLICATE;
      after++;
    }
    if (after - first >= maxSameTime) return TIME_FULL;
    const k = after === first ? 0 : this.#freeK(first, after, hash);
    this.#insert(after, timeUs, hash, k);
    return k;
  }

  #repeatsUntimed(seq: number, hash: number): boolean {
    this.#untimed ??= new Set();
    const identity = (seq % 0x200000) * 0x100000000 + hash;
    if (this.#untimed.has(identity)) return true;
    if (this.#untimed.size >= maxUntimed) this.#untimed.delete(this.#untimed.values().next().value!);
    this.#untimed.add(identity);
    return false;
  }

  #lowerBound(timeUs: number): number {
    let low = this.#start;
    let high = this.#end;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#times[middle]! < timeUs) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #freeK(first: number, after: number, hash: number): number {
    let k = placeOfLate(hash);
    while (this.#ks.subarray(first, after).includes(k)) k = (k % (maxSameTime - 1)) + 1;
    return k;
  }

  #insert(at: number, timeUs: number, hash: number, k: number): void {
    const index = this.#end === this.#times.length ? this.#makeRoom(at) : at;
    if (index < this.#end) {
      this.#times.copyWithin(index + 1, index, this.#end);
      this.#hashes.copyWithin(index + 1, index, this.#end);
      this.#ks.copyWithin(index + 1, index, this.#end);
    }
    this.#times[index] = timeUs;
    this.#hashes[index] = hash;
    this.#ks[index] = k;
    this.#end++;
    if (this.size > maxIdentities) this.trim(this.#times[this.#start]! + 1);
  }

  /** Moves what is kept to the front, into larger arrays unless a quarter of them is free; returns where `at` is now. */
  #makeRoom(at: number): number {
    const { size } = this;
    const start = this.#start;
    const { length } = this.#times;
    const capacity = Math.max(16, size > length * 0.75 ? Math.ceil(length * 1.5) : length);
    if (capacity === length) {
      this.#times.copyWithin(0, start, this.#end);
      this.#hashes.copyWithin(0, start, this.#end);
      this.#ks.copyWithin(0, start, this.#end);
    } else {
      const [times, hashes, ks] = [this.#times, this.#hashes, this.#ks];
      this.#allocate(capacity);
      this.#times.set(times.subarray(start, this.#end));
      this.#hashes.set(hashes.subarray(start, this.#end));
      this.#ks.set(ks.subarray(start, this.#end));
    }
    this.#start = 0;
    this.#end = size;
    return at - start;
  }

  #allocate(capacity: number): void {
    this.#times = new Float64Array(capacity);
    this.#hashes = new Uint32Array(capacity);
    this.#ks = new Uint16Array(capacity);
  }

  save(to: StateWriter): void {
    to.double(this.horizonUs);
    to.uint(this.size);
    let before = 0;
    for (let i = this.#start; i < this.#end; i++) {
      to.uint(this.#times[i]! - before);
      to.uint32(this.#hashes[i]!);
      to.uint(this.#ks[i]!);
      before = this.#times[i]!;
    }
    to.uint(this.#untimed?.size ?? 0);
    for (const identity of this.#untimed ?? []) to.uint(identity);
  }

  load(from: StateReader): void {
    this.horizonUs = from.double();
    const size = from.uint();
    this.#allocate(Math.max(16, size + (size >>> 2)));
    this.#end = size;
    let timeUs = 0;
    for (let i = 0; i < size; i++) {
      timeUs += from.uint();
      this.#times[i] = timeUs;
      this.#hashes[i] = from.uint32();
      this.#ks[i] = from.uint();
    }
    const untimed = from.uint();
    if (untimed > 0) this.#untimed = new Set();
    for (let left = untimed; left > 0; left--) this.#untimed!.add(from.uint());
  }
}

/** The `k` of a reading behind the horizon: never 0, so that it overwrites nothing that came in time. */
export function placeOfLate(hash: number): number {
  return 1 + (hash % (maxSameTime - 1));
}
