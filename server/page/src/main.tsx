import { render } from 'preact';
import { registerServiceWorker } from './shared/no-other-ways.js';
import { start } from './state/opening.js';
import './styles/base.css';
import './styles/controls.css';
import './styles/top.css';
import './styles/layout.css';
import './styles/stage.css';
import './styles/answer.css';
import './styles/first-steps.css';
import './styles/cards.css';
import './styles/keep.css';
import './styles/engineers.css';
import './styles/notices.css';
import './styles/phone.css';
import { App } from './ui/app.js';

const root = document.getElementById('app') as HTMLElement;
render(<App />, root);
void start();

if (import.meta.env.PROD) {
  // The page first: what it fetches while it starts need not compete with what is kept for later.
  if (document.readyState === 'complete') void registerServiceWorker();
  else addEventListener('load', registerServiceWorker, { once: true });
}
