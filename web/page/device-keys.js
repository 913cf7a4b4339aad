/** Arrow keys in the device list: up and down between devices, left and right between the values of one. */

/**
 * @param {HTMLElement} rows
 * @param {KeyboardEvent} event
 */
export function moveFocus(rows, event) {
  const from = document.activeElement;
  const row = from?.closest('tr');
  if (!(from instanceof HTMLButtonElement) || !row || event.ctrlKey || event.altKey || event.metaKey) return;
  const target = destination(rows, row, from, event.key);
  if (target === undefined) return;
  event.preventDefault();
  target?.focus();
  target?.scrollIntoView({ block: 'nearest' });
}

/**
 * `undefined` for a key that is none of ours, `null` where there is nothing that way.
 * @param {HTMLElement} rows
 * @param {HTMLElement} row
 * @param {HTMLButtonElement} from
 * @param {string} key
 * @returns {HTMLButtonElement | null | undefined}
 */
function destination(rows, row, from, key) {
  const values = valuesOf(row);
  const column = values.indexOf(from);
  const others = [...rows.children].filter((other) => other === row || valuesOf(other).length > 0);
  const at = others.indexOf(row);
  const inRow = (/** @type {number} */ index) => {
    const found = valuesOf(others[Math.max(0, Math.min(index, others.length - 1))]);
    return found[Math.min(column, found.length - 1)] ?? null;
  };
  switch (key) {
    case 'ArrowLeft':
      return values[column - 1] ?? null;
    case 'ArrowRight':
      return values[column + 1] ?? null;
    case 'ArrowUp':
      return inRow(at - 1);
    case 'ArrowDown':
      return inRow(at + 1);
    case 'PageUp':
      return inRow(at - 10);
    case 'PageDown':
      return inRow(at + 10);
    case 'Home':
      return inRow(0);
    case 'End':
      return inRow(others.length - 1);
    default:
      return undefined;
  }
}

/** @param {Element | undefined} row */
const valuesOf = (row) => (row === undefined ? [] : [...row.querySelectorAll('button')]);
