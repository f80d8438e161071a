import demoUrl from 'virtual:demo-url';
import { useId, useRef, useState } from 'preact/hooks';
import { addDemo, type DemoKind } from '../state/computing.js';
import { type ClassOf, nameProblem, picturesOf } from '../state/model.js';
import { removeClass, removePicture, renameClass } from '../state/profiles.js';
import { classes, say, seesColours } from '../state/signals.js';
import { PixelsView } from './pixels-view.js';

/** Moves the focus, once the page is drawn anew, to what stands where something was removed; else to what is named after it. */
async function focusAt(root: HTMLElement | null, selector: string, index: number, otherwise: string): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve));
  const all = root?.querySelectorAll<HTMLElement>(selector) ?? [];
  (all[Math.min(index, all.length - 1)] ?? root?.querySelector<HTMLElement>(otherwise))?.focus();
}

/** What the model is to tell apart, with the examples of each. */
export function ClassesCard() {
  const id = useId();
  const all = classes.value;
  const [isLoading, setLoading] = useState(false);
  const kind: DemoKind = seesColours.value ? 'things' : 'characters';
  const demo = async () => {
    setLoading(true);
    await addDemo(demoUrl, kind).catch((cause: Error) => say('problem', cause.message));
    setLoading(false);
  };
  const card = useRef<HTMLElement>(null);
  const remove = async (index: number, classId: string) => {
    await removeClass(classId);
    await focusAt(card.current, '.class-head button', index, 'button');
  };
  return (
    <section ref={card} class="card" aria-labelledby={id}>
      <h2 id={id}>
        Classes
        {all.length > 0 && (
          <span class="count">
            {all.length} with {picturesOf(all)} examples
          </span>
        )}
      </h2>
      {all.length === 0 ? (
        <div class="first">
          <ol class="how">
            <li>
              <strong>Show</strong> a few pictures and name them: one example of each class is enough to begin with.
            </li>
            <li>
              <strong>Adapt</strong>: the gradient steps are taken here, on this device.
            </li>
            <li>
              <strong>Try</strong> it, correct it, add a class whenever you like.
            </li>
          </ol>
          <button type="button" class="primary" disabled={isLoading} onClick={demo}>
            Start with 5 example {kind}
          </button>
        </div>
      ) : (
        <ul class="classes">
          {all.map((one, i) => (
            <ClassRow key={one.id} one={one} onRemove={() => remove(i, one.id)} />
          ))}
        </ul>
      )}
    </section>
  );
}

function ClassRow({ one, onRemove }: { one: ClassOf; onRemove: () => void }) {
  const { name, pictures, elsewhere } = one;
  const row = useRef<HTMLLIElement>(null);
  const removeExample = async (index: number, id: string) => {
    await removePicture(one.id, id);
    await focusAt(row.current, '.thumb', index, '.class-head button');
  };
  const rename = async (input: HTMLInputElement) => {
    const problem = nameProblem(input.value);
    if (problem) say('problem', problem);
    if (problem || (input.value !== name && !(await renameClass(one.id, input.value)))) input.value = name;
  };
  return (
    <li ref={row} class="class">
      <div class="class-head">
        <input
          class="class-name"
          value={name}
          maxLength={80}
          aria-label={`Name of the class ${name}`}
          onChange={(event) => rename(event.currentTarget)}
        />
        <span class="quiet">
          {pictures.length} {pictures.length === 1 ? 'example' : 'examples'}
          {elsewhere > 0 && `, ${elsewhere} not on this device`}
        </span>
        <button
          type="button"
          class="plain danger"
          aria-label={`Delete the class ${name}`}
          title="Delete this class"
          onClick={onRemove}
        >
          <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true">
            <path
              d="M4 7h16M10 4h4M6 7l1 13h10l1-13M10 11v5M14 11v5"
              fill="none"
              stroke="currentColor"
              stroke-width="2"
              stroke-linecap="round"
              stroke-linejoin="round"
            />
          </svg>
        </button>
      </div>
      <ul class="thumbs">
        {pictures.map(({ id, pixels }, i) => (
          <li key={id}>
            <button
              type="button"
              class="thumb"
              aria-label={`Remove example ${i + 1} of ${name}`}
              title="Remove this example"
              onClick={() => removeExample(i, id)}
            >
              <PixelsView pixels={pixels} />
            </button>
          </li>
        ))}
      </ul>
    </li>
  );
}
