import { useRef } from 'preact/hooks';
import { t } from '../messages/index.js';
import { camera } from '../state/camera.js';
import type { ClassOf } from '../state/model.js';
import { recording, startRecording, stopRecording } from '../state/recording.js';
import { query, source } from '../state/signals.js';
import { addShown, chooseCamera, chooseSource, uploadTo } from '../state/stage.js';
import { FileButton } from './file-button.js';
import { Sign } from './signs.js';

/** How pictures of a thing come: from the camera while a button is held, from files, or drawn. */
export function CardButtons({ one: { id, name } }: { one: ClassOf }) {
  const now = source.value;
  const isOn = now === 'camera' && camera.value.kind === 'on';
  const hasShown = query.value !== undefined;
  return (
    <div class="ways">
      {isOn ? (
        <HoldButton id={id} name={name} />
      ) : (
        <button type="button" aria-label={t().startCameraFor(name)} onClick={chooseCamera}>
          <Sign name="camera" /> <span>{t().camera}</span>
        </button>
      )}
      {now === 'picture' && hasShown && (
        <button type="button" class="primary" aria-label={t().addPictureTo(name)} onClick={() => addShown(id)}>
          <Sign name="plus" /> <span>{t().addPicture}</span>
        </button>
      )}
      <FileButton
        multiple
        label={t().uploadTo(name)}
        says={t().uploadFor(name)}
        onFiles={(files) => uploadTo(id, files)}
      >
        <Sign name="upload" /> <span>{t().upload}</span>
      </FileButton>
      {now === 'draw' ? (
        <button
          type="button"
          class="primary"
          disabled={!hasShown}
          aria-label={t().addDrawingTo(name)}
          onClick={() => addShown(id)}
        >
          <Sign name="plus" /> <span>{t().addDrawing}</span>
        </button>
      ) : (
        <button type="button" aria-label={t().drawFor(name)} onClick={() => chooseSource('draw')}>
          <Sign name="draw" /> <span>{t().draw}</span>
        </button>
      )}
    </div>
  );
}

/** Records pictures of the camera for as long as it is held, by a finger, a mouse or a key. */
function HoldButton({ id, name }: { id: string; name: string }) {
  const isHeld = recording.value?.classId === id;
  const isByPointer = useRef(false);
  const begin = () => startRecording(id);
  const end = () => {
    if (recording.value?.classId === id) void stopRecording();
  };
  const isKey = ({ key }: KeyboardEvent) => key === ' ' || key === 'Enter';
  return (
    <button
      type="button"
      class={`primary hold ${isHeld ? 'held' : ''}`}
      aria-label={t().holdToRecordTo(name)}
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        isByPointer.current = true;
        event.currentTarget.setPointerCapture(event.pointerId);
        begin();
      }}
      onPointerUp={end}
      onPointerCancel={end}
      onLostPointerCapture={end}
      onContextMenu={(event) => event.preventDefault()}
      onKeyDown={(event) => {
        if (!isKey(event)) return;
        event.preventDefault();
        if (!event.repeat) begin();
      }}
      onKeyUp={(event) => isKey(event) && end()}
      onBlur={end}
      onClick={() => {
        // What reads the screen to people presses without holding.
        if (!isByPointer.current) {
          begin();
          end();
        }
        isByPointer.current = false;
      }}
    >
      <span class="dot" aria-hidden="true" />{' '}
      <span aria-hidden={isHeld}>{isHeld ? recording.value?.pictures.length : t().holdToRecord}</span>
    </button>
  );
}
