export interface CurlImages {
  /** Labelled image files to adapt to: two labels or more. */
  readonly examples: readonly { readonly label: string; readonly path: string }[];
  /** Image files to predict. */
  readonly queries: readonly string[];
}

/**
 * Shell lines (sh, bash, zsh) that try the service with curl and work as pasted, in their order: health, adapt to the
 * examples, predict the queries with the profile that came back.
 *
 * @throws {RangeError} where a label holds `=`, which ends a field's name on curl's command line.
 */
export function curlExamples(url: string, { examples, queries }: CurlImages): string[] {
  const files = examples.map(({ label, path }) => {
    if (/[=\n]/.test(label)) throw new RangeError(`label "${label}": curl cannot send a form field of this name`);
    return formFile(label, path);
  });
  // The id comes first in the answer; cut out with sed, which is there wherever curl is.
  const id = `$(printf %s "$answer" | sed 's/^{"profile":"\\([^"]*\\)".*/\\1/')`;
  return [
    `curl -s ${quote(`${url}/health`)}; echo`,
    `answer=$(curl -s ${quote(`${url}/adapt`)} ${files.join(' ')}); printf '%s\\n' "$answer"`,
    `curl -s ${quote(`${url}/predict`)} -F "profile=${id}" ${queries.map((path) => formFile('image', path)).join(' ')}; echo`,
  ];
}

function formFile(name: string, path: string): string {
  // Quoted for curl, which takes `,` and `;` as its own, then for the shell.
  const file = /[",;\\]/.test(path) ? `"${path.replace(/[\\"]/g, '\\$&')}"` : path;
  return `-F ${quote(`${name}=@${file}`)}`;
}

function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
