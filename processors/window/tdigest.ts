/**
 * A merging t-digest (Dunning & Ertl) without randomness: the same values in the same order always give the same
 * centroids. Error by rank, so that an offset (1013 hPa) costs no accuracy: a centroid holds at most 0.8 % of the values
 * in the middle, 0.35 % at p95 and 0.16 % at p99, and a percentile is off by about half of that at most.
 */
import type { StateReader, StateWriter } from '../codec.ts';

/** Of a digest whose centroids are all as heavy as they may be. */
const fewestCentroids = 200;

/** Centroids by rising mean. */
export interface Digest {
  readonly means: Float64Array;
  readonly weights: Float64Array;
  /** Sum of the weights. */
  readonly total: number;
  /** Where each mean is between the first and the last, as it is saved; NaN for one that is saved as it is. */
  readonly fractions: Float32Array;
}

type Centroids = Omit<Digest, 'fractions'>;

const nothing: Centroids = { means: new Float64Array(0), weights: new Float64Array(0), total: 0 };
let means = new Float64Array(1024);
let weights = new Float64Array(1024);
let ones = new Float64Array(1024).fill(1);

/** The digest of values in any order, beside those of `digest`. */
export function withValues(digest: Digest | null, values: readonly number[]): Digest {
  if (values.length > ones.length) ones = new Float64Array(values.length).fill(1);
  const sorted = new Float64Array(values).sort();
  return merged(digest ?? nothing, { means: sorted, weights: ones.subarray(0, sorted.length), total: sorted.length });
}

/** The digest of both together. */
export function merged(left: Centroids, right: Centroids): Digest {
  const [leftSize, rightSize] = [left.means.length, right.means.length];
  if (leftSize + rightSize > means.length) {
    means = new Float64Array((leftSize + rightSize) * 2);
    weights = new Float64Array(means.length);
  }
  const total = left.total + right.total;
  const widest = (Math.PI * total) / fewestCentroids;
  const { means: leftMeans, weights: leftWeights } = left;
  const { means: rightMeans, weights: rightWeights } = right;
  let [l, r, size, before] = [0, 0, 0, 0];
  let [mean, weight] = [0, 0];
  while (l < leftSize || r < rightSize) {
    const isLeft = r === rightSize || (l < leftSize && leftMeans[l]! <= rightMeans[r]!);
    const nextMean = isLeft ? leftMeans[l]! : rightMeans[r]!;
    const nextWeight = isLeft ? leftWeights[l++]! : rightWeights[r++]!;
    const together = weight + nextWeight;
    const q = (before + together / 2) / total;
    if (weight > 0 && together <= widest * Math.sqrt(q * (1 - q))) {
      weight = together;
      mean += (nextMean - mean) * (nextWeight / together);
      continue;
    }
    if (weight > 0) {
      before += weight;
      means[size] = mean;
      weights[size++] = weight;
    }
    mean = nextMean;
    weight = nextWeight;
  }
  means[size] = mean;
  weights[size++] = weight;
  return rounded(means.subarray(0, size), weights.slice(0, size), total);
}

/** The value at `q` (0..1), between the middles of neighbouring centroids; `min` and `max` are the ends. */
export function quantile({ means, weights, total }: Digest, q: number, min: number, max: number): number {
  const rank = q * total;
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
  return fromValue + (toValue - fromValue) * ((rank - fromRank) / (toRank - fromRank));
}

/** The most that a mean may lose when it is saved, as a part of itself. */
const maxLoss = 2 ** -20;
const [asFraction, asMillionths, asDouble] = [0, 1, 2] as const;

/**
 * With means of as many bits as are saved: 24 of where they are between the ends. Where values repeat, as those of few
 * decimals do, most means are such values: those stay what they are, and so do those that would lose too much.
 */
function rounded(means: Float64Array, weights: Float64Array, total: number): Digest {
  const [first, last] = [means[0]!, means[means.length - 1]!];
  // Halves, because the range of finite numbers may be infinite.
  const halfRange = last / 2 - first / 2;
  const fractions = new Float32Array(means.length).fill(Number.NaN);
  const kept = means.slice();
  for (let i = 0; i < means.length; i++) {
    const mean = means[i]!;
    if (halfRange === 0 || isMillionths(mean)) continue;
    const fraction = Math.fround((mean / 2 - first / 2) / halfRange);
    const near = meanAt(fraction, first, last);
    if (Math.abs(near - mean) > Math.abs(mean) * maxLoss) continue;
    fractions[i] = fraction;
    kept[i] = near;
  }
  return { means: kept, weights, total, fractions };
}

function isMillionths(mean: number): boolean {
  const millionths = Math.round(mean * 1e6);
  return Math.abs(millionths) <= 2 ** 45 && millionths / 1e6 === mean && !Object.is(mean, -0);
}

function meanAt(fraction: number, first: number, last: number): number {
  return first * (1 - fraction) + last * fraction;
}

export function saveDigest(to: StateWriter, { means, weights, fractions }: Digest): void {
  to.uint(means.length);
  to.double(means[0]!);
  to.double(means[means.length - 1]!);
  let before = 0;
  for (let i = 0; i < means.length; i++) {
    const mean = means[i]!;
    const form = !Number.isNaN(fractions[i]!) ? asFraction : isMillionths(mean) ? asMillionths : asDouble;
    to.uint(weights[i]! * 4 + form);
    if (form === asFraction) to.float(fractions[i]!);
    else if (form === asDouble) to.double(mean);
    else {
      const millionths = Math.round(mean * 1e6);
      to.int(millionths - before);
      before = millionths;
    }
  }
}

export function loadDigest(from: StateReader): Digest {
  const size = from.uint();
  const first = from.double();
  const last = from.double();
  const [means, weights, fractions] = [new Float64Array(size), new Float64Array(size), new Float32Array(size)];
  let [total, millionths] = [0, 0];
  for (let i = 0; i < size; i++) {
    const weight = from.uint();
    weights[i] = Math.floor(weight / 4);
    total += weights[i]!;
    const form = weight % 4;
    fractions[i] = form === asFraction ? from.float() : Number.NaN;
    if (form === asMillionths) millionths += from.int();
    means[i] =
      form === asFraction ? meanAt(fractions[i]!, first, last) : form === asDouble ? from.double() : millionths / 1e6;
  }
  return { means, weights, total, fractions };
}
