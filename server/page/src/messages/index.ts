import { computed, signal } from '@preact/signals';
import { en, type Messages } from './en.js';

/** Languages of the page, each in a file of its own that is fetched where it is spoken. */
const files: Readonly<Record<string, () => Promise<Messages>>> = {
  en: async () => en,
  de: async () => (await import('./de.js')).de,
  es: async () => (await import('./es.js')).es,
};

/** Names of languages, as those who speak them call them. */
export const languages: readonly (readonly [code: string, name: string])[] = [
  ['en', 'English'],
  ['de', 'Deutsch'],
  ['es', 'Español'],
];

const spoken = signal<{ readonly code: string; readonly messages: Messages }>({ code: 'en', messages: en });

/** The language that is shown. */
export const language = computed(() => spoken.value.code);

/** The texts of the language that is shown. */
export const t = (): Messages => spoken.value.messages;

/** The first of the browser's languages that the page speaks. */
export const browserLanguage = (): string =>
  navigator.languages.map((name) => name.slice(0, 2).toLowerCase()).find((code) => code in files) ?? 'en';

/** Shows another language; English where it is not there. */
export async function speak(code: string): Promise<void> {
  const known = code in files ? code : 'en';
  const messages = await (files[known] as () => Promise<Messages>)();
  spoken.value = { code: known, messages };
  document.documentElement.lang = known;
  document.documentElement.dir = messages.direction;
  document.title = `Whet: ${messages.tagline}`;
}
