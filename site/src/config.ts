import { fileURLToPath } from 'node:url';
import { slug } from 'github-slugger';
import { defineConfig } from 'vitepress';
import { documentPaths, repository } from './documents.js';
import { linkPages } from './links.js';
import { entries, GENERATED, guide, isPage, sitePlace, sources } from './pages.js';

const API = `${GENERATED}/api`;

const link = (source: string): string => `/${sitePlace(source).replace(/(index)?\.md$/, '')}`;

const apiItems = [...entries.keys()].map((name) => ({ text: name, link: link(`${API}/${name}.md`) }));

/** What VitePress builds: the documents where they stand, none of them copied. */
export const config = defineConfig({
  title: 'Whet',
  description: 'Personalise a classifier on the device that uses it, in TypeScript.',
  lang: 'en',
  head: [['link', { rel: 'icon', href: 'data:,' }]],
  srcDir: repository,
  srcExclude: [
    ...documentPaths().filter((path) => !isPage(path)),
    ...['build', 'runs', 'coverage', '**/dist', '**/target'].map((folder) => `${folder}/**`),
  ],
  rewrites: {
    ...Object.fromEntries(sources.map((source) => [source, sitePlace(source)])),
    [`${API}/:path*`]: 'api/:path*',
  },
  outDir: `${repository}build/docs`,
  cacheDir: `${repository}.cache/vitepress`,
  vite: {
    publicDir: fileURLToPath(new URL(`../../${GENERATED}/public`, import.meta.url)),
    build: { chunkSizeWarningLimit: 2000 },
  },
  markdown: {
    anchor: { slugify: slug },
    config: linkPages,
  },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    nav: [
      { text: 'Guide', link: link('README.md') },
      { text: 'Recipes', link: link('docs/recipes.md') },
      { text: 'API', link: link(`${API}/index.md`) },
      { text: 'HTTP', link: link('site/http.md') },
      { text: 'Figures', link: link('docs/bench.md') },
    ],
    sidebar: guide.map(({ text, collapsed, pages }) => ({
      text,
      ...(collapsed === undefined ? {} : { collapsed }),
      items: pages.map((page) => ({
        text: page.text,
        link: link(page.source),
        ...(page.source === `${API}/index.md` ? { items: apiItems, collapsed: true } : {}),
      })),
    })),
  },
});
