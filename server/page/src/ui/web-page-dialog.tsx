import { useEffect, useRef, useState } from 'preact/hooks';
import { t } from '../messages/index.js';
import { megabytes } from '../messages/measures.js';
import type { Person } from '../state/model.js';
import { isAbort, sayProblem } from '../state/signals.js';
import { makeWebPage, saveWebPage } from './save.js';

/** Bytes that mail takes at most, with many providers. */
const MOST_MAIL = 25_000_000;

/** What was learned, as a page of its own: says how large it is before anything is saved. */
export function WebPageDialog({ person, onClose }: { person: Person; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [file, setFile] = useState<Blob | undefined>(undefined);
  useEffect(() => {
    if (!dialog.current?.open) dialog.current?.showModal();
    let isGone = false;
    setFile(undefined);
    makeWebPage(person).then(
      (made) => !isGone && setFile(made),
      (cause) => {
        dialog.current?.close();
        if (!isAbort(cause)) sayProblem(t().webPageFailed(person.name), cause);
      },
    );
    return () => {
      isGone = true;
    };
  }, [person]);
  return (
    <dialog ref={dialog} aria-label={t().webPageTitle} onClose={onClose}>
      <form method="dialog" onSubmit={() => file && saveWebPage(person, file)}>
        <h2>{t().webPageTitle}</h2>
        <p>{t().webPageAbout}</p>
        <p role="status">
          {file ? t().webPageSize(megabytes(file.size)) : t().webPageMaking}
          {file && file.size > MOST_MAIL && ` ${t().webPageLarge}`}
        </p>
        <div class="row end">
          <button type="button" onClick={() => dialog.current?.close()}>
            {t().notNow}
          </button>
          <button type="submit" class="primary" disabled={!file}>
            {t().saveFile}
          </button>
        </div>
      </form>
    </dialog>
  );
}
