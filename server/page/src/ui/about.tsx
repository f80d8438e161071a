import { language, languages, t } from '../messages/index.js';
import { setLanguage } from '../state/opening.js';
import { isOffline } from '../state/signals.js';

/** What happens with pictures, and in which language the page speaks. */
export function About() {
  return (
    <section class="about" aria-label={t().about}>
      <p>
        <strong>{t().privacy}.</strong> {t().aboutText}
      </p>
      {isOffline.value && <p class="quiet">{t().offlineReady}</p>}
      {!isSecureContext && <p>{t().plainHttp}</p>}
      <label class="field inline">
        {t().languageLabel}
        <select value={language.value} onChange={(event) => setLanguage(event.currentTarget.value)}>
          {languages.map(([code, name]) => (
            <option key={code} value={code} lang={code} translate={false}>
              {name}
            </option>
          ))}
        </select>
      </label>
    </section>
  );
}
