/**
 * Windows at rest, as bytes: all of one device in one buffer, because an object for each of them would weigh more than
 * what is in it. By falling level, and within a level by rising start.
 */
import { type StateReader, StateWriter } from '../codec.ts';
import { headBytes, readHead, type State, Window, type WindowHead } from './window.ts';

const nothing = Buffer.alloc(0);
const scratch = new StateWriter();

export function writeWindows(to: StateWriter, windows: readonly Window[]): void {
  scratch.clear();
  for (const window of windows) window.save(scratch);
  to.bytes(scratch.finish());
}

export function readWindows(from: StateReader): Window[] {
  // A copy: what it is a part of is much larger, and must not stay for it.
  const bytes = Buffer.from(from.bytes());
  const windows: Window[] = [];
  for (let at = 0; at < bytes.length; ) {
    const head = readHead(bytes, at);
    windows.push(new Window(head, bytes.subarray(at + headBytes, head.next)));
    at = head.next;
  }
  return windows;
}

export class FrozenWindows {
  #bytes: Buffer = nothing;

  /** Puts a window in that is not there. */
  put(window: Window): void {
    let at = 0;
    while (at < this.#bytes.length) {
      const { level, start, next } = readHead(this.#bytes, at);
      if (level < window.level || (level === window.level && start > window.start)) break;
      at = next;
    }
    scratch.clear();
    window.save(scratch);
    this.#splice(at, at, scratch.finish());
  }

  /** Takes a window out. */
  take(level: number, start: number): Window | null {
    for (let at = 0; at < this.#bytes.length; ) {
      const head = readHead(this.#bytes, at);
      if (head.level === level && head.start === start) {
        const window = this.#window(head, at);
        this.#splice(at, head.next, nothing);
        return window;
      }
      at = head.next;
    }
    return null;
  }

  /** Takes out what ended by then. */
  takeEnded(level: number, until: number): Window[] {
    const windows: Window[] = [];
    let [from, to] = [0, 0];
    for (let at = 0; at < this.#bytes.length; ) {
      const head = readHead(this.#bytes, at);
      if (head.level === level && head.end <= until) {
        if (windows.length === 0) from = at;
        windows.push(this.#window(head, at));
        to = head.next;
      }
      at = head.next;
    }
    if (windows.length > 0) this.#splice(from, to, nothing);
    return windows;
  }

  /** The windows from one minute to another, to be read only. */
  within(level: number, from: number, until: number): Window[] {
    const windows: Window[] = [];
    for (let at = 0; at < this.#bytes.length; ) {
      const head = readHead(this.#bytes, at);
      if (head.level === level && head.start >= from && head.end <= until) windows.push(this.#window(head, at));
      at = head.next;
    }
    return windows;
  }

  stateOf(level: number, start: number): State | null {
    for (let at = 0; at < this.#bytes.length; ) {
      const head = readHead(this.#bytes, at);
      if (head.level === level && head.start === start) return head.state;
      at = head.next;
    }
    return null;
  }

  heads(): WindowHead[] {
    const heads: WindowHead[] = [];
    for (let at = 0; at < this.#bytes.length; ) {
      const head = readHead(this.#bytes, at);
      heads.push(head);
      at = head.next;
    }
    return heads;
  }

  /** The cells stay where they are: what is put in or taken out later makes new bytes. */
  #window(head: WindowHead & { readonly next: number }, at: number): Window {
    return new Window(head, this.#bytes.subarray(at + headBytes, head.next));
  }

  #splice(from: number, to: number, bytes: Buffer): void {
    const before = this.#bytes;
    // Not from the pool that Node.js cuts small buffers from: a part of it would keep all of it.
    const after = Buffer.allocUnsafeSlow(before.length - (to - from) + bytes.length);
    before.copy(after, 0, 0, from);
    bytes.copy(after, from);
    before.copy(after, from + bytes.length, to);
    this.#bytes = after;
  }

  save(to: StateWriter): void {
    to.bytes(this.#bytes);
  }

  load(from: StateReader): void {
    const bytes = from.bytes();
    this.#bytes = Buffer.allocUnsafeSlow(bytes.length);
    bytes.copy(this.#bytes);
  }
}
