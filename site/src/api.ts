import { rmSync } from 'node:fs';
import { Application, Converter, type ProjectReflection } from 'typedoc';
import { repository } from './documents.js';
import { entries, GENERATED } from './pages.js';

/** Writes the API reference, a page an entry. Throws where TypeDoc finds something wrong. */
export async function writeApi(): Promise<void> {
  const out = `${repository}${GENERATED}/api`;
  rmSync(out, { recursive: true, force: true });
  const app = await Application.bootstrapWithPlugins({
    plugin: ['typedoc-plugin-markdown'],
    entryPoints: [...entries.values()].map((path) => repository + path),
    tsconfig: `${repository}site/tsconfig.api.json`,
    name: 'API',
    readme: 'none',
    disableSources: true,
    excludePrivate: true,
    excludeInternal: true,
    sort: ['kind', 'alphabetical'],
    logLevel: 'Warn',
    validation: { notExported: false, invalidLink: true, notDocumented: false },
    ...markdown,
  });
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }: { project: ProjectReflection }) =>
    nameModules(project),
  );
  const project = await app.convert();
  if (!project) throw new Error('the API reference: TypeDoc read no entry');
  app.validate(project);
  await app.generateOutputs(project);
  if (app.logger.hasErrors()) throw new Error('the API reference: TypeDoc says above what is wrong');
}

/** How typedoc-plugin-markdown writes: `{` and `<` as HTML's entities, since VitePress reads pages as templates. */
const markdown = {
  out: `${repository}${GENERATED}/api`,
  router: 'module',
  entryFileName: 'index',
  hideBreadcrumbs: true,
  hidePageHeader: true,
  useHTMLEncodedBrackets: true,
  sanitizeComments: true,
  parametersFormat: 'table',
  interfacePropertiesFormat: 'table',
  classPropertiesFormat: 'table',
  typeDeclarationFormat: 'table',
  propertyMembersFormat: 'table',
  enumMembersFormat: 'table',
  expandObjects: true,
  tableColumnSettings: { hideModifiers: true, hideInherited: true, hideOverrides: true, hideSources: true },
} as const;

/** Modules are called what is written to import them. */
function nameModules(project: ProjectReflection): void {
  const names = new Map([...entries].map(([name, path]) => [path.replace(/(\/index)?\.ts$/, ''), name]));
  for (const module of project.children ?? []) module.name = names.get(module.name) ?? module.name;
}
