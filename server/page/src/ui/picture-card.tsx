import { useId, useRef, useState } from 'preact/hooks';
import { readPicture, showPicture } from '../state/computing.js';
import { nameProblem } from '../state/model.js';
import { addAll, addPictures, here } from '../state/profiles.js';
import { classes, opened, people, person, personId, query, say, seesColours } from '../state/signals.js';
import type { LabelledPixels, PictureOptions } from '../workers/compute.js';
import { Camera } from './camera.js';
import { DrawPad } from './draw-pad.js';
import { PixelsView } from './pixels-view.js';
import { PredictionView } from './prediction.js';

const sources = ['Draw', 'Upload', 'Camera'] as const;
type Source = (typeof sources)[number];

/** The picture at hand: where it comes from, what the model makes of it, and which class it is an example of. */
export function PictureCard() {
  const [source, setSource] = useState<Source>(seesColours.value ? 'Upload' : 'Draw');
  const [clears, setClears] = useState(0);
  const [flatten, setFlatten] = useState(true);
  const id = useId();
  const isDrawing = opened.value?.manifest.preprocessing.channels === 1;
  const choose = (next: Source) => {
    setSource(next);
    void showPicture();
    setClears(clears + 1);
  };
  const onTabKey = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const next = sources[(sources.indexOf(source) + step + sources.length) % sources.length] as Source;
    choose(next);
    document.getElementById(`${id}-${next}`)?.focus();
  };
  const options: PictureOptions = { flatten: isDrawing && flatten };
  const added = () => {
    setClears(clears + 1);
    if (source !== 'Camera') void showPicture();
  };
  return (
    <section class="card picture" aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>Picture</h2>
      <div class="tabs" role="tablist" aria-label="Where the picture comes from">
        {sources.map((name) => (
          <button
            key={name}
            id={`${id}-${name}`}
            type="button"
            role="tab"
            aria-selected={source === name}
            aria-controls={`${id}-panel`}
            tabIndex={source === name ? 0 : -1}
            onClick={() => choose(name)}
            onKeyDown={onTabKey}
          >
            {name}
          </button>
        ))}
      </div>
      <div id={`${id}-panel`} role="tabpanel" aria-labelledby={`${id}-${source}`}>
        {source === 'Draw' && <DrawPad clears={clears} onDrawing={(drawing) => showPicture(drawing)} />}
        {source === 'Upload' && <Upload options={{}} />}
        {source === 'Camera' && (
          <>
            <Camera onFrame={(frame) => showPicture(frame, { ...options, square: true }, 'The camera')} />
            {isDrawing && (
              <label class="check">
                <input
                  type="checkbox"
                  checked={flatten}
                  onChange={(event) => setFlatten(event.currentTarget.checked)}
                />
                Ink on paper: even out the light
              </label>
            )}
          </>
        )}
      </div>
      <PredictionView />
      <AddExample onAdded={added} />
    </section>
  );
}

/** The picture at hand as an example: of a class that is there, or of a new one. */
function AddExample({ onAdded }: { onAdded: () => void }) {
  const [name, setName] = useState('');
  const now = query.value;
  const add = async (to: string) => {
    const problem = nameProblem(to) ?? (now ? undefined : 'Draw, upload or photograph something first.');
    if (problem) return say('problem', problem);
    if (!(await addPictures(to, [(now as { pixels: Uint8Array }).pixels]))) return;
    setName('');
    onAdded();
  };
  return (
    <div class="add">
      {now && (
        <div class="seen">
          <PixelsView pixels={now.pixels} label="The picture as the model sees it" />
          <span class="quiet">What the model sees</span>
        </div>
      )}
      {classes.value.length > 0 && (
        <fieldset class="chips">
          <legend>This is another example of</legend>
          {classes.value.map((one) => (
            <button key={one.id} type="button" class="chip" disabled={!now} onClick={() => add(one.name)}>
              {one.name}
            </button>
          ))}
        </fieldset>
      )}
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          void add(name);
        }}
      >
        <label class="field grow">
          {classes.value.length > 0 ? 'Or of a new class' : 'Name what this is'}
          <input
            value={name}
            maxLength={80}
            placeholder="such as heart"
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class={person.value?.bytes ? '' : 'primary'}>
          Add example
        </button>
      </form>
    </div>
  );
}

/** Files from the device: one to look at, several for one class, or folders named as classes. */
function Upload({ options }: { options: PictureOptions }) {
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const [isOver, setOver] = useState(false);
  const [several, setSeveral] = useState<readonly Uint8Array[]>([]);
  const [name, setName] = useState('');
  const [done, setDone] = useState<readonly [number, number]>([0, 0]);

  const readAll = async (list: readonly File[]): Promise<{ file: File; pixels: Uint8Array }[]> => {
    const at = here();
    const read: { file: File; pixels: Uint8Array }[] = [];
    const refused: string[] = [];
    for (const [i, file] of list.entries()) {
      setDone([i, list.length]);
      const pixels = await readPicture(file, options, file.name, at);
      if (pixels) read.push({ file, pixels });
      else refused.push(file.name);
    }
    setDone([0, 0]);
    if (refused.length > 1)
      say('problem', `${refused.length} files are no pictures that can be read: ${refused.join(', ')}`);
    return read;
  };
  const take = async (list: readonly File[]) => {
    const [first] = list;
    if (first && list.length === 1) return showPicture(first, options, first.name);
    setSeveral((await readAll(list)).map(({ pixels }) => pixels));
  };
  const takeFolders = async (list: readonly File[]) => {
    const pictures = list.filter((file) => {
      const [, ...below] = file.webkitRelativePath.split('/');
      return below.length > 0 && !below.some((name) => name.startsWith('.'));
    });
    for (const file of pictures) {
      const label = file.webkitRelativePath.split('/').at(-2) as string;
      const problem = nameProblem(label);
      if (problem) return say('problem', `${label}: ${problem}`);
    }
    // What is read goes to the profile that it was chosen for, whichever is shown by then.
    const at = here();
    const read = await readAll(pictures);
    if (opened.value?.digest !== at.bundle) return;
    const labelled: LabelledPixels[] = read.map(({ file, pixels }) => ({
      label: file.webkitRelativePath.split('/').at(-2) as string,
      pixels,
    }));
    if (labelled.length === 0) return say('problem', 'The folder has no pictures that can be read.');
    if (!(await addAll(labelled, at))) return;
    const to = at.id === personId.value ? '' : ` to "${people.value.find(({ id }) => id === at.id)?.name}"`;
    const count = new Set(labelled.map(({ label }) => label)).size;
    say('done', `Added ${labelled.length} pictures of ${count} ${count === 1 ? 'class' : 'classes'}${to}.`);
  };
  const listOf = (input: HTMLInputElement | null) => [...(input?.files ?? [])];
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: dropping is one more way of what the buttons inside do.
    <div
      class={`drop ${isOver ? 'over' : ''}`}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        void take([...(event.dataTransfer?.files ?? [])]);
      }}
    >
      <p>Drop pictures here, or</p>
      <div class="row centred-row">
        <button type="button" class="primary" onClick={() => files.current?.click()}>
          Choose pictures
        </button>
        <button type="button" onClick={() => folder.current?.click()}>
          Choose a folder of classes
        </button>
      </div>
      <p class="quiet">
        One picture is shown to the model; several become examples of one class. Of a folder, the folders inside name
        the classes.
      </p>
      {done[1] > 0 && <progress aria-label="Reading pictures" value={done[0]} max={done[1]} />}
      <input
        ref={files}
        class="hidden"
        type="file"
        multiple
        accept="image/*"
        tabIndex={-1}
        aria-label="Pictures"
        onChange={async () => {
          await take(listOf(files.current));
          if (files.current) files.current.value = '';
        }}
      />
      <input
        ref={(element) => {
          folder.current = element;
          element?.setAttribute('webkitdirectory', '');
        }}
        class="hidden"
        type="file"
        multiple
        tabIndex={-1}
        aria-label="Folder of classes"
        onChange={async () => {
          await takeFolders(listOf(folder.current));
          if (folder.current) folder.current.value = '';
        }}
      />
      {several.length > 0 && (
        <form
          class="row"
          onSubmit={async (event) => {
            event.preventDefault();
            const problem = nameProblem(name);
            if (problem) return say('problem', problem);
            if (!(await addPictures(name, several))) return;
            setSeveral([]);
            setName('');
          }}
        >
          <label class="field grow">
            Class of these {several.length} pictures
            <input value={name} maxLength={80} onInput={(event) => setName(event.currentTarget.value)} />
          </label>
          <button type="submit" class="primary">
            Add all
          </button>
        </form>
      )}
    </div>
  );
}
