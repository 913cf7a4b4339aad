import { randomBytes } from 'node:crypto';
import { systemClock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import { defaultSimulatorOptions } from '../simulator/options.ts';
import { shippedScenario } from '../simulator/scenario/shipped.ts';
import { Simulator } from '../simulator/simulator.ts';

/** Where the gateway listens, and the user it asks for, if any. */
export interface DemoTarget {
  readonly host: string;
  readonly port: number;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
}

/** The fleet of `sluice start --demo`: the scenario that `sluice simulate` has by default. */
export async function startDemoFleet(target: DemoTarget, log: Logger): Promise<{ stop(): Promise<void> }> {
  const { port, username, password } = target;
  const credentials = username === undefined || password === undefined ? null : { username, password };
  const { name, seed, fleets } = shippedScenario('quickstart').scenario;
  const fleet = new Simulator(
    {
      ...defaultSimulatorOptions,
      scenario: name,
      seed,
      fleets,
      broker: `mqtt://${reachable(target.host)}:${port}`,
      credentials,
      // Little is outstanding on one machine, and Ctrl-C is to be quick.
      drainMs: 1500,
    },
    { clock: systemClock, log: log.child({ part: 'demo fleet' }), run: randomBytes(3).toString('hex') },
  );
  fleet.start();
  return { stop: () => fleet.stop() };
}

/** An address that is listened on, as one to connect to. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}
