import { useRef, useState } from 'preact/hooks';
import { t } from '../messages/index.js';
import { renameClass } from '../state/examples.js';
import type { ClassOf } from '../state/model.js';
import { recording } from '../state/recording.js';
import { chosen, meantBy, moveChosen, removeChosen, toggle } from '../state/selection.js';
import { uploadTo } from '../state/stage.js';
import { verdict } from '../state/verdict.js';
import { CardButtons } from './card-buttons.js';
import { focusAt } from './focus.js';
import { PixelsView } from './pixels-view.js';
import { Sign } from './signs.js';

/** What is dragged from one card to another. */
const DRAGGED = 'application/x-whet-pictures';

/** A thing: its name, its pictures, and how more of them come. */
export function ClassCard({ one, onRemove }: { one: ClassOf; onRemove: () => void }) {
  const { id, name, pictures, elsewhere, isBackground } = one;
  const card = useRef<HTMLLIElement>(null);
  const [isOver, setOver] = useState(false);
  const coming = recording.value?.classId === id ? recording.value.pictures : [];
  const isSeen = verdict.value?.kind === 'class' && verdict.value.label === name;
  // What is being typed, so that a card that is drawn anew, as the camera makes it, leaves it there.
  const [draft, setDraft] = useState<string | undefined>(undefined);
  const rename = async (wanted: string) => {
    if (wanted !== name) await renameClass(id, wanted);
    setDraft(undefined);
  };
  const remove = async (index: number, picture: string) => {
    await removeChosen(meantBy(picture));
    await focusAt(card.current, '.thumb', index, '.class-name');
  };
  return (
    <li
      ref={card}
      class={`class ${isOver ? 'over' : ''} ${isSeen ? 'seen' : ''}`}
      data-name={name}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        const { dataTransfer } = event;
        const dragged = dataTransfer?.getData(DRAGGED);
        if (dragged) void moveChosen(id, new Set(dragged.split(' ')));
        else if (dataTransfer?.files.length) void uploadTo(id, [...dataTransfer.files]);
      }}
    >
      <div class="class-head">
        <input
          class="class-name"
          value={draft ?? name}
          maxLength={80}
          dir="auto"
          enterkeyhint="done"
          aria-label={t().nameOf(name)}
          onFocus={(event) => pictures.length === 0 && event.currentTarget.select()}
          onKeyDown={(event) => event.key === 'Enter' && event.currentTarget.blur()}
          onInput={(event) => setDraft(event.currentTarget.value)}
          onChange={(event) => rename(event.currentTarget.value)}
        />
        <span class="quiet number" key={pictures.length}>
          {t().pictures(pictures.length + coming.length)}
          {elsewhere > 0 && `, ${t().elsewhere(elsewhere)}`}
        </span>
        <button type="button" class="plain round remove-class" aria-label={t().removeThing(name)} onClick={onRemove}>
          <Sign name="bin" size={20} />
        </button>
      </div>
      <CardButtons one={one} />
      {isBackground && pictures.length === 0 && <p class="quiet">{t().backgroundHint}</p>}
      <ul class="thumbs">
        {pictures.map((picture, i) => (
          <li key={picture.id}>
            <button
              type="button"
              class="thumb"
              aria-pressed={chosen.value.has(picture.id)}
              aria-label={t().pictureOf(i + 1, name)}
              draggable
              onClick={() => toggle(picture.id)}
              onDragStart={(event) => event.dataTransfer?.setData(DRAGGED, [...meantBy(picture.id)].join(' '))}
              onKeyDown={(event) => {
                if (event.key === 'Delete' || event.key === 'Backspace') void remove(i, picture.id);
              }}
            >
              <PixelsView pixels={picture.pixels} />
            </button>
          </li>
        ))}
        {coming.map((pixels, i) => (
          <li key={i} class="thumb coming">
            <PixelsView pixels={pixels} />
          </li>
        ))}
      </ul>
    </li>
  );
}
