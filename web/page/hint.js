/** What an empty page says: the exact line that makes the first device appear. */
import { byId, setText } from './dom.js';

const ANY_ADDRESS = new Set(['0.0.0.0', '::', '']);

export class Hint {
  #panel = byId('hint');
  #line = byId('hint-line');
  #copy = /** @type {HTMLButtonElement} */ (byId('hint-copy'));

  constructor() {
    this.#copy.addEventListener('click', () => this.#copyLine());
  }

  /**
   * @param {boolean} empty whether there is no device
   * @param {import('../api.ts').Overview['roles']} roles
   */
  show(empty, roles) {
    this.#panel.hidden = !empty;
    document.documentElement.classList.toggle('empty', empty);
    if (!empty) return;
    const mqtt = roles.flatMap((role) => (role.role === 'gateway' && role.mqtt !== null ? [role.mqtt] : []))[0];
    this.#copy.hidden = mqtt === undefined;
    setText(this.#line, mqtt === undefined ? 'Waiting for a gateway to listen…' : publishLine(mqtt));
  }

  /** The clipboard is there only on https and localhost: elsewhere the line is selected, to be copied by hand. */
  async #copyLine() {
    try {
      await navigator.clipboard.writeText(this.#line.textContent ?? '');
      setText(this.#copy, 'Copied');
    } catch {
      getSelection()?.selectAllChildren(this.#line);
      setText(this.#copy, 'Selected');
    }
    setTimeout(() => setText(this.#copy, 'Copy'), 2000);
  }
}

/** @param {{ host: string, port: number }} mqtt */
function publishLine({ host, port }) {
  const reachable = ANY_ADDRESS.has(host) ? location.hostname : host;
  return `mosquitto_pub -h ${reachable} -p ${port} -q 1 -t iot/lab/s1/telemetry -m '{"temperature":21.5}'`;
}
