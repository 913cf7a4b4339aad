/** The last minute of a rate as a line over a filled ground, from zero to its own highest. */
const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 120;
const HEIGHT = 24;
const MINUTE_MS = 60_000;

export class Sparkline {
  drawing = document.createElementNS(SVG, 'svg');
  #ground = document.createElementNS(SVG, 'polygon');
  #line = document.createElementNS(SVG, 'polyline');

  constructor() {
    this.drawing.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
    this.drawing.setAttribute('preserveAspectRatio', 'none');
    this.drawing.setAttribute('class', 'sparkline');
    this.drawing.setAttribute('aria-hidden', 'true');
    this.drawing.append(this.#ground, this.#line);
  }

  /** @param {readonly { agoMs: number, perSecond: number }[]} rates oldest first */
  draw(rates) {
    const highest = Math.max(1e-9, ...rates.map(({ perSecond }) => perSecond));
    const points = rates.map(({ agoMs, perSecond }) => {
      const y = HEIGHT - 1 - (perSecond / highest) * (HEIGHT - 4);
      return `${xOf(agoMs)},${y.toFixed(1)}`;
    });
    this.#line.setAttribute('points', points.join(' '));
    const corners = [`${WIDTH},${HEIGHT}`, `${xOf(rates[0]?.agoMs ?? 0)},${HEIGHT}`];
    this.#ground.setAttribute('points', [...points, ...corners].join(' '));
  }
}

/** @param {number} agoMs */
const xOf = (agoMs) => Math.max(0, WIDTH * (1 - agoMs / MINUTE_MS)).toFixed(1);
