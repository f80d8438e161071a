import { openInWorker } from '@whet/runtime/web-worker';
import { useCallback, useEffect, useRef, useState } from 'react';

/**
 * A bundle that learns, in a worker. `teach(label, pictures)` adds examples and adapts to all that there are; `tell(picture)` says what a picture
 * shows, once there are two classes. Both throw where a picture cannot be read, and what was taught stays. Pictures are files, pixels of a canvas, or
 * `ImageBitmap`s. Another address begins anew.
 */
export function useWhet(address) {
  const opened = useRef(null);
  const [profile, setProfile] = useState(null);
  /** Of the download, 0 to 1; 1 when the bundle is ready. */
  const [progress, setProgress] = useState(0);
  /** Why the bundle cannot be opened. */
  const [error, setError] = useState(null);

  useEffect(() => {
    const controller = new AbortController();
    const onProgress = ({ loaded, total }) => controller.signal.aborted || setProgress((0.99 * loaded) / total);
    openInWorker(address, { signal: controller.signal, onProgress }).then(
      (bundle) => {
        if (controller.signal.aborted) return bundle.release();
        opened.current = { bundle, examples: [], turn: Promise.resolve() };
        setProgress(1);
      },
      (cause) => controller.signal.aborted || setError(cause),
    );
    return () => {
      controller.abort();
      opened.current?.bundle.release();
      opened.current = null;
      setProfile(null);
      setProgress(0);
      setError(null);
    };
  }, [address]);

  const teach = useCallback((label, pictures) => {
    const own = opened.current;
    const taught = own.turn.then(async () => {
      const images = await Promise.all(pictures.map((picture) => own.bundle.decode(picture)));
      const examples = [...own.examples, ...images.map((image) => ({ label, image }))];
      if (new Set(examples.map((example) => example.label)).size > 1) {
        const adapted = await own.bundle.adapt(examples);
        if (opened.current === own) setProfile(adapted.profile);
      }
      own.examples = examples;
    });
    // One after the other, so that the last profile is that of all examples.
    own.turn = taught.catch(() => {});
    return taught;
  }, []);

  const tell = useCallback(
    async (picture) => {
      const { bundle } = opened.current;
      const [prediction] = await bundle.predict(profile, [await bundle.decode(picture)]);
      return prediction;
    },
    [profile],
  );

  return { progress, error, teach, tell: profile ? tell : null };
}
