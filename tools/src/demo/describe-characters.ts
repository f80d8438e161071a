import type { DemoCharacter } from './characters.js';
import { IMAGE_SIZE } from './draw-glyph.js';
import type { DemoFont } from './fonts.js';

/** Returns the page about the drawn characters, as Markdown. */
export function describeCharacters(
  fonts: readonly DemoFont[],
  characters: readonly DemoCharacter[],
  images: readonly { readonly label: string; readonly font: string }[],
): string {
  const labelRows = characters.map(({ label, character }) => {
    const count = images.filter((image) => image.label === label).length;
    return `| \`${label}\` | \`${character}\` | ${count} |`;
  });
  const fontRows = fonts.map(({ name, family, packageVersion, licence, attribution }) => {
    const count = images.filter((image) => image.font === name).length;
    return `| \`${name}\` | ${family} | ${packageVersion} | ${licence} | ${attribution.replaceAll('|', '\\|')} | ${count} |`;
  });
  return `# Characters

${images.length} drawings of ${characters.length} characters in ${fonts.length} handwritings, for trying Whet on characters that Omniglot does not teach: it has
letters of 50 alphabets, but neither digits nor these signs, though a few of its letters look like some of them (O and 0).
\`characters/<label>/<font>.png\` is ${IMAGE_SIZE} x ${IMAGE_SIZE}, 8-bit grey, black on white.

They are drawn, not scanned. A glyph's centre lines are traced from the font, drawn with one round pen about as thick as
Omniglot's, placed near the middle, and reduced by averaging. Size, place and pen vary a little from font to font; they
follow from the names alone, so a second run writes the same bytes. A glyph is left out where a font lacks it, where it
equals another font's, and, in a few cases, where it cannot be read at this size.

This file and the images are written by

\`\`\`sh
npm run demo:characters
\`\`\`

The fonts are development dependencies (\`@fontsource/*\`), needed for that command only; no font file is part of this repository.

## Labels

| label | character | images |
|---|---|---|
${labelRows.join('\n')}

## Fonts

Thanks to their authors. OFL-1.1 is the SIL Open Font License, Apache-2.0 the Apache License 2.0; neither restricts what is drawn with a font.

| file name | font | package version | licence | attribution | images |
|---|---|---|---|---|---|
${fontRows.join('\n')}
`;
}
