import { t } from '../messages/index.js';
import { megabytes } from '../messages/measures.js';
import { bytesOf, models } from '../state/models.js';
import { openBundle, retry } from '../state/opening.js';
import { bundleName, phase } from '../state/signals.js';

/** Bytes of what computes, compressed. */
const ENGINE_BYTES = 3_700_000;

export function Loading() {
  if (phase.value.kind !== 'loading') return null;
  const { loaded, total } = phase.value;
  return (
    <main class="single">
      <section class="card centred" aria-busy="true">
        <h2>{t().gettingReady}</h2>
        <progress aria-label={t().loadingLabel} {...(total > 0 ? { value: loaded, max: total } : {})} />
        <p class="quiet">{total > 0 ? t().loadedOf(megabytes(loaded), megabytes(total)) : t().loadingEngine}</p>
      </section>
    </main>
  );
}

/** The question whether to fetch megabytes on somebody's bill. */
export function Asking() {
  const name = bundleName.value;
  const bytes = bytesOf(name);
  return (
    <main class="single">
      <section class="card centred">
        <h2>{t().meteredTitle}</h2>
        <p>{t().meteredText(bytes === undefined ? '' : megabytes(bytes + ENGINE_BYTES))}</p>
        <button type="button" class="primary" onClick={() => openBundle(name)}>
          {t().meteredGo}
        </button>
      </section>
    </main>
  );
}

export function Failed() {
  if (phase.value.kind !== 'failed') return null;
  const title = models.value.find(({ name }) => name === bundleName.value)?.title ?? '';
  return (
    <main class="single">
      <section class="card centred" role="alert">
        <h2>{t().couldNotLoad(title)}</h2>
        <p>{t().couldNotLoadText}</p>
        <p class="detail quiet" lang="en" dir="ltr">
          {phase.value.message}
        </p>
        <button type="button" class="primary" onClick={retry}>
          {t().fetchAgain}
        </button>
      </section>
    </main>
  );
}
