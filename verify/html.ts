/** The report as one page that needs nothing else: to be kept as evidence, or sent. */
import { escaped, page } from '../core/page.ts';
import { problemKinds } from './findings.ts';
import { problemText, rowsOf, unlisted, type VerifyReport } from './report.ts';

const style = `
th { width: 12rem; font-weight: 600 }`;

export function reportHtml(report: VerifyReport): string {
  const title = `Sluice verify: ${report.run.run}`;
  const rows = rowsOf(report).map(
    ([name, value]) => `<tr><th scope="row">${escaped(name)}</th><td>${escaped(value)}</td></tr>`,
  );
  const problems = [...report.problems.map(problemText), ...unlisted(report)].map(
    (text) => `<li>${escaped(text)}</li>`,
  );
  const counts = Object.entries(report.problemCounts).map(
    ([kind, count]) =>
      `<tr><th scope="row">${kind}</th><td>${problemKinds[kind as keyof typeof problemKinds] ?? ''}</td><td>${count}</td></tr>`,
  );
  const body = `<p class="verdict ${report.ok ? 'ok' : 'broken'}">${escaped(report.verdict)}</p>
<p>Run started ${new Date(report.run.startedAtMs).toISOString()} against ${escaped(report.run.broker)}, simulator ${escaped(report.run.version)}.</p>
<table>
${rows.join('\n')}
</table>
<h2>Checks</h2>
<table>
<tr><th>problem</th><th>promise</th><th>found</th></tr>
${counts.join('\n')}
</table>
<h2>Problems</h2>
${problems.length === 0 ? '<p>None.</p>' : `<ul>\n${problems.join('\n')}\n</ul>`}`;
  return page({ title, style, body });
}
