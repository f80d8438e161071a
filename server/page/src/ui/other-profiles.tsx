import { deleteOther } from '../state/profiles.js';
import { others } from '../state/signals.js';
import { download } from './download.js';

/** Profiles that the models of this page cannot use: nothing is kept that a person can neither take along nor delete. */
export function OtherProfiles() {
  return (
    <details class="others">
      <summary>Profiles of other models ({others.value.length})</summary>
      <p>
        What these learned belongs to a model, or a version of it, that is not here any more. Exported, it can be used
        where that model is.
      </p>
      <ul>
        {others.value.map((one) => (
          <li key={one.id} class="row">
            <span class="grow">
              {one.name} <span class="quiet">{[one.model, one.changed.slice(0, 10)].filter(Boolean).join(', ')}</span>
            </span>
            <button
              type="button"
              disabled={!one.bytes}
              aria-label={`Export the profile ${one.name}`}
              onClick={() => download(one)}
            >
              Export
            </button>
            <button
              type="button"
              class="danger"
              aria-label={`Delete the profile ${one.name}`}
              onClick={() => deleteOther(one)}
            >
              Delete
            </button>
          </li>
        ))}
      </ul>
    </details>
  );
}
