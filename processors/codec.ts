/**
 * The bytes of a snapshot: numbers come back bit for bit, sorted times cost a few bytes each. There are no field tags:
 * writer and reader of each stage stand side by side, and the version in front of all tells formats apart.
 */
export class StateWriter {
  #buffer = Buffer.allocUnsafe(64 * 1024);
  #view = viewOf(this.#buffer);
  #length = 0;

  /** A safe integer of at least 0, seven bits a byte. */
  uint(value: number): void {
    this.#reserve(8);
    const buffer = this.#buffer;
    let at = this.#length;
    let rest = value;
    for (; rest > 0x7fff_ffff; rest = Math.floor(rest / 0x80)) buffer[at++] = (rest % 0x80) | 0x80;
    // From here on it fits the integers that bit operations know.
    for (; rest > 0x7f; rest >>>= 7) buffer[at++] = (rest & 0x7f) | 0x80;
    buffer[at++] = rest;
    this.#length = at;
  }

  /** A safe integer of at most half of that size: its sign is the last bit. */
  int(value: number): void {
    this.uint(value < 0 ? -2 * value - 1 : 2 * value);
  }

  uint32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
  }

  double(value: number): void {
    this.#reserve(8);
    this.#view.setFloat64(this.#length, value, true);
    this.#length += 8;
  }

  float(value: number): void {
    this.#reserve(4);
    this.#view.setFloat32(this.#length, value, true);
    this.#length += 4;
  }

  doubles(values: readonly number[]): void {
    this.uint(values.length);
    this.#reserve(values.length * 8);
    const view = this.#view;
    let at = this.#length;
    for (let i = 0; i < values.length; i++, at += 8) view.setFloat64(at, values[i]!, true);
    this.#length = at;
  }

  text(value: string): void {
    const bytes = Buffer.byteLength(value);
    this.uint(bytes);
    this.#reserve(bytes);
    this.#length += this.#buffer.write(value, this.#length);
  }

  json(value: unknown): void {
    this.text(JSON.stringify(value));
  }

  bytes(value: Uint8Array): void {
    this.uint(value.length);
    this.raw(value);
  }

  /** Bytes whose number the reader knows. */
  raw(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
  }

  /** What `write` writes, with its length in front: a reader can pass over it. */
  section(write: () => void): void {
    const section = this.openSection();
    write();
    this.closeSection(section);
  }

  openSection(): number {
    this.uint32(0);
    return this.#length;
  }

  closeSection(section: number): void {
    this.#view.setUint32(section - 4, this.#length - section, true);
  }

  /** A section of at most 65,535 bytes with a number of 16 bits in front. */
  openCell(): number {
    return this.openSection();
  }

  closeCell(section: number, index: number): void {
    this.#view.setUint16(section - 4, index, true);
    this.#view.setUint16(section - 2, this.#length - section, true);
  }

  get length(): number {
    return this.#length;
  }

  /** All bytes so far; they are overwritten after a `clear`. */
  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + bytes));
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
    this.#view = viewOf(grown);
  }
}

/** Reads what `StateWriter` wrote, in the same order. Throws RangeError past the end. */
export class StateReader {
  readonly #buffer: Buffer;
  readonly #view: DataView;
  #at = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
    this.#view = viewOf(buffer);
  }

  uint(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.#view.getUint8(this.#at++);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
  }

  int(): number {
    const value = this.uint();
    return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
  }

  uint32(): number {
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4, true);
  }

  double(): number {
    this.#at += 8;
    return this.#view.getFloat64(this.#at - 8, true);
  }

  float(): number {
    this.#at += 4;
    return this.#view.getFloat32(this.#at - 4, true);
  }

  doubles(): number[] {
    const values: number[] = [];
    for (let left = this.uint(); left > 0; left--) values.push(this.double());
    return values;
  }

  text(): string {
    return this.bytes().toString();
  }

  json<T>(): T {
    return JSON.parse(this.text()) as T;
  }

  bytes(): Buffer {
    return this.#take(this.uint());
  }

  /** All that has not been read. */
  rest(): Buffer {
    return this.#take(this.#buffer.length - this.#at);
  }

  /** What `section` wrote. */
  section(): StateReader {
    return new StateReader(this.#take(this.uint32()));
  }

  #take(length: number): Buffer {
    if (this.#at + length > this.#buffer.length) throw new RangeError('the snapshot ends too early');
    this.#at += length;
    return this.#buffer.subarray(this.#at - length, this.#at);
  }
}

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
