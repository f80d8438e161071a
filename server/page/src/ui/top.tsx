import { useEffect, useRef } from 'preact/hooks';
import { t } from '../messages/index.js';
import { history, undoLast } from '../state/history.js';
import { addPerson, deletePerson, renamePerson, selectPerson } from '../state/profiles.js';
import { people, person, phase } from '../state/signals.js';
import { Dialog, type DialogHandle } from './dialog.js';
import { Sign } from './signs.js';

/** The name of the page, which project is shown, and the way back. */
export function Top() {
  const isReady = phase.value.kind === 'ready';
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const isTyping = (event.target as HTMLElement).matches?.('input:not([type]), input[type="text"], textarea');
      if (isTyping || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.key.toLowerCase() !== 'z') return;
      event.preventDefault();
      void undoLast();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
  return (
    <header class="top">
      <div class="brand">
        <svg viewBox="0 0 32 32" width="36" height="36" aria-hidden="true">
          <rect width="32" height="32" rx="8" class="brand-tile" />
          <path d="M6 10l5 13 5-10 5 10 5-13" class="brand-mark" />
        </svg>
        <div>
          <h1 translate={false}>Whet</h1>
          <p class="private">
            <Lock /> {t().privacy}
          </p>
        </div>
      </div>
      {isReady && <Projects />}
    </header>
  );
}

function Lock() {
  return (
    <svg viewBox="0 0 24 24" width="16" height="16" aria-hidden="true">
      <path d="M7 10V7a5 5 0 0 1 10 0v3" fill="none" stroke="currentColor" stroke-width="2" />
      <rect x="4.5" y="10" width="15" height="11" rx="2.5" fill="currentColor" />
    </svg>
  );
}

/** Which project is shown, and what can be done with it. */
function Projects() {
  const naming = useRef<DialogHandle>(null);
  const renaming = useRef<DialogHandle>(null);
  const deleting = useRef<DialogHandle>(null);
  const menu = useRef<HTMLDetailsElement>(null);
  const now = person.value;
  if (!now) return null;
  // What was focused was inside the menu, which is closed.
  const backToMenu = () => menu.current?.querySelector('summary')?.focus();
  const choose = (open: () => void) => {
    if (menu.current) menu.current.open = false;
    open();
  };
  return (
    <nav class={`people ${people.value.length > 1 ? 'many' : ''}`} aria-label={t().project}>
      <label class="field inline">
        <span class="hidden-text">{t().project}</span>
        <select value={now.id} onChange={(event) => selectPerson(event.currentTarget.value)}>
          {people.value.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <details
        class="menu"
        ref={menu}
        onKeyDown={(event) => {
          if (event.key !== 'Escape' || !menu.current?.open) return;
          menu.current.open = false;
          backToMenu();
        }}
      >
        <summary aria-label={t().projectMenu}>
          <Sign name="more" />
        </summary>
        <div class="menu-items">
          <button
            type="button"
            onClick={() => choose(() => naming.current?.open(t().projectNumber(people.value.length + 1)))}
          >
            {t().newProject}
          </button>
          <button type="button" onClick={() => choose(() => renaming.current?.open(now.name))}>
            {t().rename}
          </button>
          <button type="button" class="danger" onClick={() => choose(() => deleting.current?.open())}>
            {t().delete}
          </button>
        </div>
      </details>
      <button
        type="button"
        class="round"
        disabled={history.value.length === 0}
        onClick={undoLast}
        aria-label={t().undo}
      >
        <Sign name="undo" />
      </button>
      <Dialog
        handle={naming}
        title={t().newProject}
        field={t().name}
        action={t().create}
        onAccept={(name) => addPerson(name)}
        onClose={backToMenu}
      />
      <Dialog
        handle={renaming}
        title={t().renameProject}
        field={t().name}
        action={t().rename}
        onAccept={renamePerson}
        onClose={backToMenu}
      />
      <Dialog
        handle={deleting}
        title={t().deleteProject(now.name)}
        text={t().deleteProjectText}
        action={t().delete}
        danger
        onAccept={deletePerson}
        onClose={backToMenu}
      />
    </nav>
  );
}
