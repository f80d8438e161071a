import demoUrl from 'virtual:demo-url';
import { useId, useState } from 'preact/hooks';
import { t } from '../messages/index.js';
import { addDemo } from '../state/computing.js';
import { addClass, removeClass } from '../state/examples.js';
import { addFolder } from '../state/folders.js';
import { picturesOf } from '../state/model.js';
import { classes, sayProblem, seesColours } from '../state/signals.js';
import { reading } from '../state/stage.js';
import { ClassCard } from './class-card.js';
import { FileButton } from './file-button.js';
import { FirstSteps } from './first-steps.js';
import { focusAt } from './focus.js';
import { Sign } from './signs.js';

/** The things that are told apart, each with its pictures. */
export function Cards() {
  const id = useId();
  const all = classes.value;
  const count = picturesOf(all);
  const [isLoading, setLoading] = useState(false);
  const demo = async () => {
    setLoading(true);
    await addDemo(demoUrl, seesColours.value ? 'things' : 'characters').catch((cause) =>
      sayProblem(t().demoFailed, cause),
    );
    setLoading(false);
  };
  const remove = async (index: number, classId: string) => {
    await removeClass(classId);
    await focusAt(document.getElementById(id)?.parentElement ?? null, '.remove-class', index, '.add-thing');
  };
  const isDone = reading.value;
  return (
    <section class="cards" aria-labelledby={id}>
      {count === 0 && <FirstSteps />}
      <h2 id={id}>
        {t().cards} {count > 0 && <span class="count">{t().cardsCount(all.length, count)}</span>}
      </h2>
      {isDone && <progress aria-label={t().readingPictures} value={isDone[0]} max={isDone[1]} />}
      <ul class="classes">
        {all.map((one, i) => (
          <ClassCard key={one.id} one={one} onRemove={() => remove(i, one.id)} />
        ))}
      </ul>
      <div class="row">
        <button type="button" class="add-thing" onClick={() => addClass()}>
          <Sign name="plus" /> {t().addThing}
        </button>
        {!all.some(({ isBackground }) => isBackground) && (
          <button type="button" onClick={() => addClass(true)}>
            <Sign name="plus" /> {t().addBackground}
          </button>
        )}
        <span class="desktop">
          <FileButton folders label={t().folderInput} class="plain" onFiles={addFolder}>
            {t().addFolder}
          </FileButton>
        </span>
        {count === 0 && (
          <button type="button" class="plain" disabled={isLoading} onClick={demo}>
            {t().demoThings}
          </button>
        )}
      </div>
    </section>
  );
}
