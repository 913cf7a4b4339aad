/** The exact line that sends a reading: what an empty page says, and others where someone asks. */
import { byId, setText } from './dom.js';

/** @typedef {import('../../core/status.ts').GatewayStatus} GatewayStatus */

const ANY_ADDRESS = new Set(['0.0.0.0', '::', '']);

export class Hint {
  #panel = byId('hint');
  #title = byId('hint-title');
  #line = byId('hint-line');
  #user = byId('hint-user');
  #copy = /** @type {HTMLButtonElement} */ (byId('hint-copy'));
  #toggle = /** @type {HTMLButtonElement} */ (byId('hint-toggle'));
  #isEmpty = false;
  #isAsked = false;
  /** @type {readonly GatewayStatus[]} */
  #gateways = [];

  constructor() {
    this.#copy.addEventListener('click', () => this.#copyLine());
    this.#toggle.addEventListener('click', () => {
      this.#isAsked = !this.#isAsked;
      this.#draw();
    });
  }

  /**
   * @param {boolean} empty whether there is no device
   * @param {import('../api.ts').Overview['roles']} roles
   */
  show(empty, roles) {
    this.#isEmpty = empty;
    this.#gateways = roles.filter((role) => role.role === 'gateway').filter(({ mqtt }) => mqtt !== null);
    this.#draw();
  }

  #draw() {
    const isOpen = this.#isEmpty || this.#isAsked;
    this.#panel.hidden = !isOpen;
    this.#toggle.hidden = this.#isEmpty;
    this.#toggle.ariaExpanded = String(isOpen);
    document.documentElement.classList.toggle('empty', this.#isEmpty);
    document.documentElement.classList.toggle('hinted', isOpen);
    setText(this.#title, this.#isEmpty ? 'No device has been heard of yet' : 'Send a reading');
    const gateway = this.#gateways.find(({ anonymous }) => anonymous) ?? this.#gateways[0];
    this.#copy.hidden = gateway === undefined;
    this.#user.hidden = gateway?.anonymous !== false;
    setText(this.#line, gateway === undefined ? 'Waiting for a gateway to listen…' : publishLine(gateway));
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

/** @param {GatewayStatus} gateway one that listens */
function publishLine({ mqtt, anonymous }) {
  const { host, port } = /** @type {NonNullable<GatewayStatus['mqtt']>} */ (mqtt);
  const reachable = ANY_ADDRESS.has(host) ? location.hostname : host;
  const user = anonymous ? '' : ' -u USER -P PASSWORD';
  return `mosquitto_pub -h ${reachable} -p ${port}${user} -q 1 -t iot/lab/s1/telemetry -m '{"temperature":21.5}'`;
}
