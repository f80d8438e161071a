import { render } from 'preact';
import { registerServiceWorker } from './shared/no-other-ways.js';
import { start } from './state/opening.js';
import './styles.css';
import { App } from './ui/app.js';

const root = document.getElementById('app') as HTMLElement;
render(<App />, root);
void start();

if (import.meta.env.PROD) {
  // The page first: what it fetches while it starts need not compete with what is kept for later.
  if (document.readyState === 'complete') void registerServiceWorker();
  else addEventListener('load', registerServiceWorker, { once: true });
}
