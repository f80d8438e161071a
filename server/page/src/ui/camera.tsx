import { useEffect, useRef, useState } from 'preact/hooks';

/** ms between the frames that are predicted while the camera runs. */
const FRAME_MS = 250;

const reasons: Readonly<Record<string, string>> = {
  NotAllowedError:
    'The camera was not allowed. Allow it in the browser’s settings for this page, or upload a picture instead.',
  NotFoundError: 'No camera was found. Upload a picture instead.',
  NotReadableError: 'Another program uses the camera. Close it, or upload a picture instead.',
  OverconstrainedError: 'This camera does not give pictures that can be used here.',
};

/** The device's camera, while it is switched on; `onFrame` gets a frame a few times a second. */
export function Camera({ onFrame }: { onFrame: (frame: Promise<ImageBitmap>) => Promise<void> | void }) {
  const video = useRef<HTMLVideoElement>(null);
  const stream = useRef<MediaStream | undefined>(undefined);
  const [state, setState] = useState<'off' | 'starting' | 'on' | 'still'>('off');
  const [facing, setFacing] = useState<'environment' | 'user'>('environment');
  const [problem, setProblem] = useState('');
  const frame = useRef(onFrame);
  frame.current = onFrame;

  /** Counts starts and stops: what a start waited for counts only while it is the last. */
  const turn = useRef(0);
  const stop = () => {
    turn.current += 1;
    for (const track of stream.current?.getTracks() ?? []) track.stop();
    stream.current = undefined;
    setState('off');
  };
  const start = async (wanted: 'environment' | 'user') => {
    stop();
    setProblem('');
    if (!navigator.mediaDevices) {
      setProblem('Browsers give the camera to pages over HTTPS only. Upload a picture instead.');
      return;
    }
    setState('starting');
    const mine = turn.current;
    try {
      const given = await navigator.mediaDevices.getUserMedia({
        video: { facingMode: wanted, width: { ideal: 640 } },
      });
      if (mine !== turn.current || !video.current) {
        for (const track of given.getTracks()) track.stop();
        return;
      }
      stream.current = given;
      video.current.srcObject = given;
      await video.current.play();
      if (mine === turn.current) setState('on');
    } catch (cause) {
      if (mine !== turn.current) return;
      const { name, message } = cause as Error;
      setProblem(reasons[name] ?? `The camera does not start: ${message}`);
      stop();
    }
  };
  useEffect(() => stop, []);
  useEffect(() => {
    if (state !== 'on') return;
    let stopped = false;
    const loop = async () => {
      while (!stopped) {
        if (video.current?.videoWidth) await frame.current(createImageBitmap(video.current));
        await new Promise((resolve) => setTimeout(resolve, FRAME_MS));
      }
    };
    void loop().catch(() => setProblem('The camera stopped.'));
    return () => {
      stopped = true;
    };
  }, [state]);
  const isOn = state === 'on' || state === 'still';
  const pause = () => {
    if (state === 'on') video.current?.pause();
    else void video.current?.play();
    setState(state === 'on' ? 'still' : 'on');
  };
  return (
    <div class="camera">
      <div class={`camera-frame ${isOn ? 'on' : ''}`}>
        <video ref={video} playsInline muted aria-label="What the camera sees" />
        {!isOn && <span class="pad-hint">{state === 'starting' ? 'Starting' : 'The camera is off'}</span>}
      </div>
      <div class="row">
        <button
          type="button"
          class={isOn ? '' : 'primary'}
          disabled={state === 'starting'}
          onClick={() => (isOn ? stop() : start(facing))}
        >
          {isOn ? 'Switch off' : 'Switch the camera on'}
        </button>
        {isOn && (
          <button type="button" onClick={pause}>
            {state === 'on' ? 'Hold still' : 'Go on'}
          </button>
        )}
        {isOn && (
          <button
            type="button"
            onClick={() => {
              const other = facing === 'user' ? 'environment' : 'user';
              setFacing(other);
              void start(other);
            }}
          >
            Turn around
          </button>
        )}
      </div>
      {problem && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
    </div>
  );
}
