import { register } from 'tsx/esm/api';

// In every thread, where `--import tsx` registers in the main one only: Node.js 20 shares no hooks between threads.
register();
