/** Lines over one axis as SVG, drawn once: colours from the page's style, a dash of its own for each line. */
import { escaped } from '../../core/page.ts';

export interface Line {
  readonly name: string;
  /** In the order of x; where y is `null` the line is broken. */
  readonly points: readonly (readonly [x: number, y: number | null])[];
}

export interface Plot {
  /** Unique in the page. */
  readonly id: string;
  readonly title: string;
  /** What it shows, for who cannot see it. */
  readonly description: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly xTicks: readonly (readonly [x: number, label: string])[];
  /** `log` shows values below 1 as 1. */
  readonly yScale: 'linear' | 'log';
  /** At most as many as there are dashes. */
  readonly lines: readonly Line[];
}

const size = { width: 720, height: 280 } as const;
const frame = { left: 64, right: 12, top: 10, bottom: 44 } as const;
const inner = { width: size.width - frame.left - frame.right, height: size.height - frame.top - frame.bottom } as const;
const dashes = ['none', '7 3', '2 3', '9 3 2 3'] as const;

export const plotStyle = `
figure { margin: 1.5rem 0 } figure svg { width: 100%; height: auto } figcaption { font-weight: 600 }
.legend { display: flex; flex-wrap: wrap; gap: 0 1.5rem; list-style: none; padding: 0; margin: 0.25rem 0 } .legend svg { width: 2.5rem; height: 0.75rem; margin-right: 0.4rem }
.axis { stroke: #80838d; stroke-width: 1 } .grid { stroke: #80838d; stroke-opacity: 0.25; stroke-width: 1 } .tick { font-size: 12px; fill: currentColor }
.line { fill: none; stroke-width: 1.8; stroke-linecap: round } .line0 { stroke: #0072b2 } .line1 { stroke: #b34700 } .line2 { stroke: #007a5a } .line3 { stroke: #9c3d77 }
@media (prefers-color-scheme: dark) { .line0 { stroke: #56b4e9 } .line1 { stroke: #f0a35e } .line2 { stroke: #3fd0a2 } .line3 { stroke: #e7a6cf } }`;

export function figure(plot: Plot): string {
  const legend = plot.lines.map(
    ({ name }, n) =>
      `<li><svg viewBox="0 0 40 12" aria-hidden="true"><path class="line line${n}" stroke-dasharray="${dashes[n]}" d="M0 6H40"/></svg>${escaped(name)}</li>`,
  );
  return `<figure>
<figcaption>${escaped(plot.title)}</figcaption>
<ul class="legend">${legend.join('')}</ul>
${svg(plot)}
</figure>`;
}

function svg(plot: Plot): string {
  const { id, title, description, xLabel, yLabel, lines } = plot;
  const all = lines.flatMap(({ points }) => points);
  const xEnd = Math.max(...all.map(([x]) => x), ...plot.xTicks.map(([x]) => x), Number.MIN_VALUE);
  const xStart = Math.min(...all.map(([x]) => x), ...plot.xTicks.map(([x]) => x));
  const y = plot.yScale === 'log' ? logAxis(all) : linearAxis(all);
  const xOf = (value: number) => frame.left + ((value - xStart) / (xEnd - xStart || 1)) * inner.width;
  const yOf = (value: number) => frame.top + (1 - y.part(value)) * inner.height;
  const bottom = frame.top + inner.height;
  const xTicks = plot.xTicks.map(([value, label]) => {
    const x = xOf(value).toFixed(1);
    return `<path class="grid" d="M${x} ${frame.top}V${bottom}"/><text class="tick" x="${x}" y="${bottom + 16}" text-anchor="middle">${escaped(label)}</text>`;
  });
  const yTicks = y.ticks.map((value) => {
    const at = yOf(value).toFixed(1);
    return `<path class="grid" d="M${frame.left} ${at}H${size.width - frame.right}"/><text class="tick" x="${frame.left - 6}" y="${Number(at) + 4}" text-anchor="end">${value.toLocaleString('en')}</text>`;
  });
  const paths = lines.map(
    ({ points }, n) => `<path class="line line${n}" stroke-dasharray="${dashes[n]}" d="${pathOf(points, xOf, yOf)}"/>`,
  );
  return `<svg viewBox="0 0 ${size.width} ${size.height}" role="img" aria-labelledby="${id}-title ${id}-description">
<title id="${id}-title">${escaped(title)}</title><desc id="${id}-description">${escaped(description)}</desc>
${xTicks.join('\n')}
${yTicks.join('\n')}
<path class="axis" d="M${frame.left} ${frame.top}V${bottom}H${size.width - frame.right}" fill="none"/>
<text class="tick" x="${frame.left + inner.width / 2}" y="${size.height - 8}" text-anchor="middle">${escaped(xLabel)}</text>
<text class="tick" x="14" y="${frame.top + inner.height / 2}" text-anchor="middle" transform="rotate(-90 14 ${frame.top + inner.height / 2})">${escaped(yLabel)}</text>
${paths.join('\n')}
</svg>`;
}

interface Axis {
  readonly ticks: readonly number[];
  /** Where a value is, 0 at the bottom to 1 at the top. */
  part(value: number): number;
}

function linearAxis(points: Line['points']): Axis {
  const highest = Math.max(1, ...points.map(([, y]) => y ?? 0));
  const rough = highest / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough)!;
  const end = Math.ceil(highest / step) * step;
  const ticks = Array.from({ length: Math.round(end / step) + 1 }, (_, n) => n * step);
  return { ticks, part: (value) => value / end };
}

function logAxis(points: Line['points']): Axis {
  const decades = Math.max(1, Math.ceil(Math.log10(Math.max(1, ...points.map(([, y]) => y ?? 0)))));
  const ticks = Array.from({ length: decades + 1 }, (_, n) => 10 ** n);
  return { ticks, part: (value) => Math.log10(Math.max(1, value)) / decades };
}

/** Of points at the same tenth of a unit only the last is drawn. */
function pathOf(points: Line['points'], xOf: (x: number) => number, yOf: (y: number) => number): string {
  const commands: string[] = [];
  let isBroken = true;
  points.forEach(([x, y], n) => {
    if (y === null) {
      isBroken = true;
      return;
    }
    const at = xOf(x).toFixed(1);
    const next = points[n + 1];
    if (!isBroken && next !== undefined && next[1] !== null && xOf(next[0]).toFixed(1) === at) return;
    // A line of no length is a dot.
    commands.push(`${isBroken ? 'M' : 'L'}${at} ${yOf(y).toFixed(1)}${isBroken ? 'h0' : ''}`);
    isBroken = false;
  });
  return commands.join('');
}
