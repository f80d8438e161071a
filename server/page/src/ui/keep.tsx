import { useId, useState } from 'preact/hooks';
import { t } from '../messages/index.js';
import { openFile } from '../state/files.js';
import { picturesOf } from '../state/model.js';
import { person } from '../state/signals.js';
import { FileButton } from './file-button.js';
import { saveOnnx, saveProfile, saveProject } from './save.js';
import { ShareDialog } from './share-dialog.js';
import { WebPageDialog } from './web-page-dialog.js';

/** Ways to take a project along, and to open one. */
export function Keep() {
  const id = useId();
  const now = person.value;
  const [asked, setAsked] = useState<'link' | 'page' | undefined>(undefined);
  const close = () => setAsked(undefined);
  if (!now) return null;
  const hasLearned = now.bytes !== undefined;
  const hasPictures = picturesOf(now.extra.classes) > 0;
  const ways = [
    { title: t().saveProject, text: t().saveProjectText, isReady: hasPictures, run: () => saveProject(now) },
    { title: t().saveProfile, text: t().saveProfileText, isReady: hasLearned, run: () => saveProfile(now) },
    { title: t().saveOnnx, text: t().saveOnnxText, isReady: hasLearned, run: () => saveOnnx(now) },
    { title: t().saveWebPage, text: t().saveWebPageText, isReady: hasLearned, run: () => setAsked('page') },
    { title: t().shareLink, text: t().shareLinkText, isReady: hasLearned, run: () => setAsked('link') },
  ];
  return (
    <section class="card keep" aria-labelledby={id}>
      <h2 id={id}>{t().keep}</h2>
      <ul>
        {ways.map(({ title, text, isReady, run }, i) => (
          <li key={title}>
            <button type="button" disabled={!isReady} aria-describedby={`${id}-${i}`} onClick={run}>
              {title}
            </button>
            <span id={`${id}-${i}`} class="quiet">
              {text}
            </span>
          </li>
        ))}
        <li>
          <FileButton label={t().openInput} accept="" onFiles={([file]) => file && openFile(file)}>
            {t().openFile}
          </FileButton>
          <span class="quiet">{t().openFileText}</span>
        </li>
      </ul>
      {asked === 'link' && <ShareDialog person={now} onClose={close} />}
      {asked === 'page' && <WebPageDialog person={now} onClose={close} />}
    </section>
  );
}
