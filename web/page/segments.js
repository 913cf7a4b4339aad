/** A choice of a few as radio buttons in a row; the browser brings their keys. */
import { element } from './dom.js';

export class Segments {
  /** @type {HTMLInputElement[]} */
  #inputs = [];

  /**
   * @param {HTMLElement} group
   * @param {string} name
   * @param {readonly (readonly [string, string])[]} choices value and text
   * @param {(value: string) => void} onChoose
   */
  constructor(group, name, choices, onChoose) {
    for (const [value, text] of choices) {
      const input = element('input');
      input.type = 'radio';
      input.name = name;
      input.value = value;
      input.addEventListener('change', () => onChoose(value));
      this.#inputs.push(input);
      group.append(element('label', 'segment', input, element('span', '', text)));
    }
  }

  /** @param {string} value */
  show(value) {
    for (const input of this.#inputs) input.checked = input.value === value;
  }
}
