import type { IconSet } from './icon-sets.js';

/** Who drew what, under which licence, and what was done with it: beside the pictures. */
export function creditsOf(sets: readonly IconSet[], pictures: ReadonlyMap<string, number>, size: number): string {
  const rows = sets.map((set) => {
    const { style, title, version, author, licence } = set;
    const link = (text: string, url: string | undefined) => (url ? `[${text}](${url})` : text);
    const cells = [
      `\`${style}\``,
      `${title}${version ? ` ${version}` : ''}`,
      link(author.name, author.url),
      link(licence.spdx ?? licence.title, licence.url),
      `${set.package} ${set.packageVersion}`,
      String(pictures.get(style) ?? 0),
    ];
    return `| ${cells.join(' | ')} |`;
  });
  return [
    '# Credits',
    '',
    `The pictures were made by \`whet data emoji\` of the drawings of these sets. Each was changed: drawn at ${size} x ${size} pixels, turned,`,
    'scaled, lit and put on a background. A picture is under the licence of its set; its file begins with the name of the set.',
    '',
    '| set | title | author | licence | read from | pictures |',
    '|---|---|---|---|---|--:|',
    ...rows,
    '',
  ].join('\n');
}
