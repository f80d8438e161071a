import { t } from '../messages/index.js';
import { seconds } from '../messages/measures.js';
import { learnedFrom } from '../state/learning.js';
import { adapting, missing, personId } from '../state/signals.js';

/** One quiet line: what is missing, that it learns, or from how much it has learned. */
export function LearnedLine() {
  const running = adapting.value;
  const isLearning = running?.id === personId.value && !running.isChoosing;
  const learned = learnedFrom.value;
  const state = missing.value !== undefined ? 'missing' : learned && !isLearning ? 'learned' : 'learning';
  return (
    <p class={`status-line ${state}`} role="status" data-milliseconds={learned?.milliseconds}>
      {missing.value ??
        (learned && !isLearning ? t().learned(learned.count, seconds(learned.milliseconds)) : t().learning)}
    </p>
  );
}
