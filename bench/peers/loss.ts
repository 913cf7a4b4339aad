/** What is lost of the acknowledged when the processes in the middle are killed with `kill -9` and started again. */
import { systemClock } from '../../core/clock.ts';
import { randomStream } from '../../simulator/random.ts';
import type { Contender } from './contender.ts';
import { countOf, type FleetLoad, runFleet } from './fleet.ts';
import { type Difference, difference } from './stored.ts';

export interface LossFigures extends Difference {
  readonly acknowledged: number;
  readonly kills: Readonly<Record<string, number>>;
}

/** Longer than any session of a consumer group that has to run out first. */
const unchangedForMs = 60_000;
const askEveryMs = 5000;
/** The load is on when the first kill comes, and goes on after the last. */
const [firstPart, lastPart] = [0.1, 0.9];

export interface Kills {
  /** Of each process in the middle, at moments that the seed gives. */
  readonly ofEach: number;
  /** Until it is started again. */
  readonly downSeconds: number;
}

export async function measureLoss(contender: Contender, load: FleetLoad, kills: Kills): Promise<LossFigures> {
  const [acknowledged] = await Promise.all([
    runFleet(contender.mqttPort, load),
    ...contender.middle.map((name) => killNowAndThen(contender, name, load, kills)),
  ]);
  let found = await difference(contender.store, acknowledged);
  for (let changedAtMs = performance.now(); found.lost > 0 && performance.now() - changedAtMs < unchangedForMs; ) {
    await systemClock.sleep(askEveryMs);
    const now = await difference(contender.store, acknowledged);
    if (now.lost !== found.lost) changedAtMs = performance.now();
    found = now;
  }
  const killed = Object.fromEntries(contender.middle.map((name) => [name, kills.ofEach]));
  return { acknowledged: countOf(acknowledged), kills: killed, ...found };
}

async function killNowAndThen(contender: Contender, name: string, load: FleetLoad, kills: Kills): Promise<void> {
  const random = randomStream(load.seed, 'kills', name);
  const startedAtMs = performance.now();
  const atMs = Array.from(
    { length: kills.ofEach },
    () => (firstPart + random() * (lastPart - firstPart)) * load.seconds * 1000,
  );
  for (const at of atMs.sort((a, b) => a - b)) {
    await systemClock.sleep(Math.max(0, startedAtMs + at - performance.now()));
    await contender.kill(name);
    await systemClock.sleep(kills.downSeconds * 1000);
    await contender.start(name);
  }
}
