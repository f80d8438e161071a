import { useEffect, useRef } from 'preact/hooks';
import { t } from '../messages/index.js';
import { camera, frameMs, startCamera, stopCamera, switchLight, turnCamera } from '../state/camera.js';
import { showPicture } from '../state/looking.js';
import { offerFrame, recording, stopRecording } from '../state/recording.js';
import { seesColours } from '../state/signals.js';
import { inkOnPaper } from '../state/stage.js';
import { Sign } from './signs.js';

/** ms between frames that are looked at, at least. */
const FRAME_MS = 100;
/** The share that the last frame has in what is said of how long they take. */
const NEWEST = 0.2;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The camera's picture, which is looked at all the time while it is on. */
export function CameraView() {
  const video = useRef<HTMLVideoElement>(null);
  const now = camera.value;
  const stream = now.kind === 'on' ? now.stream : undefined;
  useEffect(() => {
    const element = video.current;
    if (!stream || !element) return;
    let isOver = false;
    element.srcObject = stream;
    const look = async () => {
      await element.play();
      let last = performance.now();
      while (!isOver) {
        const began = performance.now();
        if (element.videoWidth && document.visibilityState === 'visible') {
          const options = { square: true, flatten: inkOnPaper.value, isLive: true };
          const pixels = await showPicture(createImageBitmap(element), options, t().theCamera);
          if (isOver) return;
          if (pixels) offerFrame(pixels, began);
          frameMs.value = (1 - NEWEST) * (frameMs.value || began - last) + NEWEST * (began - last);
        }
        last = began;
        await pause(Math.max(4, FRAME_MS - (performance.now() - began)));
      }
    };
    void look().catch(() => !isOver && stopCamera(t().cameraEnded));
    return () => {
      isOver = true;
      element.srcObject = null;
      frameMs.value = 0;
    };
  }, [stream]);
  useEffect(() => {
    const onHidden = () => {
      if (document.visibilityState === 'hidden') void stopRecording();
    };
    document.addEventListener('visibilitychange', onHidden);
    return () => {
      document.removeEventListener('visibilitychange', onHidden);
      stopCamera();
    };
  }, []);
  const isMirrored = stream?.getVideoTracks()[0]?.getSettings().facingMode !== 'environment';
  return (
    <div class="camera">
      <div class={`frame ${stream ? 'on' : ''} ${recording.value ? 'recording' : ''}`}>
        <video ref={video} class={isMirrored ? 'mirrored' : ''} playsInline muted aria-label={t().cameraView} />
        {now.kind !== 'on' && (
          <button
            type="button"
            class="primary big start"
            disabled={now.kind === 'starting'}
            onClick={() => startCamera()}
          >
            <Sign name="camera" /> {now.kind === 'starting' ? t().cameraStarting : t().startCamera}
          </button>
        )}
      </div>
      {now.kind === 'on' && (
        <div class="camera-buttons">
          {now.light !== undefined && (
            <button type="button" class="round" aria-label={t().light} aria-pressed={now.light} onClick={switchLight}>
              <Sign name="light" />
            </button>
          )}
          {now.hasOther && (
            <button type="button" class="round" aria-label={t().turnCamera} onClick={turnCamera}>
              <Sign name="turn" />
            </button>
          )}
          <button type="button" class="round" aria-label={t().stopCamera} onClick={() => stopCamera()}>
            <Sign name="off" />
          </button>
        </div>
      )}
      {!seesColours.value && (
        <label class="check">
          <input
            type="checkbox"
            checked={inkOnPaper.value}
            onChange={(event) => {
              inkOnPaper.value = event.currentTarget.checked;
            }}
          />
          {t().inkOnPaper}
        </label>
      )}
      {now.kind === 'off' && now.problem && (
        <p class="problem" role="alert">
          {now.problem}
        </p>
      )}
    </div>
  );
}
