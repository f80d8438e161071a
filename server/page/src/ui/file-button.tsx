import type { ComponentChildren } from 'preact';
import { useRef } from 'preact/hooks';

interface FileButtonProps {
  /** Of the field that takes the files. */
  readonly label: string;
  /** Of the button, where its own text is not enough. */
  readonly says?: string;
  readonly class?: string;
  readonly multiple?: boolean;
  /** What may be chosen; pictures when absent. */
  readonly accept?: string;
  /** Whether whole folders are chosen. */
  readonly folders?: boolean;
  readonly onFiles: (files: readonly File[]) => unknown;
  readonly children: ComponentChildren;
}

/** A button that asks for files. */
export function FileButton({
  label,
  says,
  multiple,
  accept = 'image/*',
  folders,
  onFiles,
  children,
  ...props
}: FileButtonProps) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <button
        type="button"
        class={props.class ?? ''}
        {...(says ? { 'aria-label': says } : {})}
        onClick={() => input.current?.click()}
      >
        {children}
      </button>
      <input
        ref={(element) => {
          input.current = element;
          if (folders) element?.setAttribute('webkitdirectory', '');
        }}
        class="hidden"
        type="file"
        multiple={multiple === true || folders === true}
        accept={folders ? undefined : accept}
        tabIndex={-1}
        aria-label={label}
        onChange={async (event) => {
          const field = event.currentTarget;
          await onFiles([...(field.files ?? [])]);
          field.value = '';
        }}
      />
    </>
  );
}
