/** The report as one page that needs nothing else: to be kept as evidence, or sent. */
import { problemKinds } from './findings.ts';
import { problemText, rowsOf, unlisted, type VerifyReport } from './report.ts';

const style = `
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1c2024; background: #fff }
.verdict { padding: 0.75rem 1rem; border-left: 0.4rem solid; font-weight: 600 }
.ok { border-color: #18794e; background: #e9f9ee } .broken { border-color: #cd2b31; background: #ffefef }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: 0.35rem 0.75rem; border-bottom: 1px solid #d8dbe0; vertical-align: top }
th { width: 12rem; font-weight: 600 } li { margin: 0.35rem 0; overflow-wrap: anywhere }
@media (prefers-color-scheme: dark) { body { color: #edeef0; background: #111113 } .ok { background: #0f2a1c } .broken { background: #3b1219 } th, td { border-color: #363a3f } }`;

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
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>${style}
</style>
</head>
<body>
<h1>${escaped(title)}</h1>
<p class="verdict ${report.ok ? 'ok' : 'broken'}">${escaped(report.verdict)}</p>
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
${problems.length === 0 ? '<p>None.</p>' : `<ul>\n${problems.join('\n')}\n</ul>`}
</body>
</html>
`;
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => entities[character]!);
}
