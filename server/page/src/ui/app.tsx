import { openBundle, retry } from '../state/opening.js';
import { bundleName, bundles, memoryOnly, notice, opened, others, phase } from '../state/signals.js';
import { About } from './about.js';
import { AdaptBar, AdaptCard } from './adapt-card.js';
import { ClassesCard } from './classes-card.js';
import { CompareCard } from './compare-card.js';
import { OtherProfiles } from './other-profiles.js';
import { PersonBar } from './person-bar.js';
import { PictureCard } from './picture-card.js';

export function App() {
  const { kind } = phase.value;
  return (
    <>
      <header class="top">
        <div class="brand">
          <svg viewBox="0 0 32 32" width="36" height="36" aria-hidden="true">
            <rect width="32" height="32" rx="8" class="brand-tile" />
            <path d="M6 10l5 13 5-10 5 10 5-13" class="brand-mark" />
          </svg>
          <div>
            <h1>Whet</h1>
            <p>Teach it yourself</p>
          </div>
        </div>
        <p class="private">
          <Lock /> Pictures never leave this device
        </p>
        {kind === 'ready' && <PersonBar />}
      </header>
      {memoryOnly.value && (
        <p class="banner" role="status">
          <strong>Nothing is kept after this page is closed:</strong> {memoryOnly.value}. Export a profile to keep it.
        </p>
      )}
      {kind === 'loading' && <Loading />}
      {kind === 'failed' && <Failed />}
      {kind === 'ready' && (
        <main>
          <div class="column">
            <PictureCard />
          </div>
          <div class="column">
            <ClassesCard />
            <AdaptCard />
            <CompareCard />
          </div>
        </main>
      )}
      <footer>
        {bundles.value.length > 1 && kind !== 'loading' && (
          <label class="field inline">
            Model
            <select value={bundleName.value} onChange={(event) => openBundle(event.currentTarget.value)}>
              {bundles.value.map((name) => (
                <option key={name} value={name}>
                  {name}
                </option>
              ))}
            </select>
          </label>
        )}
        {kind === 'ready' && others.value.length > 0 && <OtherProfiles />}
        {kind === 'ready' && opened.value && <p class="quiet">{opened.value.manifest.description}.</p>}
        <About />
      </footer>
      {kind === 'ready' && <AdaptBar />}
      <Notices />
    </>
  );
}

function Lock() {
  return (
    <svg viewBox="0 0 24 24" width="18" height="18" aria-hidden="true">
      <path d="M7 10V7a5 5 0 0 1 10 0v3" fill="none" stroke="currentColor" stroke-width="2" />
      <rect x="4.5" y="10" width="15" height="11" rx="2.5" fill="currentColor" />
    </svg>
  );
}

function Loading() {
  if (phase.value.kind !== 'loading') return null;
  const { loaded, total } = phase.value;
  const size = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
  return (
    <main class="single">
      <section class="card centred" aria-busy="true">
        <h2>Getting ready</h2>
        <progress aria-label="Loading the model" {...(total > 0 ? { value: loaded, max: total } : {})} />
        <p class="quiet">
          {total > 0 ? `Model: ${size(loaded)} of ${size(total)}` : 'Loading what computes on this device'}
        </p>
      </section>
    </main>
  );
}

function Failed() {
  if (phase.value.kind !== 'failed') return null;
  return (
    <main class="single">
      <section class="card centred" role="alert">
        <h2>The model {bundles.value.length > 1 && `"${bundleName.value}" `}could not be loaded</h2>
        <p class="detail">{phase.value.message}</p>
        <button type="button" class="primary" onClick={retry}>
          Fetch it again
        </button>
      </section>
    </main>
  );
}

function Notices() {
  const now = notice.value;
  return (
    <div class="notices" role="status" aria-live="polite">
      {now && (
        <p class={`notice ${now.kind}`}>
          <span>{now.text}</span>
          {now.undo && (
            <button
              type="button"
              class="undo"
              onClick={() => {
                notice.value = undefined;
                void now.undo?.();
              }}
            >
              Undo
            </button>
          )}
          <button
            type="button"
            class="plain"
            aria-label="Close this message"
            onClick={() => {
              notice.value = undefined;
            }}
          >
            ×
          </button>
        </p>
      )}
    </div>
  );
}
