import { signal } from '@preact/signals';
import { t } from '../messages/index.js';
import { learnedFrom } from '../state/learning.js';

interface InstallEvent extends Event {
  prompt(): Promise<unknown>;
}

const offered = signal<InstallEvent | undefined>(undefined);
addEventListener('beforeinstallprompt', (event) => {
  event.preventDefault();
  offered.value = event as InstallEvent;
});

/** The offer to have the page as an app, once it has learned something. */
export function InstallOffer() {
  const now = offered.value;
  if (!now || !learnedFrom.value) return null;
  const close = () => {
    offered.value = undefined;
  };
  return (
    <p class="suggestion">
      <span>{t().installOffer}</span>
      <button type="button" onClick={close}>
        {t().notNow}
      </button>
      <button
        type="button"
        class="primary"
        onClick={async () => {
          await now.prompt();
          close();
        }}
      >
        {t().install}
      </button>
    </p>
  );
}
