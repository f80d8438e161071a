import { t } from '../messages/index.js';
import { chooseNone, chosen, moveChosen, removeChosen } from '../state/selection.js';
import { classes } from '../state/signals.js';
import { Sign } from './signs.js';

/** What can be done with the pictures that are chosen. */
export function Selection() {
  const count = chosen.value.size;
  if (count === 0) return null;
  return (
    <aside class="selection" aria-label={t().selected(count)}>
      <strong>{t().selected(count)}</strong>
      <label class="field inline">
        {t().moveTo}
        <select value="" onChange={(event) => moveChosen(event.currentTarget.value)}>
          <option value="" disabled>
            {t().moveChoose}
          </option>
          {classes.value.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <button type="button" class="danger" onClick={() => removeChosen()}>
        <Sign name="bin" size={20} /> {t().remove}
      </button>
      <button type="button" onClick={chooseNone}>
        {t().unselect}
      </button>
    </aside>
  );
}
