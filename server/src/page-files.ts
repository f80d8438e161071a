import { MissingPackageError } from '@whet/runtime';
import type { PageFiles } from './routes/page.js';

/** The package `@whet/page`, an optional peer; undefined where it is not installed. Rejects where it is `required`, and not there. */
export async function installedPage(required: boolean): Promise<PageFiles | undefined> {
  try {
    return await import('@whet/page').catch(MissingPackageError.of('@whet/page', 'the page'));
  } catch (error) {
    if (required || !(error instanceof MissingPackageError)) throw error;
    return undefined;
  }
}
