/** What a window tells: what it took over from parts that are settled, and then its other parts in the order of their start. */
import { Fold } from './fold.ts';
import type { Window } from './window.ts';

export class Whole {
  readonly #window: Window;
  readonly #parts: readonly Whole[];

  constructor(window: Window, parts: readonly Whole[]) {
    this.#window = window;
    this.#parts = parts;
  }

  /** Indexes of fields below it may have something to tell. */
  get width(): number {
    return this.#parts.reduce((width, part) => Math.max(width, part.width), this.#window.width);
  }

  has(index: number): boolean {
    return this.#window.has(index) || this.#parts.some((part) => part.has(index));
  }

  /** Of a field that it has. To be read only. */
  fold(index: number): Fold {
    if (this.#parts.length === 0) return this.#window.fold(index);
    const fold = new Fold();
    if (this.#window.has(index)) fold.merge(this.#window.fold(index));
    for (const part of this.#parts) if (part.has(index)) fold.merge(part.fold(index));
    return fold;
  }
}
