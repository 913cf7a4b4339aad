/**
 * Windows at rest, as bytes: all of one device in one buffer, because an object for each of them would weigh more than
 * what is in it. By falling level, and within a level by rising start.
 */
import { type StateReader, StateWriter } from '../codec.ts';
import { minutes } from './levels.ts';
import { endAt, levelAt, nextAt, type State, startAt, stateAt, type Window, windowAt } from './window.ts';

const nothing = Buffer.alloc(0);
const scratch = new StateWriter();
/** Room for the minutes to come: a few of them. */
const slackBytes = 512;

export function writeWindows(to: StateWriter, windows: readonly Window[]): void {
  scratch.clear();
  for (const window of windows) window.save(scratch);
  to.bytes(scratch.finish());
}

export function readWindows(from: StateReader): Window[] {
  // A copy: what it is a part of is much larger, and must not stay for it.
  const bytes = Buffer.from(from.bytes());
  const windows: Window[] = [];
  for (let at = 0; at < bytes.length; at = nextAt(bytes, at)) windows.push(windowAt(bytes, at));
  return windows;
}

export class FrozenWindows {
  /** The first `#length` of them count. */
  #bytes: Buffer = nothing;
  #length = 0;
  /** How many are not final: seldom more than the hour and the day. */
  #unfinished = 0;
  /** No minute starts after it: the next one goes to the end without a search. */
  #newestMinute = -1;

  /** Puts a window in that is not there. */
  put(window: Window): void {
    const at = this.#placeOf(window);
    scratch.clear();
    window.save(scratch);
    this.#splice(at, at, scratch.finish());
    if (window.state !== 'final') this.#unfinished++;
    if (window.level === minutes) this.#newestMinute = Math.max(this.#newestMinute, window.start);
  }

  #placeOf({ level, start }: Window): number {
    if (level === minutes && start > this.#newestMinute) return this.#length;
    const bytes = this.#bytes;
    let at = 0;
    while (at < this.#length) {
      const found = levelAt(bytes, at);
      if (found < level || (found === level && startAt(bytes, at) > start)) break;
      at = nextAt(bytes, at);
    }
    return at;
  }

  /** Takes a window out. */
  take(level: number, start: number): Window | null {
    const at = this.#find(level, start);
    if (at < 0) return null;
    const next = nextAt(this.#bytes, at);
    // A copy: these bytes are about to be others.
    const window = windowAt(Buffer.from(this.#bytes.subarray(at, next)), 0);
    this.#splice(at, next, nothing);
    if (window.state !== 'final') this.#unfinished--;
    return window;
  }

  /** Takes out what ended by then. */
  takeEnded(level: number, until: number): Window[] {
    const starts: number[] = [];
    for (let at = 0; at < this.#length; at = nextAt(this.#bytes, at)) {
      if (levelAt(this.#bytes, at) === level && endAt(this.#bytes, at) <= until) starts.push(startAt(this.#bytes, at));
    }
    return starts.map((start) => this.take(level, start)!);
  }

  /** The windows from one minute to another: to be read only, and only until the next one is put in or taken out. */
  within(level: number, from: number, until: number): Window[] {
    const windows: Window[] = [];
    const bytes = this.#bytes;
    for (let at = 0; at < this.#length; at = nextAt(bytes, at)) {
      if (levelAt(bytes, at) !== level || startAt(bytes, at) < from || endAt(bytes, at) > until) continue;
      windows.push(windowAt(bytes, at));
    }
    return windows;
  }

  stateOf(level: number, start: number): State | null {
    const at = this.#find(level, start);
    return at < 0 ? null : stateAt(this.#bytes, at);
  }

  /** Calls back for each window. */
  scan(visit: (level: number, start: number, end: number, state: State) => void): void {
    const bytes = this.#bytes;
    for (let at = 0; at < this.#length; at = nextAt(bytes, at)) {
      visit(levelAt(bytes, at), startAt(bytes, at), endAt(bytes, at), stateAt(bytes, at));
    }
  }

  /** Calls back for each window that is not final. */
  scanUnfinished(visit: (level: number, start: number, end: number, state: State) => void): void {
    const bytes = this.#bytes;
    let left = this.#unfinished;
    for (let at = 0; left > 0 && at < this.#length; at = nextAt(bytes, at)) {
      const state = stateAt(bytes, at);
      if (state === 'final') continue;
      visit(levelAt(bytes, at), startAt(bytes, at), endAt(bytes, at), state);
      left--;
    }
  }

  /** End of the oldest minute, `null` when there is none. */
  oldestMinuteEnd(): number | null {
    const bytes = this.#bytes;
    for (let at = 0; at < this.#length; at = nextAt(bytes, at)) {
      if (levelAt(bytes, at) === minutes) return endAt(bytes, at);
    }
    return null;
  }

  #find(level: number, start: number): number {
    const bytes = this.#bytes;
    for (let at = 0; at < this.#length; at = nextAt(bytes, at)) {
      if (levelAt(bytes, at) === level && startAt(bytes, at) === start) return at;
    }
    return -1;
  }

  /** Other bytes in place of some. A new buffer only when they do not fit, or when half of it would be free. */
  #splice(from: number, to: number, put: Buffer): void {
    const before = this.#bytes;
    const length = this.#length - (to - from) + put.length;
    const isSized = length <= before.length && length * 2 + slackBytes > before.length;
    // Not from the pool that Node.js cuts small buffers from: a part of it would keep all of it.
    const after = isSized ? before : Buffer.allocUnsafeSlow(length + slackBytes);
    before.copy(after, from + put.length, to, this.#length);
    if (!isSized) before.copy(after, 0, 0, from);
    put.copy(after, from);
    this.#bytes = after;
    this.#length = length;
  }

  save(to: StateWriter): void {
    to.bytes(this.#bytes.subarray(0, this.#length));
  }

  load(from: StateReader): void {
    this.#splice(0, this.#length, from.bytes());
    this.#unfinished = 0;
    this.#newestMinute = -1;
    this.scan((level, start, _, state) => {
      if (state !== 'final') this.#unfinished++;
      if (level === minutes) this.#newestMinute = Math.max(this.#newestMinute, start);
    });
  }
}
