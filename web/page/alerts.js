/** The alert feed: the current state of each, firing first, then pending, then resolved; within that the newest first. */
import { nowMs } from './clock.js';
import { arrange, byId, element, oncePerFrame, setText } from './dom.js';
import { duration, exactTime, fieldValue, integer } from './format.js';

/** @typedef {import('../../core/alert.ts').Alert} Alert */

const SHOWN_ALERTS = 50;
/** Of those resolved; beyond, the oldest are forgotten. */
const KEPT_RESOLVED = 200;
const severities = ['critical', 'warning', 'info'];
const rank = { firing: 0, pending: 1, resolved: 2 };

/** Since when it is what it is. @param {Alert} alert */
function since({ status, startsAt, firedAt, endsAt }) {
  return (status === 'resolved' ? endsAt : status === 'firing' ? firedAt : null) ?? startsAt;
}

/** @param {Alert} a @param {Alert} b */
const byUrgency = (a, b) =>
  rank[a.status] - rank[b.status] || Date.parse(since(b)) - Date.parse(since(a)) || (a.id < b.id ? -1 : 1);

export class AlertFeed {
  #list = byId('alerts');
  #tally = byId('alerts-tally');
  #note = byId('alerts-note');
  /** By fingerprint. @type {Map<string, Alert>} */
  #alerts = new Map();
  /** By the id of the transition they show. @type {Map<string, AlertItem>} */
  #drawn = new Map();
  #draw = oncePerFrame(() => this.#drawNow());

  constructor() {
    this.#draw();
  }

  clear() {
    this.#alerts.clear();
    this.#draw();
  }

  /**
   * Takes a state unless a newer one of the same alert is known.
   * @param {Alert} alert
   * @returns {boolean} whether it was news
   */
  update(alert) {
    const known = this.#alerts.get(alert.fingerprint);
    if (known !== undefined && !isNewer(alert, known)) return false;
    this.#alerts.set(alert.fingerprint, alert);
    this.#forgetOldest();
    this.#draw();
    return true;
  }

  /** How many fire now. */
  get firing() {
    return [...this.#alerts.values()].filter(({ status }) => status === 'firing').length;
  }

  tick() {
    for (const item of this.#drawn.values()) item.showAge(nowMs());
  }

  #forgetOldest() {
    const resolved = [...this.#alerts.values()].filter(({ status }) => status === 'resolved').sort(byUrgency);
    for (const { fingerprint } of resolved.slice(KEPT_RESOLVED)) this.#alerts.delete(fingerprint);
  }

  #drawNow() {
    const all = [...this.#alerts.values()].sort(byUrgency);
    const shown = all.slice(0, SHOWN_ALERTS);
    const drawn = new Map(shown.map((alert) => [alert.id, this.#drawn.get(alert.id) ?? new AlertItem(alert)]));
    this.#drawn = drawn;
    arrange(
      this.#list,
      [...drawn.values()].map(({ item }) => item),
    );
    this.tick();
    const firing = all.filter(({ status }) => status === 'firing');
    setText(this.#tally, firing.length === 0 ? 'none firing' : `${integer(firing.length)} firing`);
    this.#tally.dataset.state = severities.find((worst) => firing.some(({ severity }) => severity === worst)) ?? 'good';
    setText(this.#note, noteOn(all.length, shown.length));
  }
}

/** @param {Alert} alert @param {Alert} known */
function isNewer(alert, known) {
  const later = Date.parse(alert.startsAt) - Date.parse(known.startsAt);
  return later > 0 || (later === 0 && alert.seq > known.seq);
}

/** @param {number} all @param {number} shown */
function noteOn(all, shown) {
  if (all === 0) return 'No alert is pending or firing. Rules come from rules.yaml.';
  return all > shown ? `${integer(all - shown)} more are not drawn.` : '';
}

/** One state of one alert; it never changes but for its age. */
class AlertItem {
  item = element('li', 'alert');
  #alert;
  #age = element('time', 'quiet');

  /** @param {Alert} alert */
  constructor(alert) {
    this.#alert = alert;
    const { status, severity, rule, site, device, value, threshold, summary } = alert;
    this.item.dataset.status = status;
    this.item.dataset.severity = severity;
    this.#age.dateTime = since(this.#alert);
    this.#age.title = [
      `condition true from ${exactTime(Date.parse(alert.startsAt))}`,
      ...(alert.firedAt === null ? [] : [`fired ${exactTime(Date.parse(alert.firedAt))}`]),
      ...(alert.endsAt === null ? [] : [`ended ${exactTime(Date.parse(alert.endsAt))}`]),
    ].join('\n');
    const kind = [
      element('span', 'badge', status),
      element('span', 'severity', severity),
      element('span', 'rule', rule),
    ];
    this.item.append(
      element('p', 'line', ...kind, this.#age),
      element('p', 'summary', summary),
      element(
        'p',
        'facts',
        element('span', 'where', `${site}/${device}`),
        element('span', 'number', `value ${fieldValue(value)}, threshold ${fieldValue(threshold)}`),
      ),
    );
  }

  /** @param {number} atMs */
  showAge(atMs) {
    const { status } = this.#alert;
    const age = duration(atMs - Date.parse(since(this.#alert)));
    setText(this.#age, status === 'resolved' ? `${age} ago` : `for ${age}`);
  }
}
