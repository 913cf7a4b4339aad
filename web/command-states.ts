/**
 * What became of the commands asked for last, as the bus says it. Follows it from the first question on: where nobody
 * sends commands it costs nothing.
 */
import { z } from 'zod';
import type { Bus, BusRecord, Following } from '../bus/port.ts';
import { type CommandResult, commandEnds } from '../core/commands.ts';
import { commandRefusedReasons } from '../core/reasons.ts';
import { headers, type TopicNames } from '../core/topics.ts';
import type { CommandState } from './api.ts';

/** Known at most, and read back of each partition at the start. */
const maxKnown = 10_000;
const maxReadBack = 1000;

const result: z.ZodType<CommandResult> = z.object({
  id: z.string(),
  site: z.string(),
  device: z.string(),
  result: z.enum(commandEnds),
  reason: z.enum(Object.keys(commandRefusedReasons) as (keyof typeof commandRefusedReasons)[]).nullable(),
  requestedAtMs: z.number(),
  expiresAtMs: z.number(),
  atMs: z.number(),
  gateway: z.string().nullable(),
});

export class CommandStates {
  readonly #bus: Bus;
  readonly #topics: TopicNames;
  /** By site, device and id, oldest first. */
  readonly #known = new Map<string, CommandState>();
  #following: Promise<Following[]> | null = null;

  constructor(bus: Bus, topics: TopicNames) {
    this.#bus = bus;
    this.#topics = topics;
  }

  /** Resolves when what is on the bus is known here. Rejects with BUS_UNAVAILABLE, BUS_TOPIC_MISSING; then try again. */
  async ready(): Promise<void> {
    this.#following ??= this.#follow();
    try {
      await this.#following;
    } catch (error) {
      this.#following = null;
      throw error;
    }
  }

  /** `null`: it was never asked for, or long ago. */
  get(site: string, device: string, id: string): CommandState | null {
    return this.#known.get(nameOf(site, device, id)) ?? null;
  }

  /** A command is on the bus. Of two with one id the first counts. */
  asked(state: CommandState): void {
    const name = nameOf(state.site, state.device, state.id);
    if (!this.#known.has(name)) this.#set(name, state);
  }

  async close(): Promise<void> {
    const followings = await this.#following?.catch(() => []);
    await Promise.all((followings ?? []).map((following) => following.close()));
  }

  /** From the end on first, so that nothing falls between it and what is read back. */
  async #follow(): Promise<Following[]> {
    const { commands, commandResults } = this.#topics;
    const reading: [string, (record: BusRecord) => void][] = [
      [commands, (record) => this.#readCommand(record)],
      [commandResults, (record) => this.#readResult(record)],
    ];
    const followings: Following[] = [];
    try {
      for (const [topic, read] of reading) {
        followings.push(await this.#bus.follow(topic, 'end', (records) => records.forEach(read)));
        await this.#readBack(topic, read);
      }
      return followings;
    } catch (error) {
      await Promise.all(followings.map((following) => following.close()));
      throw error;
    }
  }

  async #readBack(topic: string, read: (record: BusRecord) => void): Promise<void> {
    const partitions = await this.#bus.partitionCount(topic);
    for (let partition = 0; partition < partitions; partition++) {
      const { endOffset } = await this.#bus.read(topic, partition, 0, 0);
      if (endOffset === 0) continue;
      const from = Math.max(0, endOffset - maxReadBack);
      const { records } = await this.#bus.read(topic, partition, from, maxReadBack);
      records.forEach(read);
    }
  }

  #readCommand({ key, headers: given, timestampMs }: BusRecord): void {
    const id = given[headers.commandId];
    const expiresAtMs = Number(given[headers.commandExpires]);
    const slash = key.indexOf('/');
    if (id === undefined || slash < 1 || !Number.isSafeInteger(expiresAtMs)) return;
    const [site, device] = [key.slice(0, slash), key.slice(slash + 1)];
    this.asked({
      id,
      site,
      device,
      state: 'pending',
      reason: null,
      requestedAtMs: timestampMs,
      expiresAtMs,
      atMs: null,
    });
  }

  #readResult({ value }: BusRecord): void {
    const found = parsed(value);
    if (found === null) return;
    const { id, site, device, result: state, reason, requestedAtMs, expiresAtMs, atMs } = found;
    const name = nameOf(site, device, id);
    this.#set(name, { id, site, device, state, reason, requestedAtMs, expiresAtMs, atMs });
  }

  #set(name: string, state: CommandState): void {
    this.#known.delete(name);
    this.#known.set(name, state);
    if (this.#known.size > maxKnown) this.#known.delete(this.#known.keys().next().value!);
  }
}

function nameOf(site: string, device: string, id: string): string {
  return `${site}/${device}\n${id}`;
}

function parsed(value: Buffer | null): CommandResult | null {
  if (value === null) return null;
  try {
    return result.safeParse(JSON.parse(value.toString())).data ?? null;
  } catch {
    return null;
  }
}
