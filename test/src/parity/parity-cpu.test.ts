import { findBackends } from './gpu.js';
import { describeParity } from './meta-gradient-parity.js';

describeParity(await findBackends(['ort-cpu', 'tfjs-cpu', 'tfjs-wasm']));
