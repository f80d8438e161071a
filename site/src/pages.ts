import { readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { repository } from './documents.js';

/** A page of the site, by its source in this repository. */
interface SitePage {
  readonly text: string;
  readonly source: string;
}

/** What a person comes for. */
interface Section {
  readonly text: string;
  /** Whether it is closed until somebody opens it. */
  readonly collapsed?: boolean;
  readonly pages: readonly SitePage[];
}

/** What the build writes: pages and files that are made of the code. */
export const GENERATED = 'site/generated';

/** Packages that an app installs. */
const packages = ['runtime', 'server', 'server/page', 'compiler', 'models', 'trainer'];

interface Manifest {
  readonly name: string;
  readonly exports: Readonly<Record<string, string | { readonly '@whet/source': string }>>;
}

/** The entries of the packages, each a page of the API reference: the source by what an app writes to import it. */
export const entries: ReadonlyMap<string, string> = new Map(
  packages.flatMap((folder) => {
    const manifest = JSON.parse(readFileSync(`${repository}${folder}/package.json`, 'utf8')) as Manifest;
    return Object.entries(manifest.exports).flatMap(([entry, place]): [string, string][] =>
      typeof place === 'string' ? [] : [[posix.join(manifest.name, entry), posix.join(folder, place['@whet/source'])]],
    );
  }),
);

const page = (text: string, source: string): SitePage => ({ text, source });

/** The guide: every page once, in the order in which it is read. */
export const guide: readonly Section[] = [
  {
    text: 'Start',
    pages: [
      page('What Whet is', 'README.md'),
      page('Recipes', 'docs/recipes.md'),
      page('One inner step', 'docs/one-inner-step.md'),
      page('Where adapting pays', 'docs/where-it-pays.md'),
    ],
  },
  {
    text: 'Web developer',
    pages: [
      page('The runtime', 'runtime/README.md'),
      page('Examples', 'examples/README.md'),
      page('The page', 'docs/page.md'),
      page('A profile as one ONNX model', 'docs/freeze.md'),
      page('Learning on', 'docs/continual.md'),
    ],
  },
  {
    text: 'Edge engineer',
    pages: [
      page('The command', 'cli/README.md'),
      page('The HTTP service', 'server/README.md'),
      page('Leave it running', 'docs/deployment.md'),
    ],
  },
  {
    text: 'ML engineer',
    pages: [
      page('Adapt a model you have', 'docs/compile.md'),
      page('Learn where to learn', 'docs/train-a-model.md'),
      page('Train your own', 'docs/training.md'),
      page('On a GPU', 'docs/gpu.md'),
      page('photos-lite0', 'models/bundles/photos-lite0/README.md'),
      page('omniglot-conv4', 'models/bundles/omniglot-conv4/README.md'),
    ],
  },
  {
    text: 'Phone',
    pages: [page('Android, iOS, React Native', 'docs/phones.md'), page('The bundle format', 'docs/bundle-format.md')],
  },
  {
    text: 'Papers',
    pages: [page('What the papers say', 'docs/papers.md'), page('All rules at one budget', 'docs/study.md')],
  },
  {
    text: 'Figures',
    collapsed: true,
    pages: [
      page('What it costs', 'docs/bench.md'),
      page('Adaptation', 'docs/bench/adaptation.md'),
      page('One step', 'docs/bench/step.md'),
      page('Predictions', 'docs/bench/predict.md'),
      page('Memory', 'docs/bench/memory.md'),
      page('Load', 'docs/bench/load.md'),
      page('Attacks', 'docs/bench/attacks.md'),
      page('Training', 'docs/bench/training.md'),
      page('Beside other software', 'docs/bench/peers.md'),
      page('Networks that compile', 'docs/bench/architectures.md'),
      page('Bytes', 'docs/bench/int8.md'),
      page('Depthwise convolutions', 'docs/bench/depthwise.md'),
      page('Input gradients', 'docs/bench/input-gradient.md'),
      page('Channels in blocks', 'docs/bench/blocked.md'),
      page('Gates', 'docs/bench/gates.md'),
      page('Weight gradients', 'docs/bench/weight-gradient.md'),
    ],
  },
  {
    text: 'Reference',
    pages: [
      page('API', `${GENERATED}/api/index.md`),
      page('HTTP', 'site/http.md'),
      page('Commands', `${GENERATED}/commands.md`),
      page('Operators', 'docs/operators.md'),
      page('Messages', 'docs/messages.md'),
    ],
  },
  {
    text: 'Inside',
    collapsed: true,
    pages: [
      page('Architecture', 'ARCHITECTURE.md'),
      page('Contributing', 'CONTRIBUTING.md'),
      page('Tests', 'docs/tests.md'),
      page('The graph', 'docs/design/graph.md'),
      page('Networks', 'docs/design/networks.md'),
      page('Tasks, masks, devices', 'docs/design/training.md'),
      page('Bundles', 'docs/design/bundles.md'),
      page('The page and the service', 'docs/design/page-and-service.md'),
      page('compiler', 'compiler/README.md'),
      page('models', 'models/README.md'),
      page('demo pictures', 'models/demo/README.md'),
      page('demo characters', 'models/demo/characters.md'),
      page('demo things', 'models/demo/things.md'),
      page('trainer', 'trainer/README.md'),
      page('server/page', 'server/page/README.md'),
      page('tools', 'tools/README.md'),
      page('test', 'test/README.md'),
      page('reference cases', 'test/reference/README.md'),
      page('Changes', 'CHANGELOG.md'),
    ],
  },
];

/** Where one comes in. */
export const HOME = 'site/index.md';

/** All sources of pages but those of the API's entries. */
export const sources: readonly string[] = [HOME, ...guide.flatMap(({ pages }) => pages.map(({ source }) => source))];

/** The page's place in the site, `compile.md` for `docs/compile.md`, `runtime.md` for `runtime/README.md`. */
export function sitePlace(source: string): string {
  const inside = source.replace(/^(docs|site\/generated|site)\//, '');
  return inside.replace(/(.)\/README\.md$/, '$1.md').toLowerCase();
}

/** Whether the site has it as a page. */
export const isPage = (source: string): boolean => sources.includes(source) || source.startsWith(`${GENERATED}/api/`);
