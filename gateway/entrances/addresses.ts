/** How many connections each address has. A host of IPv6 has at least a /64 of addresses: they count as one. */
import { isIPv6 } from 'node:net';

const mapped = '::ffff:';
const prefixGroups = 4;

export class Addresses {
  readonly #max: number;
  readonly #connections = new Map<string, number>();

  constructor(max: number) {
    this.#max = max;
  }

  /** Counts one more, and says whether it may be. */
  enter(address: string): boolean {
    const key = addressKey(address);
    const connections = this.#connections.get(key) ?? 0;
    if (connections >= this.#max) return false;
    this.#connections.set(key, connections + 1);
    return true;
  }

  /** One that had entered is closed. */
  leave(address: string): void {
    const key = addressKey(address);
    const connections = this.#connections.get(key)! - 1;
    if (connections === 0) this.#connections.delete(key);
    else this.#connections.set(key, connections);
  }
}

/** As Node writes addresses: IPv4 as it is, also when it comes as `::ffff:1.2.3.4`; of IPv6 the first 64 bits. */
export function addressKey(address: string): string {
  if (address.startsWith(mapped) && address.includes('.')) return address.slice(mapped.length);
  if (!isIPv6(address)) return address;
  const [head, tail] = address.split('::') as [string, string?];
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const last = tail === '' ? 0 : tail.split(':').length;
    while (groups.length + last < 8) groups.push('0');
    if (tail !== '') groups.push(...tail.split(':'));
  }
  return groups.slice(0, prefixGroups).join(':');
}
