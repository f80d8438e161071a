import type { Bundle, Example, Profile } from '@whet/runtime';
import { decodeImage } from '@whet/runtime/images';
import { drawTasks, type EpisodeShape, type SplitName } from '@whet/trainer';
import { openData, recogniseData } from 'whet';

export interface PolicyTask {
  readonly examples: readonly Example[];
  /** Share of the pictures that are asked about which a profile tells right. */
  right(profile: Profile): Promise<number>;
}

export interface PolicyTasks {
  readonly bundle: Bundle;
  readonly directory: string;
  readonly split: SplitName;
  readonly tasks: number;
  readonly shape: EpisodeShape;
}

/** Always the same tasks of a data set, decoded, and its name. */
export async function policyTasks({ bundle, directory, split, tasks, shape }: PolicyTasks) {
  const { preprocessing } = bundle.manifest;
  const files = await openData(await recogniseData(directory), split, { preprocessing });
  const picture = async ({ of, image }: { readonly of: number; readonly image: number }) => {
    const { bytes, place: field } = await (files.classes[of] as (typeof files.classes)[number]).read(image);
    return decodeImage(bytes, preprocessing, { field, isOwn: true });
  };
  async function* drawn(): AsyncGenerator<PolicyTask> {
    for (const { classes } of drawTasks({ bundle, files, tasks, seed: 11 }, shape)) {
      const examples: Example[] = [];
      const asked: Example[] = [];
      for (const { name: label, support, queries } of classes) {
        for (const each of support) examples.push({ label, image: await picture(each) });
        for (const each of queries) asked.push({ label, image: await picture(each) });
      }
      const images = asked.map(({ image }) => image);
      yield {
        examples,
        right: async (profile) => {
          const answers = await bundle.predict(profile, images);
          return answers.filter(({ label }, i) => label === asked[i]?.label).length / asked.length;
        },
      };
    }
  }
  return { name: files.name, drawn: drawn() };
}
