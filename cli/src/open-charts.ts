import { MissingPackageError } from '@whet/runtime';

/** The library that draws charts, an optional peer. What takes long asks for it first: rejects where it is not installed. */
export const openCharts = () => import('echarts/core').catch(MissingPackageError.of('echarts', 'a page with charts'));
