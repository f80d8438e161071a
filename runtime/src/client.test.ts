import { expect, it } from 'vitest';
import { WhetClient } from './client.js';

// The client against the service is tested by test/src/service. This is a service that dies while it answers.
it('an adaptation whose stream ends before the profile is stored is refused', async () => {
  const event = 'event: step\ndata: {"step":1,"loss":0.5}\n\n';
  const answer = async () => new Response(event, { headers: { 'Content-Type': 'text/event-stream' } });
  const steps: number[] = [];
  const adapting = new WhetClient('http://localhost', { fetch: answer }).adapt(
    { examples: [] },
    { onStep: (step) => steps.push(step) },
  );
  await expect(adapting).rejects.toThrow('the service ended the stream before the profile was stored');
  expect(steps).toEqual([1]);
});
