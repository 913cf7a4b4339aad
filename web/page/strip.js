/** The pipeline as a strip: one cell per stage in the order of the flow, and under it the exits to the side. */
import { byId, element, setItems, setText } from './dom.js';
import { compact, duration, integer, milliseconds, rate } from './format.js';
import { Sparkline } from './sparkline.js';

/**
 * @typedef {import('../api.ts').Overview} Overview
 * @typedef {import('../api.ts').Totals} Totals
 * @typedef {import('./rates.js').Rates} Rates
 * @typedef {import('../../core/status.ts').GatewayStatus} GatewayStatus
 */

/** @param {Overview} overview @returns {readonly GatewayStatus[]} */
const gateways = ({ roles }) => roles.filter((role) => role.role === 'gateway');

/** @param {Overview} overview @param {'gateway' | 'processor'} name */
function processes({ roles }, name) {
  const count = roles.filter(({ role }) => role === name).length;
  return `${integer(count)} ${count === 1 ? 'process' : 'processes'}`;
}

/** The slowest gateway speaks for all. @param {Overview} overview */
function acknowledged(overview) {
  const times = gateways(overview).flatMap(({ ackMs }) => (ackMs === null ? [] : [ackMs]));
  if (times.length === 0) return '';
  const worst = times.reduce((a, b) => (b.p99 > a.p99 ? b : a));
  return `ack ${milliseconds(worst.p50)}, p99 ${milliseconds(worst.p99)}`;
}

/** @param {Overview} overview */
function addresses(overview) {
  const listening = gateways(overview).flatMap(({ mqtt }) => (mqtt === null ? [] : [`${mqtt.host}:${mqtt.port}`]));
  return listening.length === 0 ? 'no gateway listens' : `MQTT ${listening.join(', ')}`;
}

/** @param {Overview} overview */
function tlsAddresses(overview) {
  const listening = gateways(overview).flatMap(({ tls }) => (tls === null ? [] : [`${tls.host}:${tls.port}`]));
  return listening.length === 0 ? '' : `TLS ${listening.join(', ')}`;
}

/** The first to end of all. @param {Overview} overview */
function certificateEnd(overview) {
  const ends = gateways(overview).flatMap(({ tls }) => (tls === null ? [] : [tls.certificateEndsMs]));
  if (ends.length === 0) return '';
  const leftMs = Math.min(...ends) - overview.atMs;
  return leftMs > 0 ? `certificate good for ${duration(leftMs)}` : 'certificate has ended';
}

/** Why someone is not let in, may not do what it tries, or is no one any more; all other reasons: /metrics. */
const REFUSALS = /** @type {const} */ ([
  'bad_credentials',
  'too_many_logins',
  'keys_unavailable',
  'not_authorized',
  'client_id_taken',
  'tls_failed',
  'identity_revoked',
  'token_expired',
]);

/** By reason, where there are any. @param {Overview} overview @returns {(readonly [string, number])[]} */
function refusals(overview) {
  const counts = REFUSALS.map((reason) => {
    const count = gateways(overview).reduce((sum, { closed }) => sum + (closed[reason] ?? 0), 0);
    return /** @type {const} */ ([reason.replaceAll('_', ' '), count]);
  });
  const found = counts.filter(([, count]) => count > 0);
  return found.length === 0 ? [['refused', 0]] : found;
}

/** @param {Overview} overview */
function throttled(overview) {
  const times = gateways(overview).reduce((sum, gateway) => sum + gateway.throttled, 0);
  return times === 0 ? '' : `throttled ${compact(times)} times`;
}

/** @param {Overview['lag']} lag */
function behind({ records, seconds }) {
  if (records === 0) return 'no lag';
  return seconds < 1 ? 'under 1 s of lag' : `${duration(seconds * 1000)} of lag`;
}

/** @param {Partial<Record<string, number>>} byReason */
const total = (byReason) => Object.values(byReason).reduce((/** @type {number} */ sum, count) => sum + (count ?? 0), 0);

/**
 * What a stage is drawn from.
 * @typedef {{ overview: Overview, rates: Rates, firing: number }} Now
 *
 * `figure` is the number that is read first, `details` say more of it, `exits` are counters of what left the flow.
 * @typedef {object} Stage
 * @property {string} name
 * @property {keyof Totals} [flow] the counter whose rate is drawn
 * @property {(now: Now) => string} figure
 * @property {string} unit
 * @property {(now: Now) => readonly string[]} details empty ones are left out
 * @property {(now: Now) => readonly (readonly [string, number])[]} [exits]
 */

/** @type {readonly Stage[]} */
const stages = [
  {
    name: 'Clients',
    figure: ({ overview }) => compact(overview.totals.clients),
    unit: 'connected',
    details: ({ overview }) => [
      addresses(overview),
      tlsAddresses(overview),
      certificateEnd(overview),
      throttled(overview),
    ],
    exits: ({ overview }) => refusals(overview),
  },
  {
    name: 'Gateway',
    flow: 'received',
    figure: ({ rates }) => rate(rates.perSecond('received')),
    unit: 'received/s',
    details: ({ overview, rates }) => [`${rate(rates.perSecond('appended'))} appended/s`, acknowledged(overview)],
    exits: ({ overview }) => [['dropped', total(overview.ledger.gateway.dropped)]],
  },
  {
    name: 'Bus',
    figure: ({ overview }) => compact(overview.lag.records),
    unit: 'behind',
    details: ({ overview }) => [behind(overview.lag), overview.bus],
  },
  {
    name: 'Processor',
    flow: 'processed',
    figure: ({ rates }) => rate(rates.perSecond('processed')),
    unit: 'records/s',
    details: ({ overview }) => [processes(overview, 'processor')],
    exits: ({ overview: { totals } }) => [
      ['dead-lettered', totals.deadLettered],
      ['late', totals.late],
      ['duplicates', totals.duplicates],
    ],
  },
  {
    name: 'Store',
    flow: 'stored',
    figure: ({ rates }) => rate(rates.perSecond('stored')),
    unit: 'readings/s',
    details: ({ overview, rates }) => [`${rate(rates.perMinute('rollups'))} rollups/min`, overview.store],
  },
  {
    name: 'Alerts',
    figure: ({ firing }) => compact(firing),
    unit: 'firing',
    details: ({ overview }) => [`${compact(overview.totals.alerts)} raised in all`],
  },
];

export class Strip {
  #cells = stages.map((stage) => new StageCell(stage));

  constructor() {
    byId('strip').append(...this.#cells.map(({ cell }) => cell));
  }

  /** @param {Now} now */
  show(now) {
    for (const cell of this.#cells) cell.show(now);
  }
}

class StageCell {
  cell = element('li', 'stage');
  #stage;
  #figure = element('strong', 'figure', '–');
  #details = element('ul', 'details');
  #exits = element('ul', 'exits');
  #sparkline;

  /** @param {Stage} stage */
  constructor(stage) {
    this.#stage = stage;
    this.#sparkline = stage.flow === undefined ? null : new Sparkline();
    const unit = element('span', 'unit', stage.unit);
    this.cell.append(
      element('h2', 'name', stage.name),
      element('p', 'reading', this.#figure, ' ', unit),
      ...(this.#sparkline === null ? [] : [this.#sparkline.drawing]),
      this.#details,
      this.#exits,
    );
  }

  /** @param {Now} now */
  show(now) {
    const { figure, details, exits, flow } = this.#stage;
    setText(this.#figure, figure(now));
    setItems(
      this.#details,
      details(now).filter((text) => text !== ''),
    );
    const out = exits?.(now) ?? [];
    setItems(
      this.#exits,
      out.map(([name, count]) => `${compact(count)} ${name}`),
    );
    for (const [index, [, count]] of out.entries()) this.#exits.children[index]?.classList.toggle('zero', count === 0);
    if (flow === undefined) return;
    this.#sparkline?.draw(now.rates.lastMinute(flow));
    this.cell.title = `${integer(now.overview.totals[flow])} ${flow} in all`;
  }
}
