/**
 * A merging t-digest (Dunning & Ertl) without randomness: the same values in the same order always give the same
 * centroids. Small at the ends, so that p99 is sharp; error by rank, so that an offset (1013 hPa) costs no accuracy.
 */
const compression = 200;

/** Centroids by rising mean. */
export interface Centroids {
  readonly means: readonly number[];
  readonly weights: readonly number[];
}

export const noCentroids: Centroids = { means: [], weights: [] };

/** The digest of both together. `values` in any order. */
export function withValues(digest: Centroids, values: readonly number[]): Centroids {
  const sorted = Float64Array.from(values).sort();
  return withCentroids(digest, { means: Array.from(sorted), weights: new Array<number>(sorted.length).fill(1) });
}

export function withCentroids(left: Centroids, right: Centroids): Centroids {
  const means: number[] = [];
  const weights: number[] = [];
  const total = weightOf(left) + weightOf(right);
  let before = 0;
  for (const [mean, weight] of inOrder(left, right)) {
    const last = means.length - 1;
    if (last >= 0 && weights[last]! + weight <= limit(before, weights[last]! + weight, total)) {
      weights[last]! += weight;
      means[last]! += ((mean - means[last]!) * weight) / weights[last]!;
    } else {
      if (last >= 0) before += weights[last]!;
      means.push(mean);
      weights.push(weight);
    }
  }
  return { means, weights };
}

/** How heavy a centroid may be that has `before` on its left: 4·n·q·(1−q)/compression. */
function limit(before: number, weight: number, total: number): number {
  const q = (before + weight / 2) / total;
  return Math.max(1, (4 * total * q * (1 - q)) / compression);
}

/** The value at `q` (0..1), between the middles of neighbouring centroids; `min` and `max` are the ends. */
export function quantile(digest: Centroids, q: number, min: number, max: number): number {
  const { means, weights } = digest;
  const rank = q * weightOf(digest);
  let fromRank = 0;
  let fromValue = min;
  let before = 0;
  for (let i = 0; i < means.length; i++) {
    const middle = before + weights[i]! / 2;
    if (rank < middle) return between(fromRank, fromValue, middle, means[i]!, rank);
    before += weights[i]!;
    fromRank = middle;
    fromValue = means[i]!;
  }
  return between(fromRank, fromValue, before, max, rank);
}

function between(fromRank: number, fromValue: number, toRank: number, toValue: number, rank: number): number {
  if (toRank === fromRank) return toValue;
  return fromValue + ((toValue - fromValue) * (rank - fromRank)) / (toRank - fromRank);
}

function weightOf({ weights }: Centroids): number {
  let sum = 0;
  for (const weight of weights) sum += weight;
  return sum;
}

function* inOrder(left: Centroids, right: Centroids): Generator<[mean: number, weight: number]> {
  let l = 0;
  let r = 0;
  while (l < left.means.length || r < right.means.length) {
    const fromLeft = r === right.means.length || (l < left.means.length && left.means[l]! <= right.means[r]!);
    yield fromLeft ? [left.means[l]!, left.weights[l++]!] : [right.means[r]!, right.weights[r++]!];
  }
}
