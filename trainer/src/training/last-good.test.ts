import { expect, it } from 'vitest';
import { DivergedError, LastGood } from './last-good.js';

it('going back keeps the best validation, whose checkpoint stays', () => {
  const state = { step: 0, halved: 0, bestValidation: 0.5 as number | undefined, weights: new Float32Array([1]) };
  const lastGood = new LastGood(state, undefined, true);
  lastGood.confirm();
  Object.assign(state, { step: 3, bestValidation: 0.6 });
  state.weights[0] = 2;
  lastGood.mark();
  lastGood.goBack(new DivergedError('outer step 4: the loss is NaN'));
  expect(state).toEqual({ step: 0, halved: 1, bestValidation: 0.6, weights: new Float32Array([1]) });
});

it('where there is nothing to go back to, says which rates to lower', () => {
  const state = { step: 0, halved: 0, bestValidation: undefined };
  const lastGood = new LastGood(state, undefined, true);
  expect(() => lastGood.goBack(new DivergedError('outer step 1: the loss is NaN'))).toThrow(
    'outer step 1: the loss is NaN; lower the outer or the inner rate',
  );
});
