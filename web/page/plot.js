/** Draws one series with uPlot: a line, and for rollups the band from lowest to highest around it. */
import uPlot from '/vendor/uplot/uPlot.esm.js';
import { fieldValue, minuteOfDay, timeOfDay } from './format.js';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** Distances between two times on the axis. */
const steps = [
  ...[1, 5, 10, 15, 30].map((seconds) => seconds * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * MINUTE),
  ...[1, 2, 3, 4, 6, 12, 24].map((hours) => hours * HOUR),
];

export class Plot {
  #holder;
  #onCursor;
  /** @type {uPlot | null} */
  #plot = null;
  /** @type {uPlot.AlignedData} */
  #columns = [[], [], [], []];
  #range = { startMs: 0, endMs: 1 };
  #banded = false;

  /**
   * @param {HTMLElement} holder its size is the size of the plot
   * @param {(index: number | null) => void} onCursor the column under the pointer
   */
  constructor(holder, onCursor) {
    this.#holder = holder;
    this.#onCursor = onCursor;
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(holder);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#rebuild());
  }

  /**
   * @param {uPlot.AlignedData} columns times in ms, value, max, min
   * @param {{ startMs: number, endMs: number }} range
   * @param {boolean} banded
   */
  show(columns, range, banded) {
    this.#columns = columns;
    this.#range = range;
    if (this.#plot === null || banded !== this.#banded) {
      this.#banded = banded;
      this.#rebuild();
    } else {
      this.#plot.setData(columns);
    }
  }

  #size() {
    return { width: this.#holder.clientWidth, height: this.#holder.clientHeight };
  }

  #rebuild() {
    this.#plot?.destroy();
    this.#plot = new uPlot(this.#options(), this.#columns, this.#holder);
  }

  /** @returns {uPlot.Options} */
  #options() {
    const style = getComputedStyle(document.documentElement);
    const color = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    const lines = { stroke: color('--muted'), grid: { stroke: color('--grid'), width: 1 }, ticks: { show: false } };
    const font = `11px ${style.fontFamily}`;
    const edge = { stroke: color('--band-edge'), width: 1, points: { show: false } };
    return {
      ...this.#size(),
      ms: 1,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false } },
      padding: [12, 32, 0, 0],
      scales: { x: { time: true, range: () => [this.#range.startMs, this.#range.endMs] } },
      axes: [
        {
          ...lines,
          font,
          size: 30,
          space: 72,
          incrs: steps,
          values: (_, times, __, ___, stepMs) => times.map((time) => tick(time, stepMs)),
        },
        { ...lines, font, size: axisWidth, values: (_, values) => values.map(fieldValue) },
      ],
      series: [
        {},
        { stroke: color('--accent'), width: 1.5, points: { size: 4, space: 20 } },
        ...(this.#banded ? [edge, edge] : []),
      ],
      bands: this.#banded ? [{ series: [2, 3], fill: color('--band') }] : [],
      hooks: { setCursor: [({ cursor }) => this.#onCursor(cursor.idx ?? null)] },
    };
  }
}

/** @param {number} timeMs @param {number} stepMs */
const tick = (timeMs, stepMs) => (stepMs < MINUTE ? timeOfDay(timeMs) : minuteOfDay(timeMs));

/** @param {uPlot} _ @param {string[]} labels */
const axisWidth = (_, labels) => 18 + 7 * Math.max(3, ...(labels ?? []).map(({ length }) => length));
