import { openInWorker } from '@whet/runtime/web-worker';
import { useCallback, useEffect, useRef, useState } from 'react';

/**
 * A bundle that learns, in a worker. `teach(label, pictures)` adds examples and adapts to all that there are; `tell(picture)` says what a picture
 * shows, once there are two classes. Pictures are files, pixels of a canvas, or `ImageBitmap`s.
 */
export function useWhet(address) {
  const bundle = useRef(null);
  const examples = useRef([]);
  const [profile, setProfile] = useState(null);
  /** Of the download, 0 to 1; 1 when the bundle is ready. */
  const [progress, setProgress] = useState(0);
  const [error, setError] = useState(null);

  useEffect(() => {
    const controller = new AbortController();
    const onProgress = ({ loaded, total }) => setProgress((0.99 * loaded) / total);
    openInWorker(address, { signal: controller.signal, onProgress }).then(
      (opened) => {
        if (controller.signal.aborted) return opened.release();
        bundle.current = opened;
        setProgress(1);
      },
      (cause) => controller.signal.aborted || setError(cause),
    );
    return () => {
      controller.abort();
      bundle.current?.release();
      bundle.current = null;
    };
  }, [address]);

  const teach = useCallback(async (label, pictures) => {
    try {
      for (const picture of pictures) {
        examples.current.push({ label, image: await bundle.current.decode(picture) });
      }
      if (new Set(examples.current.map((example) => example.label)).size < 2) return;
      setProfile((await bundle.current.adapt(examples.current)).profile);
    } catch (cause) {
      setError(cause);
    }
  }, []);

  const tell = useCallback(
    async (picture) => {
      const [prediction] = await bundle.current.predict(profile, [await bundle.current.decode(picture)]);
      return prediction;
    },
    [profile],
  );

  return { progress, error, teach, tell: profile ? tell : null };
}
