import { signal } from '@preact/signals';
import { t } from '../messages/index.js';

export type Facing = 'environment' | 'user';

/** The device's camera: switched off, starting, or giving pictures. */
export type CameraState =
  | { readonly kind: 'off'; readonly problem?: string }
  | { readonly kind: 'starting' }
  | {
      readonly kind: 'on';
      readonly stream: MediaStream;
      readonly facing: Facing;
      /** Whether there is another one to turn to. */
      readonly hasOther: boolean;
      /** Whether its light is on; undefined where it has none. */
      readonly light: boolean | undefined;
    };

export const camera = signal<CameraState>({ kind: 'off' });

const problems = (): Readonly<Record<string, string>> => ({
  NotAllowedError: t().cameraDenied,
  NotFoundError: t().cameraNone,
  NotReadableError: t().cameraBusy,
  OverconstrainedError: t().cameraUnfit,
});

/** Counts starts and stops: what a start waited for counts only while it is the last. */
let turn = 0;

/** Switches the camera off. */
export function stopCamera(problem?: string): void {
  turn += 1;
  const now = camera.value;
  if (now.kind === 'on') for (const track of now.stream.getTracks()) track.stop();
  camera.value = problem === undefined ? { kind: 'off' } : { kind: 'off', problem };
}

/** Switches a camera on: the one that looks away from the person, unless the other is asked for. */
export async function startCamera(facing: Facing = 'environment'): Promise<void> {
  stopCamera();
  if (!navigator.mediaDevices) {
    camera.value = { kind: 'off', problem: t().cameraHttps };
    return;
  }
  const mine = turn;
  camera.value = { kind: 'starting' };
  try {
    const video = { facingMode: facing, width: { ideal: 640 } };
    const stream = await navigator.mediaDevices.getUserMedia({ video });
    if (mine !== turn) {
      for (const track of stream.getTracks()) track.stop();
      return;
    }
    const [track] = stream.getVideoTracks();
    // Unplugged, or taken by the system.
    track?.addEventListener('ended', () => mine === turn && stopCamera(t().cameraEnded));
    const capabilities = (track?.getCapabilities?.() ?? {}) as { torch?: boolean };
    const devices = await navigator.mediaDevices.enumerateDevices().catch(() => []);
    if (mine !== turn) return;
    const hasOther = devices.filter(({ kind }) => kind === 'videoinput').length > 1;
    camera.value = { kind: 'on', stream, facing, hasOther, light: capabilities.torch ? false : undefined };
  } catch (cause) {
    if (mine !== turn) return;
    const { name, message } = cause as Error;
    stopCamera(problems()[name] ?? t().cameraFailed(message));
  }
}

/** Turns to the camera on the other side. */
export async function turnCamera(): Promise<void> {
  const now = camera.value;
  if (now.kind === 'on') await startCamera(now.facing === 'user' ? 'environment' : 'user');
}

/** Switches the camera's light on or off. */
export async function switchLight(): Promise<void> {
  const now = camera.value;
  if (now.kind !== 'on' || now.light === undefined) return;
  const light = !now.light;
  const wanted = { advanced: [{ torch: light }] } as unknown as MediaTrackConstraints;
  const applied = now.stream.getVideoTracks()[0]?.applyConstraints(wanted);
  // Where the system does not give it, its button goes.
  const isApplied = await applied?.then(
    () => true,
    () => false,
  );
  if (camera.value === now) camera.value = { ...now, light: isApplied ? light : undefined };
}

/** ms between frames that were looked at; 0 while the camera is off. */
export const frameMs = signal(0);
