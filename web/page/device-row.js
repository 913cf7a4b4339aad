/** One device as a row: its state, names, age, and a button for each value that can be charted. */
import { element, setText } from './dom.js';
import { duration, exactTime, fieldValue } from './format.js';

/** @typedef {import('../api.ts').Device} Device */

/** More fields than these are counted and not drawn; the field list of the chart has them all. */
const SHOWN_FIELDS = 12;

/** @type {Record<string, string>} */
const IDENTITIES = {
  'users file': 'with a password of its own',
  certificate: 'with a certificate',
  token: 'with a token',
  configuration: 'as the one user of the gateway',
  nobody: 'without saying who it is',
};

export class DeviceRow {
  row = element('tr');
  #state = element('span', 'dot');
  #stateText = element('span', 'unseen');
  #seen = element('time');
  #skew = element('span', 'skew');
  #values = element('div', 'values');
  #more = element('span', 'quiet');
  /** @type {Map<string, { holder: HTMLElement, number: HTMLElement }>} */
  #fields = new Map();

  /** @param {Device} device */
  constructor({ site, device }) {
    const name = element('th', 'device', device);
    name.scope = 'row';
    name.title = device;
    const siteCell = element('td', 'site', site);
    siteCell.title = site;
    this.row.append(
      element('td', 'state', this.#state, this.#stateText),
      name,
      siteCell,
      element('td', 'seen', this.#seen, ' ', this.#skew),
      element('td', 'newest', this.#values),
    );
    this.row.dataset.site = site;
    this.row.dataset.device = device;
    this.#values.append(this.#more);
  }

  /**
   * @param {Device} device
   * @param {number} nowMs
   * @param {string | null} charted the field that the chart shows, if it is one of this device
   */
  show({ online, presence, lastSeenMs, clockSkewMs, fields }, nowMs, charted) {
    const state = online ? 'online' : 'offline';
    this.#state.dataset.state = state;
    setText(this.#stateText, state);
    this.#state.title = [state, ...(presence === null ? [] : detailsOf(presence, online))].join(', ');
    setText(this.#seen, lastSeenMs === null ? '–' : duration(nowMs - lastSeenMs));
    this.#seen.title = lastSeenMs === null ? 'no reading is stored yet' : exactTime(lastSeenMs);
    this.#showSkew(clockSkewMs);
    this.row.classList.toggle('charted', charted !== null);
    this.#showFields(fields, charted);
  }

  /** @param {Device['clockSkewMs']} skewMs */
  #showSkew(skewMs) {
    const isOff = skewMs !== null;
    setText(this.#skew, isOff ? `clock ${skewMs > 0 ? '+' : '−'}${duration(Math.abs(skewMs))}` : '');
    this.#skew.title = isOff
      ? `its clock is ${skewMs > 0 ? 'ahead' : 'behind, or its readings are always as late'}`
      : '';
  }

  /**
   * @param {Device['fields']} fields
   * @param {string | null} charted
   */
  #showFields(fields, charted) {
    const names = Object.keys(fields).sort();
    for (const name of names.slice(0, SHOWN_FIELDS)) {
      const value = fields[name] ?? '';
      const { holder, number } = this.#fields.get(name) ?? this.#addField(name, typeof value === 'number');
      setText(number, fieldValue(value));
      number.title = String(value);
      if (holder instanceof HTMLButtonElement) holder.ariaPressed = String(name === charted);
    }
    const hidden = names.length - Math.min(names.length, SHOWN_FIELDS);
    setText(this.#more, hidden === 0 ? '' : `+${hidden}`);
  }

  /**
   * @param {string} name
   * @param {boolean} isNumber numbers alone can be charted
   */
  #addField(name, isNumber) {
    const holder = element(isNumber ? 'button' : 'span', 'value');
    const number = element('span', 'number');
    holder.append(element('span', 'name', name), ' ', number);
    holder.dataset.field = name;
    if (holder instanceof HTMLButtonElement) {
      holder.type = 'button';
      holder.tabIndex = -1;
    }
    this.#fields.set(name, { holder, number });
    const after = [...this.#fields.keys()].sort();
    const next = after[after.indexOf(name) + 1];
    this.#values.insertBefore(holder, (next === undefined ? null : this.#fields.get(next)?.holder) ?? this.#more);
    return { holder, number };
  }
}

/** @param {NonNullable<Device['presence']>} presence @param {boolean} online */
function detailsOf({ sinceMs, reason, identity }, online) {
  const since = `since ${exactTime(sinceMs)}`;
  if (!online) return [since, reason.replaceAll('_', ' ')];
  return [since, ...(identity === null ? [] : [IDENTITIES[identity] ?? identity])];
}
