/** What the devices of a stream report: each field has one type, and values that are hard in its own way. */
import type { FieldValue } from '../../../core/reading.ts';
import { gaussian, type Random } from '../../../simulator/random.ts';
import { pick } from './config.ts';

type Signal = (random: Random) => FieldValue;

export interface Signals {
  /** At least one field. */
  readonly draw: (random: Random) => Record<string, FieldValue>;
}

export function drawSignals(random: Random): Signals {
  const all: Record<string, Signal> = {
    temperature: (next) => Math.round((22 + 6 * gaussian(next)) * 10) / 10,
    // A large offset with little noise.
    pressure: (next) => 1e9 + gaussian(next) / 2,
    energy: counter(random),
    // All magnitudes and signs.
    load: (next) => gaussian(next) * 10 ** Math.floor(next() * 12 - 3),
    door: (next) => next() < 0.4,
    mode: mode(random),
  };
  const chosen = Object.entries(all).filter(() => random() < 0.5);
  if (chosen.length === 0) chosen.push(['temperature', all.temperature!]);
  const share = pick(random, [0.5, 0.8, 1]);
  return {
    draw: (next) => {
      const drawn = chosen.filter(() => next() < share);
      const fields = drawn.length > 0 ? drawn : [pick(next, chosen)];
      return Object.fromEntries(fields.map(([name, signal]) => [name, signal(next)]));
    },
  };
}

/** Counts up, now and then from 0 again. */
function counter(random: Random): Signal {
  let value = Math.floor(random() * 1e6);
  return (next) => {
    value = next() < 0.03 ? 0 : value + (next() < 0.2 ? 0 : Math.round(next() * 1000) / 8);
    return value;
  };
}

/** Mostly a few states that last; now and then more than a minute may name, long ones, and none. */
function mode(random: Random): Signal {
  const count = pick(random, [2, 3, 40, 40]);
  let state = 'off';
  return (next) => {
    if (next() < 0.3) return state;
    const long = next() < 0.02 ? `-${'zu lang für ein Etikett, '.repeat(3)}` : '';
    state = next() < 0.02 ? '' : `m${Math.floor(next() * count)}${long}`;
    return state;
  };
}
