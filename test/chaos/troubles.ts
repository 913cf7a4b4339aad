/** What happens to processors and InfluxDB in a run of the oracle. */
import { systemClock } from '../../core/clock.ts';
import { randomStream } from '../../simulator/random.ts';
import type { Decision, InfluxProxy } from '../contracts/store/influx-proxy.ts';
import { eventually } from '../support/eventually.ts';
import type { OwnInfluxServer } from '../support/influx-server.ts';
import { type OracleRun, sessionTimeoutMs, type Trouble } from './oracle-run.ts';
import type { RolePart } from './parts.ts';
import type { FaultKind } from './schedule.ts';

/** Of the load, before anything happens: there is state to be lost. */
const calmMs = 2000;
/** About how long a write takes. */
const longestWriteMs = 20;
/** Until the write is found in which something is to happen. */
const writeWithinMs = 60_000;

/** One processor after the other is killed with -9 every few seconds; two at least are up. */
export function kills(seed: number, everyMs: number): Trouble {
  return async (processors, over) => {
    const random = randomStream('kills', seed);
    const down = new Map<RolePart, Promise<void>>();
    let count = 0;
    for (;;) {
      await systemClock.sleep(everyMs * (0.5 + random()), over);
      if (over.aborted) break;
      const victim = processors[count % processors.length]!;
      if (down.size > 0) continue;
      count++;
      const killed = suffer(victim, 'kill', random() * 1000).finally(() => down.delete(victim));
      down.set(victim, killed);
    }
    await Promise.all(down.values());
    return { kills: count };
  };
}

/** InfluxDB stands still and goes on, with all the writes that came meanwhile. */
export function freeze(influx: OwnInfluxServer, forMs: number): Trouble {
  return async () => {
    await systemClock.sleep(calmMs);
    await standStill(influx, forMs);
    return { frozenMs: forMs };
  };
}

/** InfluxDB stands still, goes on, is killed with -9 while it has a write, and comes back with its data. */
export function outage(seed: number, influx: OwnInfluxServer, proxy: InfluxProxy, forMs: number): Trouble {
  return async () => {
    const random = randomStream('outage', seed);
    await systemClock.sleep(calmMs);
    await standStill(influx, forMs);
    let points = 0;
    proxy.decide = ({ length }) => {
      points = length;
      return 'forward';
    };
    await eventually(() => points > 0, { withinMs: writeWithinMs, everyMs: 1, what: 'a write' });
    // Before, while or after it is stored, and before its answer is back or after.
    await systemClock.sleep(random() * longestWriteMs);
    await influx.kill();
    await systemClock.sleep(random() * calmMs);
    await influx.restart();
    return { stoppedMs: forMs, killedInWriteOf: points };
  };
}

/**
 * The first processor is stopped inside a write, for two session timeouts; another one takes its partitions and goes on;
 * then the old write reaches InfluxDB, its process wakes up, and the other one leaves for a while, so that the first has
 * its partitions again. The first must go through the proxy, the others not.
 */
export function takeover(proxy: InfluxProxy): Trouble {
  return async ([first, second]) => {
    await systemClock.sleep(calmMs);
    const release = Promise.withResolvers<void>();
    let held = 0;
    proxy.decide = async ({ length }): Promise<Decision> => {
      held += length;
      await release.promise;
      return 'forward';
    };
    await eventually(() => held > 0, { withinMs: writeWithinMs, everyMs: 1, what: 'a write of the first processor' });
    await suffer(first!, 'freeze', 2 * sessionTimeoutMs);
    release.resolve();
    proxy.decide = () => 'forward';
    await suffer(second!, 'restart', 3000);
    return { heldPoints: held };
  };
}

/** Partitions go from the first processor to the second and back, twice: once by a long silence, once by leaving. */
export const handover: Trouble = async ([first, second]) => {
  for (const kind of ['freeze', 'restart'] as const) {
    await systemClock.sleep(calmMs);
    await suffer(first!, kind, kind === 'freeze' ? 1.5 * sessionTimeoutMs : 3000);
    await systemClock.sleep(calmMs);
    await suffer(second!, 'restart', 3000);
  }
  return { handovers: 4 };
};

/** InfluxDB is killed and comes back with an empty disk; everything is restored from the bus. */
export function lostDisk(influx: OwnInfluxServer): NonNullable<OracleRun['afterwards']> {
  return async (sluice) => {
    await influx.kill();
    await influx.restartEmpty();
    await sluice('setup');
    await sluice('recompute', '--from-bus');
  };
}

async function standStill({ pid }: OwnInfluxServer, forMs: number): Promise<void> {
  process.kill(pid!, 'SIGSTOP');
  await systemClock.sleep(forMs);
  process.kill(pid!, 'SIGCONT');
}

function suffer(victim: RolePart, kind: FaultKind, forMs: number): Promise<void> {
  return victim.suffer({ atMs: 0, part: victim.name, kind, forMs, shiftMs: 0 });
}
