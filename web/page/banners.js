/** What stands above everything while it lasts: a lost connection, and what the pipeline says is wrong. */
import { byId, element, setItems, setText } from './dom.js';

export class Banners {
  #connection = byId('connection');
  #lost = element('p', 'banner lost');
  #problems = element('ul', 'banner problems');

  constructor() {
    this.#lost.hidden = true;
    this.#problems.hidden = true;
    this.#problems.ariaLabel = 'Problems';
    byId('banners').append(this.#lost, this.#problems);
  }

  connected() {
    this.#show('live');
    this.#lost.hidden = true;
  }

  lost() {
    this.#show('reconnecting');
    setText(this.#lost, 'Connection lost. What is shown is as of then; trying again.');
    this.#lost.hidden = false;
  }

  /** @param {readonly string[]} problems */
  showProblems(problems) {
    this.#problems.hidden = problems.length === 0;
    setItems(this.#problems, problems);
  }

  /** @param {'live' | 'reconnecting'} state */
  #show(state) {
    setText(this.#connection, state);
    this.#connection.dataset.state = state;
    document.documentElement.dataset.connection = state;
  }
}
