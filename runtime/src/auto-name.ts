/** The name that asks for a pattern to be chosen; no pattern of a bundle is called so. */
export const AUTO = 'auto';
