/** Folders of the packages that are published, each after those that it needs. */
export const published = ['compiler', 'models', 'runtime', 'server/page', 'trainer', 'server', 'cli'] as const;
