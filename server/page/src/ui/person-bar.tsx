import { useRef } from 'preact/hooks';
import {
  addPerson,
  deletePerson,
  exportFile,
  importFile,
  people,
  person,
  renamePerson,
  say,
  selectPerson,
} from '../state/app.js';
import { Dialog, type DialogHandle } from './dialog.js';

/** Which profile is shown, and what can be done with it. */
export function PersonBar() {
  const naming = useRef<DialogHandle>(null);
  const renaming = useRef<DialogHandle>(null);
  const deleting = useRef<DialogHandle>(null);
  const file = useRef<HTMLInputElement>(null);
  const menu = useRef<HTMLDetailsElement>(null);
  const now = person.value;
  if (!now) return null;
  const download = () => {
    const exported = exportFile();
    if (!exported) return;
    const link = document.createElement('a');
    link.href = URL.createObjectURL(exported.blob);
    link.download = exported.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    say('done', `Exported "${now.name}". Its pictures are not in the file.`);
  };
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
          <button type="button" disabled={!now.bytes} onClick={download}>
            Export
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
      <Dialog handle={renaming} title="Rename the profile" field="Name" action="Rename" onAccept={renamePerson} />
      <Dialog
        handle={deleting}
        title={`Delete "${now.name}"?`}
        text="Its classes, pictures and what was learned are deleted from this device."
        action="Delete"
        danger
        onAccept={deletePerson}
      />
    </nav>
  );
}
