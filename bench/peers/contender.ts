/** What is compared: a chain of server processes that takes readings over MQTT and stores them. */
import type { Store } from '../../store/port.ts';

export interface Contender {
  /** The chain in words, in the order of the flow. */
  readonly chain: string;
  readonly mqttPort: number;
  /** Where its readings end, to be asked by the benchmark. */
  readonly store: Store;
  /** Its processes now, by name. */
  pids(): Readonly<Record<string, number>>;
  /** Of these, those that `loss.ts` kills: what stands between the devices and the servers that all of them share. */
  readonly middle: readonly string[];
  /** `kill -9`. */
  kill(name: string): Promise<void>;
  /** Starts one that was killed, with the same files. */
  start(name: string): Promise<void>;
  close(): Promise<void>;
}

/** Closes in the reverse order of what was opened, whatever fails. */
export class Opened {
  readonly #closers: (() => Promise<unknown>)[] = [];

  add(close: () => Promise<unknown>): void {
    this.#closers.push(close);
  }

  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }
}
