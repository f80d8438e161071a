import { StoreUnavailableError, VersionConflictError } from './contract.js';

/** SQLSTATE classes of a server that is away, starting, stopping, full or torn by others; others are faults of this code. */
const AWAY = /^(08|40|53|57P|58)|^25006$/;

/** Runs a query; errors of a server that is away become {@link StoreUnavailableError}. */
export async function reach<T>(query: () => Promise<T>): Promise<T> {
  try {
    return await query();
  } catch (error) {
    const { code, message } = error as { code?: unknown; message?: string };
    if (!isOfClient(error) && !AWAY.test(String(code))) throw error;
    throw new StoreUnavailableError(`PostgreSQL does not answer: ${message}`, { cause: error });
  }
}

const OWN_ERRORS = [StoreUnavailableError, VersionConflictError, RangeError, TypeError];

/** Whether an error did not come from the server (those have a severity): a socket's, or a time-out. */
export function isOfClient(error: unknown): boolean {
  if (!(error instanceof Error) || 'severity' in error) return false;
  return !OWN_ERRORS.some((own) => error instanceof own);
}
