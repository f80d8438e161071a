import { useId } from 'preact/hooks';
import { t } from '../messages/index.js';
import { showPicture } from '../state/looking.js';
import { opened, type PictureSource, query, source } from '../state/signals.js';
import { chooseSource, clears } from '../state/stage.js';
import { CameraView } from './camera-view.js';
import { DrawPad } from './draw-pad.js';
import { FileButton } from './file-button.js';
import { LearnedLine } from './learned-line.js';
import { PixelsView } from './pixels-view.js';
import { Sign, type SignName } from './signs.js';
import { VerdictView } from './verdict-view.js';

const icons: Readonly<Record<PictureSource, SignName>> = { camera: 'camera', draw: 'draw', picture: 'photo' };

/** Where pictures come from, and what is seen on the one that is there now. */
export function StageCard() {
  const id = useId();
  const now = source.value;
  const names: Readonly<Record<PictureSource, string>> = { camera: t().camera, draw: t().draw, picture: t().picture };
  const all = Object.keys(names) as PictureSource[];
  const onKey = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const next = all[(all.indexOf(now) + step + all.length) % all.length] as PictureSource;
    chooseSource(next);
    document.getElementById(`${id}-${next}`)?.focus();
  };
  return (
    <section class="card stage" aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`} class="hidden-text">
        {t().stage}
      </h2>
      <div class="tabs" role="tablist" aria-label={t().sources}>
        {all.map((name) => (
          <button
            key={name}
            id={`${id}-${name}`}
            type="button"
            role="tab"
            aria-selected={now === name}
            aria-controls={`${id}-panel`}
            tabIndex={now === name ? 0 : -1}
            onClick={() => chooseSource(name)}
            onKeyDown={onKey}
          >
            <Sign name={icons[name]} size={18} /> {names[name]}
          </button>
        ))}
      </div>
      <div id={`${id}-panel`} class="view" role="tabpanel" aria-labelledby={`${id}-${now}`}>
        {now === 'camera' && <CameraView />}
        {now === 'draw' && <DrawPad clears={clears.value} onDrawing={(drawing) => void showPicture(drawing)} />}
        {now === 'picture' && <PictureView />}
      </div>
      <div class="answer">
        <VerdictView />
        <LearnedLine />
      </div>
    </section>
  );
}

/** A picture of a file. */
function PictureView() {
  const pixels = query.value?.pixels;
  const { width = 1, height = 1 } = opened.value?.manifest.preprocessing ?? {};
  return (
    <div class="chosen-picture">
      {pixels && (
        <div class={`frame ${width < 64 || height < 64 ? 'coarse' : ''}`}>
          <PixelsView pixels={pixels} label={t().seenByModel} />
        </div>
      )}
      <FileButton
        label={t().picturesInput}
        class={pixels ? '' : 'primary'}
        onFiles={async ([file]) => {
          if (file) await showPicture(file, {}, file.name);
        }}
      >
        <Sign name="photo" /> {t().choosePicture}
      </FileButton>
    </div>
  );
}
