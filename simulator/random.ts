/** Seeded random numbers. Every purpose has a stream of its own, so that one more draw here changes nothing there. */

/** Uniform in [0, 1). */
export type Random = () => number;

/** The stream named by its parts: the same parts give the same numbers, other parts unrelated ones. */
export function randomStream(...parts: readonly (string | number)[]): Random {
  const next = hashes(JSON.stringify(parts));
  return sfc32(next(), next(), next(), next());
}

/** Normally distributed with mean 0 and deviation 1 (Box and Muller; two draws). */
export function gaussian(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** A sequence of 32-bit hashes of a text (xmur3). */
function hashes(text: string): () => number {
  let h = 1779033703 ^ text.length;
  for (let i = 0; i < text.length; i++) {
    h = Math.imul(h ^ text.charCodeAt(i), 3432918353);
    h = (h << 13) | (h >>> 19);
  }
  return () => {
    h = Math.imul(h ^ (h >>> 16), 2246822507);
    h = Math.imul(h ^ (h >>> 13), 3266489909);
    h ^= h >>> 16;
    return h >>> 0;
  };
}

/** Chris Doty-Humphrey's Small Fast Counter: 128 bits of state, passes PractRand. */
function sfc32(a: number, b: number, c: number, counter: number): Random {
  const next = () => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return (sum >>> 0) / 4294967296;
  };
  for (let warmUp = 0; warmUp < 12; warmUp++) next();
  return next;
}
