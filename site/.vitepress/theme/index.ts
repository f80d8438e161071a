import './style.css';

export { theme as default } from '../../src/theme.js';
