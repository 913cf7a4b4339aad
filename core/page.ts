/** A page that needs nothing else: to be kept as evidence, or sent. */

const baseStyle = `
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1c2024; background: #fff }
.verdict { padding: 0.75rem 1rem; border-left: 0.4rem solid; font-weight: 600 }
.ok { border-color: #18794e; background: #e9f9ee } .broken { border-color: #cd2b31; background: #ffefef }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: 0.35rem 0.75rem; border-bottom: 1px solid #d8dbe0; vertical-align: top }
li { margin: 0.35rem 0; overflow-wrap: anywhere }
@media (prefers-color-scheme: dark) { body { color: #edeef0; background: #111113 } .ok { background: #0f2a1c } .broken { background: #3b1219 } th, td { border-color: #363a3f } }`;

/** `body` and `style` are HTML and CSS as they are; `title` is text, and the page's heading. */
export function page({ title, style = '', body }: { title: string; style?: string; body: string }): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(title)}</title>
<style>${baseStyle}${style}
</style>
</head>
<body>
<main>
<h1>${escaped(title)}</h1>
${body}
</main>
</body>
</html>
`;
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** Text as HTML, also within the quotes of an attribute. */
export function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => entities[character]!);
}
