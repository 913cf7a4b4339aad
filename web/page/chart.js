/** The chart of one series: which one, how far back, how fine. The address keeps the choice, so that it can be passed on. */
import { nowMs } from './clock.js';
import { byId, element, setText } from './dom.js';
import { exactTime, fieldValue, integer, timeOfDay } from './format.js';
import { fetchPoints, MAX_POINTS, mergeTail, tailFromMs, toColumns } from './history.js';
import { Plot } from './plot.js';

/**
 * @typedef {import('./history.js').Series} Series
 * @typedef {import('./history.js').Point} Point
 * @typedef {import('./history.js').Resolution} Resolution
 * @typedef {import('../api.ts').Device} Device
 */

/** @type {Record<string, { text: string, ms: number, resolution: Resolution }>} */
const ranges = {
  '5m': { text: '5 min', ms: 300_000, resolution: 'raw' },
  '1h': { text: '1 h', ms: 3_600_000, resolution: 'raw' },
  '24h': { text: '24 h', ms: 86_400_000, resolution: '1m' },
};

/** @type {Record<Resolution, string>} */
const resolutions = { raw: 'Raw', '1m': '1 min' };

export class ChartPanel {
  #title = byId('chart-title');
  #fieldLabel = byId('chart-field-label');
  #field = /** @type {HTMLSelectElement} */ (byId('chart-field'));
  #value = byId('chart-value');
  #when = byId('chart-when');
  #note = byId('chart-note');
  #holder = byId('chart-plot');
  #plot = new Plot(this.#holder, (index) => this.#read(index));
  #fieldsOf;
  #onChange;

  /** @type {Series | null} */
  #series = null;
  #range = '5m';
  /** @type {Resolution} */
  #resolution = 'raw';
  /** @type {Point[]} */
  #points = [];
  /** @type {ReturnType<typeof toColumns>} */
  #columns = [[], [], [], []];
  #request = new AbortController();
  /** Whether the whole range is there; before, there is no end to keep up to date. */
  #loaded = false;
  #isFetchingTail = false;

  /**
   * @param {{ fieldsOf: (device: Series) => Device['fields'], onChange: (series: Series) => void }} page
   */
  constructor({ fieldsOf, onChange }) {
    this.#fieldsOf = fieldsOf;
    this.#onChange = onChange;
    segments(
      byId('chart-range'),
      'range',
      Object.entries(ranges).map(([id, { text }]) => [id, text]),
      (range) => {
        this.#range = range;
        this.#resolution = ranges[range]?.resolution ?? 'raw';
        void this.#load();
      },
    );
    segments(byId('chart-resolution'), 'resolution', Object.entries(resolutions), (resolution) => {
      this.#resolution = /** @type {Resolution} */ (resolution);
      void this.#load();
    });
    this.#field.addEventListener('change', () => {
      if (this.#series !== null) this.choose({ ...this.#series, field: this.#field.value });
    });
    this.#restore();
  }

  get hasSeries() {
    return this.#series !== null;
  }

  /** @param {Series} series */
  choose(series) {
    this.#series = series;
    void this.#load();
    if (this.#holder.getBoundingClientRect().bottom < 0) this.#title.scrollIntoView({ block: 'nearest' });
  }

  /** Something of these devices is new: fetches the end of the series if it is one of theirs. @param {readonly Device[]} devices */
  hear(devices) {
    const series = this.#series;
    if (series === null) return;
    const ours = devices.find(({ site, device }) => site === series.site && device === series.device);
    if (ours === undefined) return;
    this.#showFields(ours.fields);
    if (this.#loaded && !this.#isFetchingTail) void this.#fetchTail(series);
  }

  /** Time goes on while nothing comes. */
  tick() {
    if (this.#loaded) this.#draw();
  }

  #window() {
    const endMs = nowMs();
    return { startMs: endMs - (ranges[this.#range]?.ms ?? 0), endMs };
  }

  async #load() {
    const series = this.#series;
    check('range', this.#range);
    check('resolution', this.#resolution);
    if (series === null) return;
    this.#remember(series);
    this.#onChange(series);
    this.#points = [];
    this.#loaded = false;
    setText(this.#title, `${series.device} · ${series.site}`);
    this.#showFields(this.#fieldsOf(series));
    this.#request.abort();
    this.#request = new AbortController();
    const { startMs, endMs } = this.#window();
    await this.#fetch(series, startMs, endMs, (points) => {
      this.#points = points;
      this.#loaded = true;
    });
  }

  /** @param {Series} series */
  async #fetchTail(series) {
    this.#isFetchingTail = true;
    const { startMs, endMs } = this.#window();
    const fromMs = tailFromMs(this.#points, this.#resolution, startMs);
    await this.#fetch(series, fromMs, endMs, (tail) => {
      this.#points = mergeTail(this.#points, tail, { startMs, fromMs });
    });
    this.#isFetchingTail = false;
  }

  /**
   * @param {Series} series
   * @param {number} fromMs
   * @param {number} toMs
   * @param {(points: Point[]) => void} take
   */
  async #fetch(series, fromMs, toMs, take) {
    const { signal } = this.#request;
    try {
      const points = await fetchPoints(series, this.#resolution, { fromMs, toMs: toMs + 60_000, signal });
      if (signal.aborted) return;
      take(points);
      this.#columns = toColumns(this.#points);
      this.#draw();
    } catch (error) {
      if (!signal.aborted) setText(this.#note, `No history: ${error instanceof Error ? error.message : error}`);
    }
  }

  #draw() {
    this.#plot.show(this.#columns, this.#window(), this.#resolution !== 'raw');
    this.#read(null);
    const { length } = this.#points;
    setText(this.#note, noteOn(length, this.#resolution));
    const { field = '', device = '', site = '' } = this.#series ?? {};
    const last = this.#points.at(-1);
    this.#holder.ariaLabel =
      last === undefined
        ? `${field} of ${device} in ${site}: nothing in this range`
        : `${field} of ${device} in ${site}: ${integer(length)} points, lowest ${fieldValue(this.#lowest())}, highest ${fieldValue(this.#highest())}, newest ${fieldValue(last.value)}`;
  }

  #lowest() {
    return this.#points.reduce((lowest, { min }) => Math.min(lowest, min), Number.POSITIVE_INFINITY);
  }

  #highest() {
    return this.#points.reduce((highest, { max }) => Math.max(highest, max), Number.NEGATIVE_INFINITY);
  }

  /** The value under the pointer, else the newest. @param {number | null} index */
  #read(index) {
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
    const names = Object.keys(fields).filter((name) => typeof fields[name] === 'number' || name === chosen);
    const shown = names.length === 0 ? [chosen] : names.sort();
    const known = [...this.#field.options].map(({ value }) => value);
    if (shown.join('\n') !== known.join('\n')) {
      this.#field.replaceChildren(
        ...shown.map((name) => {
          const option = element('option', '', name);
          option.value = name;
          return option;
        }),
      );
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
      this.#resolution = choice.get('every') === '1m' ? '1m' : 'raw';
    }
    const [site, device, field] = ['site', 'device', 'field'].map((name) => choice.get(name));
    if (site && device && field) this.#series = { site, device, field };
    void this.#load();
  }
}

/**
 * @param {number} points
 * @param {Resolution} resolution
 */
function noteOn(points, resolution) {
  if (points === 0) return resolution === 'raw' ? 'Nothing in this range.' : 'No minute of this range is closed yet.';
  if (points < MAX_POINTS) return '';
  return `The newest ${integer(MAX_POINTS)} of this range; 1 min shows all of it.`;
}

/**
 * Radio buttons in a row; the browser brings their keys.
 * @param {HTMLElement} group
 * @param {string} name
 * @param {readonly (readonly [string, string])[]} choices value and text
 * @param {(value: string) => void} onChoose
 */
function segments(group, name, choices, onChoose) {
  for (const [value, text] of choices) {
    const input = element('input');
    input.type = 'radio';
    input.name = name;
    input.value = value;
    input.addEventListener('change', () => onChoose(value));
    group.append(element('label', 'segment', input, element('span', '', text)));
  }
}

/** @param {string} name @param {string} value */
function check(name, value) {
  for (const input of document.querySelectorAll('input[type="radio"]')) {
    if (input instanceof HTMLInputElement && input.name === name) input.checked = input.value === value;
  }
}
