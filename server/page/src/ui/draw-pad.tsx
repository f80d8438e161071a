import { useEffect, useRef, useState } from 'preact/hooks';
import { t } from '../messages/index.js';

const SIZE = 336;
/** Of the pad's side: a pen about as thick as in the drawings that the shipped model learned from. */
const PEN = 0.058;
const KEY_STEP = SIZE / 28;

type Point = readonly [x: number, y: number];
type Stroke = readonly Point[];

interface DrawPadProps {
  /** Called with the drawing right after each stroke, and with nothing when it is empty again. */
  readonly onDrawing: (drawing: Promise<ImageBitmap> | undefined) => void;
  /** Counts up when the pad is to be cleared from outside. */
  readonly clears: number;
}

function paint(context: CanvasRenderingContext2D, strokes: readonly Stroke[]): void {
  context.fillStyle = '#fff';
  context.fillRect(0, 0, SIZE, SIZE);
  context.strokeStyle = '#000';
  context.fillStyle = '#000';
  context.lineWidth = SIZE * PEN;
  context.lineCap = 'round';
  context.lineJoin = 'round';
  for (const stroke of strokes) {
    const [first, ...rest] = stroke;
    if (!first) continue;
    context.beginPath();
    context.moveTo(...first);
    // A point alone is a dot.
    if (rest.length === 0) context.lineTo(first[0] + 0.01, first[1]);
    for (const [i, [x, y]] of rest.entries()) {
      const next = rest[i + 1];
      if (next) context.quadraticCurveTo(x, y, (x + next[0]) / 2, (y + next[1]) / 2);
      else context.lineTo(x, y);
    }
    context.stroke();
  }
}

/** Paper to draw on with a finger, a mouse or a pen; with the keyboard, arrows move the pen and the space bar sets it down. */
export function DrawPad({ onDrawing, clears }: DrawPadProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [strokes, setStrokes] = useState<readonly Stroke[]>([]);
  const current = useRef<Point[] | undefined>(undefined);
  const [cursor, setCursor] = useState<Point>([SIZE / 2, SIZE / 2]);
  const [isPenDown, setPenDown] = useState(false);
  const [usesKeys, setUsesKeys] = useState(false);

  useEffect(() => setStrokes([]), [clears]);
  useEffect(() => {
    const context = canvas.current?.getContext('2d');
    if (context) paint(context, strokes);
  }, [strokes]);

  const finish = (all: readonly Stroke[]) => {
    setStrokes(all);
    const context = canvas.current?.getContext('2d');
    if (!canvas.current || !context) return;
    paint(context, all);
    onDrawing(all.length === 0 ? undefined : createImageBitmap(canvas.current));
  };
  const at = (event: PointerEvent): Point => {
    const box = (event.currentTarget as HTMLCanvasElement).getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * SIZE, ((event.clientY - box.top) / box.height) * SIZE];
  };
  const draw = (event: PointerEvent) => {
    const context = canvas.current?.getContext('2d');
    if (!current.current || !context) return;
    current.current.push(at(event));
    paint(context, [...strokes, current.current]);
  };
  const end = () => {
    const stroke = current.current;
    current.current = undefined;
    if (stroke) finish([...strokes, stroke]);
  };
  const onKey = (event: KeyboardEvent) => {
    const moves: Record<string, Point> = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    };
    const move = moves[event.key];
    if (!move && event.key !== ' ') return;
    event.preventDefault();
    setUsesKeys(true);
    if (!move) {
      setPenDown(!isPenDown);
      if (!isPenDown) finish([...strokes, [cursor]]);
      return;
    }
    const inside = (value: number) => Math.min(SIZE, Math.max(0, value));
    const next: Point = [inside(cursor[0] + move[0] * KEY_STEP), inside(cursor[1] + move[1] * KEY_STEP)];
    setCursor(next);
    if (isPenDown) finish([...strokes.slice(0, -1), [...(strokes.at(-1) ?? []), next]]);
  };
  const pen = t().penAt(isPenDown, Math.round(cursor[0] / KEY_STEP), Math.round(cursor[1] / KEY_STEP));
  return (
    <div class="pad">
      <div class="pad-paper">
        {/* biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: arrow keys draw, so a screen reader is to hand them on. */}
        <canvas
          ref={canvas}
          width={SIZE}
          height={SIZE}
          tabIndex={0}
          role="application"
          aria-label={t().padLabel}
          onPointerDown={(event) => {
            event.preventDefault();
            event.currentTarget.setPointerCapture(event.pointerId);
            setUsesKeys(false);
            current.current = [];
            draw(event);
          }}
          onPointerMove={draw}
          onPointerUp={end}
          onPointerCancel={end}
          onKeyDown={onKey}
        />
        {strokes.length === 0 && !usesKeys && <span class="pad-hint">{t().drawHere}</span>}
        {usesKeys && (
          <span
            class={`pad-pen ${isPenDown ? 'down' : ''}`}
            ref={(element) => {
              element?.style.setProperty('left', `${(cursor[0] / SIZE) * 100}%`);
              element?.style.setProperty('top', `${(cursor[1] / SIZE) * 100}%`);
            }}
          />
        )}
        <span class="hidden-text" role="status">
          {usesKeys ? pen : ''}
        </span>
      </div>
      <div class="row">
        <button type="button" disabled={strokes.length === 0} onClick={() => finish(strokes.slice(0, -1))}>
          {t().undoStroke}
        </button>
        <button type="button" disabled={strokes.length === 0} onClick={() => finish([])}>
          {t().clearPad}
        </button>
      </div>
    </div>
  );
}
