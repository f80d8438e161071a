import type { RefObject } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { t } from '../messages/index.js';

export interface DialogHandle {
  /** Shows it, with the field filled in. */
  open(value?: string): void;
}

interface DialogProps {
  readonly handle: RefObject<DialogHandle | null>;
  readonly title: string;
  readonly text?: string;
  /** Label of the text field; without one there is none. */
  readonly field?: string;
  readonly action: string;
  readonly danger?: boolean;
  readonly onAccept: (value: string) => unknown;
  /** Told when it is closed, also without an answer. */
  readonly onClose?: () => void;
}

/** A question with one answer, in the browser's own dialog: it keeps the focus inside and closes on Escape. */
export function Dialog({ handle, title, text, field, action, danger, onAccept, onClose }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const [value, setValue] = useState('');
  useEffect(() => {
    handle.current = {
      open(given = '') {
        setValue(given);
        element.current?.showModal();
      },
    };
  }, [handle]);
  const accept = (event: Event) => {
    event.preventDefault();
    if (field && value.trim() === '') return;
    element.current?.close();
    onAccept(value.trim());
  };
  return (
    <dialog ref={element} aria-label={title} onClose={onClose}>
      <form method="dialog" onSubmit={accept}>
        <h2>{title}</h2>
        {text && <p>{text}</p>}
        {field && (
          <label class="field">
            {field}
            <input value={value} maxLength={80} required onInput={(event) => setValue(event.currentTarget.value)} />
          </label>
        )}
        <div class="row end">
          <button type="button" onClick={() => element.current?.close()}>
            {t().keepAsIs}
          </button>
          <button type="submit" class={danger ? 'danger filled' : 'primary'}>
            {action}
          </button>
        </div>
      </form>
    </dialog>
  );
}
