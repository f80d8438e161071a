import './shared/no-webrtc.js';
import { render } from 'preact';
import { start } from './state/opening.js';
import './styles.css';
import { App } from './ui/app.js';

const root = document.getElementById('app');
if (!root) throw new Error('expected #app in the page');
render(<App />, root);
void start();

if ('serviceWorker' in navigator && import.meta.env.PROD) {
  const register = () => navigator.serviceWorker.register('./sw.js', { scope: './' }).catch(() => {});
  // The page first: what it fetches while it starts need not compete with what is kept for later.
  if (document.readyState === 'complete') void register();
  else addEventListener('load', register, { once: true });
}
