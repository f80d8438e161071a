import { t } from '../messages/index.js';
import { deleteOther } from '../state/profiles.js';
import { others } from '../state/signals.js';
import { saveProfile } from './save.js';

/** Profiles that the models of this page cannot use: nothing is kept that a person can neither take along nor delete. */
export function OtherProjects() {
  return (
    <details class="others">
      <summary>{t().otherModels(others.value.length)}</summary>
      <p>{t().otherModelsText}</p>
      <ul>
        {others.value.map((one) => (
          <li key={one.id} class="row">
            <span class="grow">
              {one.name} <span class="quiet">{[one.model, one.changed.slice(0, 10)].filter(Boolean).join(', ')}</span>
            </span>
            <button
              type="button"
              disabled={!one.bytes}
              aria-label={t().saveOf(one.name)}
              onClick={() => saveProfile(one)}
            >
              {t().saveProfile}
            </button>
            <button type="button" class="danger" aria-label={t().deleteOf(one.name)} onClick={() => deleteOther(one)}>
              {t().delete}
            </button>
          </li>
        ))}
      </ul>
    </details>
  );
}
