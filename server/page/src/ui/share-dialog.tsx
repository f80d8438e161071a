import { useEffect, useRef, useState } from 'preact/hooks';
import { t } from '../messages/index.js';
import { kilobytes } from '../messages/measures.js';
import type { Person } from '../state/model.js';
import { LONG_LINK, linkTo, MOST_LINK } from '../state/share.js';
import { say, sayProblem } from '../state/signals.js';
import { saveProfile } from './save.js';

/** Characters of a QR code of 121 modules at the least correction: what has more is too fine for the cameras of phones. */
const MOST_QR = 1367;

interface QrCode {
  readonly size: number;
  readonly data: readonly (readonly boolean[])[];
}

interface Made {
  readonly link: string;
  readonly code?: QrCode;
}

async function makeLink(person: Person): Promise<Made> {
  const link = await linkTo(person);
  if (link.length > MOST_QR) return { link };
  const { encode } = await import('uqr');
  // With the light that its readers want around it.
  return { link, code: encode(link, { ecc: 'L', border: 4 }) };
}

/** What was learned, in a link: to be copied, handed to another program, or read by the camera of another phone. */
export function ShareDialog({ person, onClose }: { person: Person; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [{ link, code }, setMade] = useState<Made>({ link: '' });
  useEffect(() => {
    if (!dialog.current?.open) dialog.current?.showModal();
    // What was learned meanwhile is in a link of its own.
    let isGone = false;
    setMade({ link: '' });
    makeLink(person).then(
      (made) => !isGone && setMade(made),
      (cause) => {
        if (isGone) return;
        dialog.current?.close();
        sayProblem(t().linkFailed, cause);
      },
    );
    return () => {
      isGone = true;
    };
  }, [person]);
  const size = kilobytes(link.length);
  const isTooLong = link.length > MOST_LINK;
  const copy = async () => {
    await navigator.clipboard.writeText(link);
    say('done', t().copied);
  };
  return (
    <dialog ref={dialog} class="share" aria-label={t().shareTitle} onClose={onClose}>
      <form method="dialog">
        <h2>{t().shareTitle}</h2>
        <p>{t().shareText}</p>
        {isTooLong && <p class="problem">{t().shareTooLong(size)}</p>}
        {!isTooLong && (
          <label class="field">
            {t().linkLabel}
            <input readOnly value={link} dir="ltr" onFocus={(event) => event.currentTarget.select()} />
          </label>
        )}
        {!isTooLong && link.length > LONG_LINK && <p class="quiet">{t().shareLong(size)}</p>}
        {code ? <Qr code={code} /> : link.length > MOST_QR && !isTooLong && <p class="quiet">{t().qrNone}</p>}
        <div class="row end">
          {link.length > LONG_LINK && (
            <button type="button" class={isTooLong ? 'primary' : ''} onClick={() => saveProfile(person)}>
              {t().saveFile}
            </button>
          )}
          {!isTooLong && 'share' in navigator && (
            <button type="button" onClick={() => navigator.share({ url: link }).catch(() => {})}>
              {t().shareVia}
            </button>
          )}
          {!isTooLong && 'clipboard' in navigator && (
            <button type="button" class="primary" disabled={link === ''} onClick={copy}>
              {t().copyLink}
            </button>
          )}
          <button type="submit">{t().done}</button>
        </div>
      </form>
    </dialog>
  );
}

function Qr({ code: { size, data } }: { code: QrCode }) {
  const path = data.flatMap((row, y) => row.flatMap((dark, x) => (dark ? [`M${x} ${y}h1v1h-1z`] : []))).join('');
  return (
    <svg
      class="qr"
      style={{ '--modules': size, '--pixel': `${1 / devicePixelRatio}px` }}
      viewBox={`0 0 ${size} ${size}`}
      role="img"
      aria-label={t().qrLabel}
      shape-rendering="crispEdges"
    >
      <rect width={size} height={size} fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  );
}
