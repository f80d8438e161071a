import { t } from '../messages/index.js';
import { Sign, type SignName } from './signs.js';

/** What to do first, in three steps. */
export function FirstSteps() {
  const steps: readonly (readonly [SignName, string, string])[] = [
    ['camera', t().firstShow, t().firstShowText],
    ['plus', t().firstOther, t().firstOtherText],
    ['tick', t().firstAsk, t().firstAskText],
  ];
  return (
    <ol class="first-steps" aria-label={t().firstTitle}>
      {steps.map(([icon, title, text], i) => (
        <li key={title}>
          <span class="step-number" aria-hidden="true">
            {i + 1}
          </span>
          <Sign name={icon} size={28} />
          <strong>{title}</strong>
          <span>{text}</span>
        </li>
      ))}
    </ol>
  );
}
