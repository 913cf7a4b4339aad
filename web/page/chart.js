/** The chart of one series: which one, how far back, how fine. The address keeps the choice, so that it can be passed on. */
import { nowMs } from './clock.js';
import { byId, element, setText } from './dom.js';
import { exactTime, fieldValue, integer, timeOfDay } from './format.js';
import { MAX_POINTS, SeriesHistory, toColumns } from './history.js';
import { Plot } from './plot.js';
import { Segments } from './segments.js';

/**
 * @typedef {import('./history.js').Series} Series
 * @typedef {import('./history.js').Point} Point
 * @typedef {import('./history.js').Resolution} Resolution
 * @typedef {import('../api.ts').Device} Device
 */

/** With the resolution that each begins with. @type {Record<string, { text: string, ms: number, resolution: Resolution }>} */
const ranges = {
  '5m': { text: '5 min', ms: 300_000, resolution: 'raw' },
  '1h': { text: '1 h', ms: 3_600_000, resolution: 'raw' },
  '24h': { text: '24 h', ms: 86_400_000, resolution: '1m' },
  '7d': { text: '7 d', ms: 7 * 86_400_000, resolution: '1h' },
};

/** @type {Record<Resolution, string>} */
const resolutions = { raw: 'Raw', '1m': '1 min', '1h': '1 h', '1d': '1 d' };

export class ChartPanel {
  #title = byId('chart-title');
  #fieldLabel = byId('chart-field-label');
  #field = /** @type {HTMLSelectElement} */ (byId('chart-field'));
  #value = byId('chart-value');
  #when = byId('chart-when');
  #note = byId('chart-note');
  #holder = byId('chart-plot');
  #plot = new Plot(this.#holder, (index) => this.#point(index));
  #ranges;
  #resolutions;
  #fieldsOf;
  #onChange;

  /** @type {Series | null} */
  #series = null;
  #range = '5m';
  /** @type {Resolution} */
  #resolution = 'raw';
  /** Of what is chosen; a new one for every choice. @type {SeriesHistory | null} */
  #history = null;
  /** @type {ReturnType<typeof toColumns>} */
  #columns = [[], [], [], []];
  /** The column under the pointer. @type {number | null} */
  #pointed = null;

  /**
   * @param {{ fieldsOf: (device: Series) => Device['fields'], onChange: (series: Series) => void }} page
   */
  constructor({ fieldsOf, onChange }) {
    this.#fieldsOf = fieldsOf;
    this.#onChange = onChange;
    const rangeTexts = Object.entries(ranges).map(([range, { text }]) => /** @type {const} */ ([range, text]));
    this.#ranges = new Segments(byId('chart-range'), 'range', rangeTexts, (range) => {
      this.#range = range;
      this.#resolution = ranges[range]?.resolution ?? 'raw';
      this.#begin();
    });
    this.#resolutions = new Segments(byId('chart-resolution'), 'every', Object.entries(resolutions), (resolution) => {
      this.#resolution = /** @type {Resolution} */ (resolution);
      this.#begin();
    });
    this.#field.addEventListener('change', () => {
      if (this.#series !== null) this.choose({ ...this.#series, field: this.#field.value });
    });
    this.#restore();
    this.#begin();
  }

  get hasSeries() {
    return this.#series !== null;
  }

  /** @param {Series} series */
  choose(series) {
    this.#series = series;
    this.#begin();
    if (this.#holder.getBoundingClientRect().bottom < 0) this.#title.scrollIntoView({ block: 'nearest' });
  }

  /** Something of these devices is new: fetches the end of the series if it is one of theirs. @param {readonly Device[]} devices */
  hear(devices) {
    const ours = devices.find(({ site, device }) => site === this.#series?.site && device === this.#series.device);
    if (ours === undefined) return;
    this.#showFields(ours.fields);
    void this.#update();
  }

  /** Time goes on while nothing comes; what could not be fetched is asked for again. */
  tick() {
    if (this.#history === null) return;
    if (!this.#history.isComplete || this.#history.failure !== '') void this.#update();
    this.#draw();
  }

  /** With what is chosen now. */
  #begin() {
    this.#ranges.show(this.#range);
    this.#resolutions.show(this.#resolution);
    if (this.#series === null) return;
    this.#remember(this.#series);
    this.#onChange(this.#series);
    setText(this.#title, `${this.#series.device} · ${this.#series.site}`);
    this.#showFields(this.#fieldsOf(this.#series));
    this.#history?.close();
    this.#history = new SeriesHistory(this.#series, this.#resolution);
    void this.#update();
  }

  async #update() {
    const history = this.#history;
    await history?.update(this.#window());
    if (history === null || history !== this.#history) return;
    this.#columns = toColumns(history.points);
    this.#draw();
  }

  #window() {
    const endMs = nowMs();
    return { startMs: endMs - (ranges[this.#range]?.ms ?? 0), endMs };
  }

  #draw() {
    const { points = [], failure = '', isComplete = false } = this.#history ?? {};
    if (isComplete) this.#plot.show(this.#columns, this.#window(), this.#resolution !== 'raw');
    this.#point(this.#pointed);
    const { field = '', device = '', site = '' } = this.#series ?? {};
    this.#holder.ariaLabel = `${field} of ${device} in ${site}: ${describe(points)}`;
    if (failure !== '') setText(this.#note, `No history: ${failure}`);
    else setText(this.#note, isComplete ? noteOn(points.length, this.#resolution) : '');
  }

  /** Reads out the value under the pointer, else the newest. @param {number | null} index */
  #point(index) {
    this.#pointed = index;
    const [times, values, highest, lowest] = this.#columns;
    const at = index ?? times.length - 1;
    const [time, value, max, min] = [times[at], values[at], highest[at], lowest[at]];
    if (time === undefined || typeof value !== 'number') {
      setText(this.#value, '');
      setText(this.#when, '');
      return;
    }
    const spread = this.#resolution === 'raw' ? '' : `from ${fieldValue(min ?? value)} to ${fieldValue(max ?? value)} `;
    setText(this.#value, fieldValue(value));
    setText(this.#when, `${spread}at ${timeOfDay(time)}`);
    this.#when.title = exactTime(time);
  }

  /** @param {Device['fields']} fields */
  #showFields(fields) {
    const chosen = this.#series?.field ?? '';
    const numbers = Object.keys(fields).filter((name) => typeof fields[name] === 'number');
    const names = [...new Set([...numbers, chosen])].sort();
    const known = [...this.#field.options].map(({ value }) => value);
    if (names.join('\n') !== known.join('\n')) {
      const options = names.map((name) => element('option', '', name));
      for (const [index, option] of options.entries()) option.value = names[index] ?? '';
      this.#field.replaceChildren(...options);
    }
    this.#field.value = chosen;
    this.#fieldLabel.hidden = false;
  }

  /** @param {Series} series */
  #remember(series) {
    const choice = new URLSearchParams({ ...series, range: this.#range, every: this.#resolution });
    history.replaceState(null, '', `#${choice}`);
  }

  /** Takes the choice from the address; what makes no sense there is passed over. */
  #restore() {
    const choice = new URLSearchParams(location.hash.slice(1));
    const range = choice.get('range') ?? '';
    if (Object.hasOwn(ranges, range)) {
      this.#range = range;
      const every = choice.get('every') ?? '';
      this.#resolution = Object.hasOwn(resolutions, every) ? /** @type {Resolution} */ (every) : 'raw';
    }
    const [site, device, field] = ['site', 'device', 'field'].map((name) => choice.get(name));
    if (site && device && field) this.#series = { site, device, field };
  }
}

/**
 * @param {number} points
 * @param {Resolution} resolution
 */
function noteOn(points, resolution) {
  if (points === 0) return resolution === 'raw' ? 'Nothing in this range.' : 'No window of this range is closed yet.';
  if (points < MAX_POINTS) return '';
  return `The newest ${integer(MAX_POINTS)} of this range; 1 min shows all of it.`;
}

/** What the plot shows, for those who do not see it. @param {readonly Point[]} points */
function describe(points) {
  const newest = points.at(-1);
  if (newest === undefined) return 'nothing in this range';
  const lowest = points.reduce((least, { min }) => Math.min(least, min), Number.POSITIVE_INFINITY);
  const highest = points.reduce((most, { max }) => Math.max(most, max), Number.NEGATIVE_INFINITY);
  return `${integer(points.length)} points, lowest ${fieldValue(lowest)}, highest ${fieldValue(highest)}, newest ${fieldValue(newest.value)}`;
}
