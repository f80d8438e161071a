import { Html, html } from './html.js';

/** Colours hold on both grounds at 4.5 to 1 for words and 3 to 1 for lines and marks (WCAG 2.2, 1.4.3 and 1.4.11). */
const STYLE = `
:root { color-scheme: light dark; --ground: #fff; --panel: #f5f6f8; --text: #1c2330; --muted: #586173; --line: #d5d9e0;
  --a: #1f6fd0; --b: #c2410c; --c: #0f7b5f; --d: #8b3fbf; --e: #8a6d00; --f: #b0266e; --good: #0f7b5f; --bad: #c2410c; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171d; --panel: #1d222b; --text: #e6e9ef; --muted: #a3adbd;
  --line: #3a424f; --a: #6aa9f4; --b: #f08a4b; --c: #45c29d; --d: #c08af0; --e: #d6b64a; --f: #f07ab5;
  --good: #45c29d; --bad: #f08a4b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1.25rem 1rem 3rem; background: var(--ground); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p { margin: .4rem 0; max-width: 45rem; }
.muted, figcaption, .caption { color: var(--muted); font-size: .9rem; }
figure { margin: .8rem 0; }
.chart svg { display: block; width: 100%; height: auto; }
.narrow { display: none; }
@media (max-width: 47rem) { .wide { display: none; } .narrow { display: block; } }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
thead th { color: var(--muted); font-weight: 600; vertical-align: bottom; white-space: normal; }
tbody th { font-weight: 400; white-space: normal; overflow-wrap: anywhere; min-width: 6rem; }
@media (max-width: 47rem) { table { font-size: .8rem; } th, td { padding: .25rem .35rem; } }
tr.chosen > * { font-weight: 700; }
details { margin: .6rem 0; }
summary { cursor: pointer; color: var(--a); }
.facts { display: flex; flex-wrap: wrap; gap: .6rem; padding: 0; margin: .8rem 0; list-style: none; }
.facts li { background: var(--panel); border-radius: .5rem; padding: .5rem .8rem; flex: 1 1 9rem; min-width: 0; }
.facts b { display: block; font-size: 1.25rem; overflow-wrap: anywhere; }
pre { background: var(--panel); padding: .7rem; border-radius: .5rem; overflow-x: auto; font-size: .85rem; }
code { font-size: .92em; }
.mask { display: block; max-width: none; image-rendering: pixelated; background: var(--panel); outline: 1px solid var(--line);
  outline-offset: -1px; }
.examples { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: .7rem; padding: 0;
  margin: .5rem 0; list-style: none; }
.examples li { display: flex; gap: .6rem; padding: .6rem; background: var(--panel); border-radius: .5rem;
  border-left: .3rem solid var(--bad); }
.examples li.right { border-color: var(--good); }
.examples figure { margin: 0; flex: 1 1 0; min-width: 0; }
.examples figcaption { font-size: .8rem; line-height: 1.3; overflow-wrap: anywhere; }
.example { display: block; width: 4rem; height: auto; border: 1px solid var(--line); image-rendering: pixelated; }
`;

/** A page that needs nothing but itself: no script, no address. */
export function page(title: string, body: Html): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>${title}</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
${body}
</body>
</html>
`.text;
}

export interface TableOptions {
  readonly caption?: string;
  /** The row, counted from 0, that the page is about. */
  readonly marked?: number | undefined;
}

/** A table whose first column names its rows. It scrolls by itself where the page is narrow. */
export function table(
  head: readonly string[],
  rows: readonly (readonly (string | Html)[])[],
  { caption, marked }: TableOptions = {},
): Html {
  const cells = ([first, ...others]: readonly (string | Html)[]) =>
    html`<th scope="row">${first}</th>${others.map((cell) => html`<td>${cell}</td>`)}`;
  // Beside the table, not in it: a caption would be as wide as what scrolls.
  return html`${caption !== undefined && html`<p class="caption">${caption}</p>`}
<div class="scroll" tabindex="0" role="region" aria-label="${caption ?? head.join(', ')}"><table>
<thead><tr>${head.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
<tbody>${rows.map((row, i) => html`<tr${i === marked && html` class="chosen"`}>${cells(row)}</tr>\n`)}</tbody>
</table></div>`;
}

/** A chart with its words, and its figures as a table for who cannot see it. */
export function figure(chart: Html, caption: string, figures?: Html): Html {
  const folded = figures && html`<details><summary>Figures as a table</summary>${figures}</details>`;
  return html`<figure>${chart}<figcaption>${caption}</figcaption>${folded}</figure>`;
}

/** Some figures in large type. */
export function facts(entries: readonly (readonly [value: string | Html, what: string])[]): Html {
  return html`<ul class="facts">${entries.map(([value, what]) => html`<li><b>${value}</b> ${what}</li>`)}</ul>`;
}
