import type { Attack } from './attack.js';
import { send } from './send.js';

// Requests of those who should not be here.

const PATHS = ['/', '/health', '/health/ready', '/models', '/bundles/index.json', '/openapi.json', '/docs'];

export const hostAttacks: readonly Attack[] = [
  {
    name: 'hosts',
    what: 'requests for another host',
    clients: 8,
    statuses: [421],
    async prepare(target) {
      const headers = { Host: 'evil.example' };
      return (signal, count) =>
        send(target, { path: PATHS[count % PATHS.length] as string, method: 'GET', headers }, signal);
    },
  },
  {
    name: 'wrong-keys',
    what: 'wrong keys, one after another',
    clients: 8,
    statuses: [401, 429],
    auth: 'keys',
    async prepare(target) {
      return (signal, count) => {
        const headers = { 'X-API-Key': `whet_${count}` };
        return send(target, { path: '/profiles', method: 'GET', headers }, signal);
      };
    },
  },
];
