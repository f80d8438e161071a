import { useRef } from 'preact/hooks';
import { addPerson, deletePerson, importFile, renamePerson, selectPerson } from '../state/profiles.js';
import { people, person } from '../state/signals.js';
import { Dialog, type DialogHandle } from './dialog.js';
import { download, downloadModel } from './download.js';

/** Which profile is shown, and what can be done with it. */
export function PersonBar() {
  const naming = useRef<DialogHandle>(null);
  const renaming = useRef<DialogHandle>(null);
  const deleting = useRef<DialogHandle>(null);
  const file = useRef<HTMLInputElement>(null);
  const menu = useRef<HTMLDetailsElement>(null);
  const now = person.value;
  if (!now) return null;
  // What was focused was inside the menu, which is closed.
  const backToMenu = () => menu.current?.querySelector('summary')?.focus();
  return (
    <nav class="people" aria-label="Profiles">
      <label class="field inline">
        <span>Profile</span>
        <select value={now.id} onChange={(event) => selectPerson(event.currentTarget.value)}>
          {people.value.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <button type="button" onClick={() => naming.current?.open(`Profile ${people.value.length + 1}`)}>
        New
      </button>
      <details
        ref={menu}
        class="menu"
        onClick={(event) => {
          if (menu.current && event.target instanceof HTMLButtonElement) menu.current.open = false;
        }}
        onKeyDown={(event) => {
          if (menu.current && event.key === 'Escape') menu.current.open = false;
        }}
        onFocusOut={(event) => {
          const { relatedTarget } = event;
          if (relatedTarget instanceof Node && !menu.current?.contains(relatedTarget) && menu.current)
            menu.current.open = false;
        }}
      >
        <summary aria-label="More about this profile">More</summary>
        <div class="menu-items">
          <button type="button" onClick={() => renaming.current?.open(now.name)}>
            Rename
          </button>
          <button type="button" disabled={!now.bytes} onClick={() => download(now)}>
            Export
          </button>
          <button type="button" disabled={!now.bytes} onClick={() => downloadModel(now)}>
            Export as ONNX
          </button>
          <button type="button" onClick={() => file.current?.click()}>
            Import
          </button>
          <button type="button" class="danger" onClick={() => deleting.current?.open()}>
            Delete
          </button>
        </div>
      </details>
      <input
        ref={file}
        type="file"
        class="hidden"
        tabIndex={-1}
        aria-label="Profile file to import"
        onChange={async (event) => {
          const { files } = event.currentTarget;
          if (files?.[0]) await importFile(files[0]);
          if (file.current) file.current.value = '';
        }}
      />
      <Dialog handle={naming} title="New profile" field="Name" action="Create" onAccept={(name) => addPerson(name)} />
      <Dialog
        handle={renaming}
        title="Rename the profile"
        field="Name"
        action="Rename"
        onAccept={renamePerson}
        onClose={backToMenu}
      />
      <Dialog
        handle={deleting}
        title={`Delete "${now.name}"?`}
        text="Its classes, pictures and what was learned are deleted from this device."
        action="Delete"
        danger
        onAccept={deletePerson}
        onClose={backToMenu}
      />
    </nav>
  );
}
