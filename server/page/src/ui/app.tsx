import { t } from '../messages/index.js';
import { memoryOnly, others, phase } from '../state/signals.js';
import { About } from './about.js';
import { Cards } from './cards.js';
import { Detail } from './detail.js';
import { Engineers } from './engineers/engineers.js';
import { InstallOffer } from './install-offer.js';
import { Keep } from './keep.js';
import { Asking, Failed, Loading } from './loading.js';
import { Models } from './models.js';
import { Notices } from './notices.js';
import { OtherProjects } from './other-projects.js';
import { QualityCard } from './quality-card.js';
import { Selection } from './selection.js';
import { StageCard } from './stage-card.js';
import { Top } from './top.js';

export function App() {
  const { kind } = phase.value;
  return (
    <>
      <Top />
      {memoryOnly.value && (
        <div class="banner" role="status">
          <strong>{t().memoryOnly}</strong> {t().memoryOnlyHint} <Detail text={memoryOnly.value} />
        </div>
      )}
      <Models />
      {kind === 'loading' && <Loading />}
      {kind === 'asking' && <Asking />}
      {kind === 'failed' && <Failed />}
      {kind === 'ready' && (
        <main>
          <div class="columns">
            <div class="teach">
              <StageCard />
              <Cards />
            </div>
            <div class="rest">
              <InstallOffer />
              <QualityCard />
              <Keep />
              <Engineers />
            </div>
          </div>
        </main>
      )}
      <footer>
        {kind === 'ready' && others.value.length > 0 && <OtherProjects />}
        <About />
      </footer>
      {kind === 'ready' && <Selection />}
      <Notices />
    </>
  );
}
