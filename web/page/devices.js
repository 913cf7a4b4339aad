/**
 * The devices with their newest values: filtered, sorted, and drawn up to a bound, so that a fleet of 10,000 costs no
 * more than its first rows. The whole list is one tab stop; arrow keys move over the values in it.
 */
import { nowMs } from './clock.js';
import { moveFocus } from './device-keys.js';
import { DeviceRow } from './device-row.js';
import { arrange, byId, oncePerFrame, setText } from './dom.js';
import { integer } from './format.js';

/**
 * @typedef {import('../api.ts').Device} Device
 * @typedef {{ site: string, device: string, field: string }} Series
 */

const SHOWN_DEVICES = 200;
/** What moves visibly in most fleets. */
const PREFERRED_FIELD = 'temperature';
const names = new Intl.Collator(undefined, { numeric: true });

/** @type {Record<string, (a: Device, b: Device) => number>} */
const orders = {
  device: (a, b) => names.compare(a.device, b.device) || names.compare(a.site, b.site),
  site: (a, b) => names.compare(a.site, b.site) || names.compare(a.device, b.device),
  age: (a, b) => (b.lastSeenMs ?? 0) - (a.lastSeenMs ?? 0) || names.compare(a.device, b.device),
};

/** @param {{ site: string, device: string }} device */
const keyOf = ({ site, device }) => JSON.stringify([site, device]);

export class DeviceList {
  #rows = byId('devices');
  #tally = byId('devices-tally');
  #note = byId('devices-note');
  #filter = /** @type {HTMLInputElement} */ (byId('devices-filter'));
  #state = /** @type {HTMLSelectElement} */ (byId('devices-state'));
  /** @type {Map<string, Device>} */
  #devices = new Map();
  /** Every device in the chosen order; `null` when it has to be sorted again. @type {Device[] | null} */
  #sorted = null;
  /** @type {Map<string, DeviceRow>} */
  #drawn = new Map();
  /** @type {{ by: string, descending: boolean }} */
  #order = { by: 'site', descending: false };
  /** @type {Series | null} */
  #charted = null;
  #onChoose;
  #draw = oncePerFrame(() => this.#drawNow());

  /** @param {(series: Series) => void} onChoose called when someone chooses a value to be charted */
  constructor(onChoose) {
    this.#onChoose = onChoose;
    this.#filter.addEventListener('input', this.#draw);
    this.#state.addEventListener('change', this.#draw);
    this.#rows.addEventListener('click', (event) => this.#choose(event));
    this.#rows.addEventListener('keydown', (event) => moveFocus(this.#rows, event));
    this.#rows.addEventListener('focusin', ({ target }) => this.#keepTabStop(/** @type {HTMLElement} */ (target)));
    for (const button of this.#sortButtons()) button.addEventListener('click', () => this.#sortBy(button));
  }

  /** How many devices are known. */
  get size() {
    return this.#devices.size;
  }

  /** @param {{ site: string, device: string }} device */
  find(device) {
    return this.#devices.get(keyOf(device)) ?? null;
  }

  /** For a chart before anybody has chosen one: the first number in the list. @returns {Series | null} */
  first() {
    for (const { site, device, fields } of this.#inOrder()) {
      const numbers = Object.keys(fields).filter((name) => typeof fields[name] === 'number');
      const field = numbers.includes(PREFERRED_FIELD) ? PREFERRED_FIELD : numbers.sort()[0];
      if (field !== undefined) return { site, device, field };
    }
    return null;
  }

  /**
   * @param {readonly Device[]} devices
   * @param {boolean} all whether these are all that there are, or only those that changed
   */
  update(devices, all) {
    if (all) {
      this.#devices.clear();
      this.#sorted = null;
    }
    for (const device of devices) {
      const key = keyOf(device);
      if (!this.#devices.has(key) || this.#order.by === 'age') this.#sorted = null;
      this.#devices.set(key, device);
    }
    this.#draw();
  }

  /** @param {Series} series */
  markCharted(series) {
    this.#charted = series;
    this.#draw();
  }

  /** Ages go on while nothing comes. */
  tick() {
    this.#draw();
  }

  #drawNow() {
    const wanted = this.#filter.value.trim().toLowerCase();
    const state = this.#state.value;
    const matching = this.#inOrder().filter(
      (device) =>
        (state === 'all' || device.online === (state === 'online')) && (wanted === '' || matches(device, wanted)),
    );
    const shown = matching.slice(0, SHOWN_DEVICES);
    const atMs = nowMs();
    /** @type {Map<string, DeviceRow>} */
    const drawn = new Map();
    for (const device of shown) {
      const key = keyOf(device);
      const row = this.#drawn.get(key) ?? new DeviceRow(device);
      row.show(device, atMs, this.#chartedFieldOf(device));
      drawn.set(key, row);
    }
    this.#drawn = drawn;
    arrange(
      this.#rows,
      [...drawn.values()].map(({ row }) => row),
    );
    this.#keepTabStop(null);
    const total = this.#devices.size;
    setText(
      this.#tally,
      matching.length === total ? integer(total) : `${integer(matching.length)} of ${integer(total)}`,
    );
    setText(this.#note, noteOn(matching.length, shown.length));
  }

  /** Devices change without their place in an order by name changing: what is sorted are keys, looked up anew. */
  #inOrder() {
    if (this.#sorted === null) {
      this.#sorted = [...this.#devices.values()].sort(orders[this.#order.by]);
      if (this.#order.descending) this.#sorted.reverse();
    }
    return this.#sorted.map((device) => this.#devices.get(keyOf(device)) ?? device);
  }

  /** @param {Device} device */
  #chartedFieldOf(device) {
    const charted = this.#charted;
    return charted?.device === device.device && charted.site === device.site ? charted.field : null;
  }

  /** A click on a value charts it; elsewhere in the row, its first one. @param {MouseEvent} event */
  #choose({ target }) {
    const from = /** @type {Element} */ (target);
    const row = from.closest('tr');
    const button = from.closest('button') ?? row?.querySelector('button');
    if (!row || !button) return;
    const { site = '', device = '' } = row.dataset;
    this.#onChoose({ site, device, field: button.dataset.field ?? '' });
  }

  /** Exactly one value can be reached with Tab: the one that had the focus last. @param {HTMLElement | null} focused */
  #keepTabStop(focused) {
    const stop = this.#rows.querySelector('button[tabindex="0"]');
    if (focused === null && stop !== null) return;
    const next = focused ?? this.#rows.querySelector('button');
    if (stop instanceof HTMLElement && stop !== next) stop.tabIndex = -1;
    if (next instanceof HTMLElement) next.tabIndex = 0;
  }

  #sortButtons() {
    return /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll('button[data-sort]'));
  }

  /** @param {HTMLButtonElement} chosen */
  #sortBy(chosen) {
    const by = chosen.dataset.sort ?? 'site';
    this.#order = { by, descending: this.#order.by === by && !this.#order.descending };
    this.#sorted = null;
    for (const button of this.#sortButtons()) {
      const sorted = this.#order.descending ? 'descending' : 'ascending';
      button.closest('th')?.setAttribute('aria-sort', button === chosen ? sorted : 'none');
    }
    this.#draw();
  }
}

/**
 * @param {Device} device
 * @param {string} wanted in lower case
 */
function matches({ site, device, fields }, wanted) {
  return (
    `${site}/${device}`.toLowerCase().includes(wanted) ||
    Object.keys(fields).some((name) => name.toLowerCase().includes(wanted))
  );
}

/**
 * @param {number} matching
 * @param {number} shown
 */
function noteOn(matching, shown) {
  if (matching === 0) return 'No device matches.';
  return matching > shown
    ? `${integer(matching - shown)} more match and are not drawn; filter to narrow the list.`
    : '';
}
