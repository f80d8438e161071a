import type { OpenApiDocument } from './openapi.js';

// A page without scripts: it works under the strictest policy, offline, and needs nothing from elsewhere.

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --quiet: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .6rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; }
summary code { font-weight: 600; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
pre { background: var(--quiet); padding: .6rem; overflow-x: auto; border-radius: .3rem; }
`;

/** Text that is safe in HTML. */
class Html {
  constructor(readonly text: string) {}
}

/** Markup; what is put in is escaped unless it is markup itself. */
function html(parts: TemplateStringsArray, ...values: readonly unknown[]): Html {
  const put = (value: unknown): string => {
    if (value instanceof Html) return value.text;
    if (Array.isArray(value)) return value.map(put).join('');
    return String(value ?? '').replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
  };
  return new Html(parts.map((part, i) => part + (i < values.length ? put(values[i]) : '')).join(''));
}

/** `text` with what stands between backquotes set as code. */
const prose = (text = '') =>
  text.split('`').map((part, i) => (i % 2 === 0 ? html`${part}` : html`<code>${part}</code>`));

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly additionalProperties?: Schema | boolean;
}

interface Operation {
  readonly summary: string;
  readonly parameters?: readonly {
    name: string;
    in: string;
    required?: boolean;
    schema: Schema;
    description?: string;
  }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { schema: Schema }>> };
  readonly responses: Readonly<
    Record<string, { description: string; content?: Readonly<Record<string, { schema: Schema }>> }>
  >;
}

/** The document, to be read by people. */
export function renderDocument(document: OpenApiDocument): string {
  const { info } = document;
  const paths = Object.entries((document.paths ?? {}) as unknown as Record<string, Record<string, Operation>>);
  const schemas = Object.entries((document.components?.schemas ?? {}) as Record<string, Schema>);
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${info.title} ${info.version}: the API</title><style>${new Html(STYLE)}</style></head><body>
<h1>${info.title} ${info.version}</h1>
<p>${prose(info.description)} As <a href="openapi.json">OpenAPI 3.1</a>.</p>
<h2>Requests</h2>
${paths.flatMap(([path, operations]) => Object.entries(operations).map(([method, operation]) => renderOperation(method, path, operation)))}
<h2>Schemas</h2>
${schemas.map(([name, schema]) => html`<h3 id="${name}">${name}</h3>${renderSchema(schema)}`)}
</body></html>`.text;
}

function renderOperation(
  method: string,
  path: string,
  { summary, parameters, requestBody, responses }: Operation,
): Html {
  const rows = (parameters ?? []).map(
    ({ name, in: place, required, schema, description }) =>
      html`<tr><td><code>${name}</code></td><td>${place}${required ? ', required' : ''}</td><td>${typeOf(schema)}</td>
        <td>${prose(description ?? schema.description)}</td></tr>`,
  );
  const bodies = Object.entries(requestBody?.content ?? {}).map(
    ([type, { schema }]) =>
      html`<p><code>${type}</code>: ${typeOf(schema)}</p>${schema.properties ? renderSchema(schema) : ''}`,
  );
  const answers = Object.entries(responses).map(
    ([status, { description, content }]) =>
      html`<tr><td>${status}</td><td>${prose(description)}</td>
        <td>${Object.entries(content ?? {}).map(([type, { schema }]) => html`<code>${type}</code> ${typeOf(schema)}<br>`)}</td></tr>`,
  );
  return html`<details><summary><code>${method.toUpperCase()} ${path}</code> ${prose(summary)}</summary>
${rows.length > 0 ? html`<h4>Parameters</h4><table>${rows}</table>` : ''}
${bodies.length > 0 ? html`<h4>Body</h4>${bodies}` : ''}
<h4>Answers</h4><table>${answers}</table></details>`;
}

function renderSchema(schema: Schema): Html {
  const members = Object.entries(schema.properties ?? {});
  const rows = members.map(
    ([name, member]) => html`<tr><td><code>${name}</code></td><td>${typeOf(member)}</td>
      <td>${schema.required?.includes(name) ? 'required' : ''}</td><td>${prose(member.description)}</td></tr>`,
  );
  const text = schema.description ? html`<p>${prose(schema.description)}</p>` : '';
  return members.length > 0
    ? html`${text}<table>${rows}</table>`
    : html`${text}<pre>${JSON.stringify(schema, null, 2)}</pre>`;
}

function typeOf(schema: Schema): Html {
  const { $ref, type, items, anyOf, oneOf, additionalProperties } = schema;
  if ($ref) {
    const name = $ref.split('/').at(-1);
    return html`<a href="#${name}">${name}</a>`;
  }
  const choices = anyOf ?? oneOf;
  if (choices) return html`${choices.map((each, i) => html`${i > 0 ? ' or ' : ''}${typeOf(each)}`)}`;
  if (type === 'array' && items) return html`array of ${typeOf(items)}`;
  if (type === 'object' && typeof additionalProperties === 'object')
    return html`object of ${typeOf(additionalProperties)}`;
  return html`${Array.isArray(type) ? type.join(' or ') : (type ?? 'anything')}`;
}
