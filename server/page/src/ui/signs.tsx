const paths = {
  camera: 'M4 8h3l2-3h6l2 3h3v11H4zM12 17a4 4 0 1 0 0-8 4 4 0 0 0 0 8',
  draw: 'M4 20l1-5L16 4l4 4L9 19zM14 6l4 4',
  upload: 'M12 15V4M7 9l5-5 5 5M5 15v5h14v-5',
  bin: 'M4 7h16M10 4h4M6 7l1 13h10l1-13M10 11v5M14 11v5',
  undo: 'M8 5L4 9l4 4M4 9h10a5 5 0 0 1 0 10h-4',
  plus: 'M12 5v14M5 12h14',
  turn: 'M4 11a8 8 0 0 1 14-5l2 2M20 4v4h-4M20 13a8 8 0 0 1-14 5l-2-2M4 20v-4h4',
  light: 'M13 3L6 13h5l-1 8 8-11h-6z',
  off: 'M6 6l12 12M18 6L6 18',
  photo: 'M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9.5h.01',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  tick: 'M5 13l4 4L19 7',
} as const;

export type SignName = keyof typeof paths;

/** A small drawing beside words, which say the same. */
export function Sign({ name, size = 22 }: { name: SignName; size?: number }) {
  return (
    <svg viewBox="0 0 24 24" width={size} height={size} class="icon" aria-hidden="true">
      <path
        d={paths[name]}
        fill="none"
        stroke="currentColor"
        stroke-width="2"
        stroke-linecap="round"
        stroke-linejoin="round"
      />
    </svg>
  );
}
