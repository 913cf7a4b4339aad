/**
 * A merging t-digest (Dunning & Ertl) without randomness: the same values in the same order give the same digest, and
 * a digest that was saved and restored goes on as if nothing had happened.
 */
const compression = 200;
const bufferSize = 512;

export interface DigestState {
  readonly means: number[];
  readonly weights: number[];
  readonly buffer: number[];
}

export class TDigest {
  #means: number[] = [];
  #weights: number[] = [];
  #buffer: number[] = [];

  add(value: number): void {
    this.#buffer.push(value);
    if (this.#buffer.length >= bufferSize) this.#compress();
  }

  /** The value below which a share `q` of all values lies. `min` and `max` are the exact ends. */
  quantile(q: number, min: number, max: number): number {
    const merged = this.#merged();
    const total = merged.weights.reduce((sum, weight) => sum + weight, 0);
    const target = q * total;
    let before = 0;
    let previousMean = min;
    let previousMiddle = 0;
    for (let i = 0; i < merged.means.length; i++) {
      const mean = merged.means[i]!;
      const middle = before + merged.weights[i]! / 2;
      if (target <= middle) return interpolate(previousMean, mean, target - previousMiddle, middle - previousMiddle);
      before += merged.weights[i]!;
      previousMean = mean;
      previousMiddle = middle;
    }
    return interpolate(previousMean, max, target - previousMiddle, total - previousMiddle);
  }

  state(): DigestState {
    return { means: this.#means, weights: this.#weights, buffer: this.#buffer };
  }

  static from(state: DigestState): TDigest {
    const digest = new TDigest();
    digest.#means = [...state.means];
    digest.#weights = [...state.weights];
    digest.#buffer = [...state.buffer];
    return digest;
  }

  #compress(): void {
    const { means, weights } = this.#merged();
    this.#means = means;
    this.#weights = weights;
    this.#buffer = [];
  }

  /** Centroids with the buffer merged in; asking changes nothing, so that when one asks cannot matter. */
  #merged(): { means: number[]; weights: number[] } {
    if (this.#buffer.length === 0) return { means: this.#means, weights: this.#weights };
    const points = this.#means.map((mean, i) => ({ mean, weight: this.#weights[i]! }));
    for (const value of this.#buffer) points.push({ mean: value, weight: 1 });
    points.sort((a, b) => a.mean - b.mean);
    const total = points.reduce((sum, { weight }) => sum + weight, 0);
    const means: number[] = [];
    const weights: number[] = [];
    let done = 0;
    let limit = total * qLimit(0);
    for (const { mean, weight } of points) {
      const last = means.length - 1;
      if (last >= 0 && done + weights[last]! + weight <= limit) {
        weights[last]! += weight;
        means[last]! += ((mean - means[last]!) * weight) / weights[last]!;
      } else {
        if (last >= 0) {
          done += weights[last]!;
          limit = total * qLimit(done / total);
        }
        means.push(mean);
        weights.push(weight);
      }
    }
    return { means, weights };
  }
}

/** How far a centroid that begins at share `q` may reach: scale function k1, small at both ends. */
function qLimit(q: number): number {
  const k = (compression / (2 * Math.PI)) * Math.asin(2 * q - 1) + 1;
  const end = Math.min(k, compression / 4);
  return (Math.sin((end * 2 * Math.PI) / compression) + 1) / 2;
}

function interpolate(from: number, to: number, part: number, whole: number): number {
  return whole <= 0 ? to : from + (to - from) * (part / whole);
}
