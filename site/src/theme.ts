import type { Theme } from 'vitepress';
import DefaultTheme from 'vitepress/theme-without-fonts';
import { HttpReference } from './http-reference.js';

/** VitePress's own, with the fonts of the device, and the viewer of the OpenAPI document. */
export const theme: Theme = {
  extends: DefaultTheme,
  enhanceApp: ({ app }) => {
    app.component('HttpReference', HttpReference);
  },
};
