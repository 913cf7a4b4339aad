/** The ledger: each equation of `core/ledger.ts` with its numbers, and whether it balances. */
import { byId, element, setItems, setText } from './dom.js';
import { integer } from './format.js';

/**
 * @typedef {import('../api.ts').Ledger} Ledger
 * @typedef {Record<string, unknown>} Counters
 */

const books = [
  {
    book: /** @type {const} */ ('gateway'),
    title: 'Gateway',
    equations: [['received', 'appended', 'dropped', 'held']],
  },
  {
    book: /** @type {const} */ ('processor'),
    title: 'Processor',
    equations: [
      ['records', 'ticks', 'redelivered', 'messages'],
      ['messages', 'decoded', 'ignored', 'deadLettered'],
      ['readings', 'duplicates', 'rejected', 'accepted'],
      ['accepted', 'stored', 'refused'],
      ['accepted', 'windowed', 'late', 'notWindowed'],
    ],
  },
];

export class LedgerPanel {
  #verdict = byId('ledger-verdict');
  #imbalances = byId('ledger-imbalances');
  /** @type {{ book: 'gateway' | 'processor', equation: EquationRow }[]} */
  #rows = [];

  constructor() {
    const panel = byId('ledger');
    for (const { book, title, equations } of books) {
      const list = element('ul', 'equations');
      panel.append(element('h3', '', title), list);
      for (const [left, ...right] of equations) {
        const equation = new EquationRow(/** @type {string} */ (left), right);
        this.#rows.push({ book, equation });
        list.append(equation.row);
      }
    }
  }

  /** @param {Ledger} ledger */
  show(ledger) {
    for (const { book, equation } of this.#rows) equation.show(/** @type {Counters} */ ({ ...ledger[book] }));
    setText(this.#verdict, ledger.balanced ? '✓ balanced' : '≠ does not balance');
    this.#verdict.dataset.state = ledger.balanced ? 'good' : 'bad';
    this.#imbalances.hidden = ledger.imbalances.length === 0;
    setItems(this.#imbalances, ledger.imbalances);
  }
}

/** One equation, `left = right + right`, with a number under each name. */
class EquationRow {
  row = element('li', 'equation');
  #left;
  #right;
  #mark = element('span', 'mark');
  #reasons = element('p', 'reasons');
  /** @type {Map<string, HTMLElement>} */
  #numbers = new Map();

  /**
   * @param {string} left
   * @param {readonly string[]} right
   */
  constructor(left, right) {
    this.#left = left;
    this.#right = right;
    const sum = right.map((name, index) => this.#term(name, index === 0 ? '= ' : '+ '));
    this.row.append(element('p', 'terms', this.#mark, this.#term(left, ''), ...sum), this.#reasons);
  }

  /** @param {Counters} counters */
  show(counters) {
    for (const [name, number] of this.#numbers) {
      const value = amount(counters[name]);
      setText(number, integer(value));
      number.parentElement?.classList.toggle('zero', value === 0);
    }
    const difference =
      amount(counters[this.#left]) - this.#right.reduce((sum, name) => sum + amount(counters[name]), 0);
    this.row.classList.toggle('unequal', difference !== 0);
    setText(this.#mark, difference === 0 ? '✓' : '≠');
    this.#mark.title = difference === 0 ? 'balances' : `differs by ${integer(difference)}`;
    setText(this.#reasons, this.#right.flatMap((name) => reasons(name, counters[name])).join(' · '));
  }

  /**
   * @param {string} name
   * @param {string} operator before it
   */
  #term(name, operator) {
    const number = element('span', 'number', '0');
    this.#numbers.set(name, number);
    return element(
      'span',
      'term',
      element('span', 'operator', operator),
      number,
      ' ',
      element('span', 'name', words(name)),
    );
  }
}

/** A counter, or the sum of those by reason. @param {unknown} counter @returns {number} */
function amount(counter) {
  if (typeof counter === 'number') return counter;
  if (typeof counter !== 'object' || counter === null) return 0;
  return Object.values(counter).reduce((sum, value) => sum + amount(value), 0);
}

/**
 * @param {string} name
 * @param {unknown} counter
 */
function reasons(name, counter) {
  if (typeof counter !== 'object' || counter === null || amount(counter) === 0) return [];
  const parts = Object.entries(counter).map(([reason, value]) => `${reason} ${integer(amount(value))}`);
  return [`${words(name)}: ${parts.join(', ')}`];
}

/** `deadLettered` → `dead-lettered`, `notWindowed` → `not windowed`. @param {string} name */
function words(name) {
  return name === 'deadLettered' ? 'dead-lettered' : name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
