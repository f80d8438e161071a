import type { AutoReport, HeldBack, Reason } from '@whet/runtime/web';
import { t } from '../../messages/index.js';
import { inMilliseconds, loss, roundLoss } from '../../messages/measures.js';
import type { LastAdaptation } from '../../state/model.js';
import { ScrollArea } from '../scroll-area.js';
import { Columns } from './columns.js';

/** How much of the examples came out right unseen, and why there were no steps, or what `auto` took and why; what it tried stands behind that. */
export function AdaptOutcome({ last: { heldBack, auto, why, losses, pattern } }: { last: LastAdaptation }) {
  const words = t().engineers;
  const right = heldBack ? `${words.unseenRight(heldBack.right, heldBack.asked)}.` : '';
  if (!auto) {
    if (!right && !why) return null;
    return (
      <p class="quiet">
        {right}
        {why && ` ${words.spared(pattern)}: ${sayWhy(why)}.`}
      </p>
    );
  }
  const isSolved = auto.trials.some(({ solved }) => solved);
  const took = losses.length > 0 ? words.tookSteps(losses.length, pattern) : isSolved ? words.solved : words.noSteps;
  return (
    <details class="tried">
      <summary class="quiet">
        {right && `${right} `}
        {took}
        {why && `: ${sayWhy(why)}`}.
      </summary>
      <ScrollArea label={words.tried}>
        <Trials trials={auto.trials} />
      </ScrollArea>
    </details>
  );
}

/** A reason in the language that is shown. */
function sayWhy(reason: Reason): string {
  // A page of another version may have kept one that this has no words for.
  const say = t().engineers.reasons[reason.code] as ((of: object) => string) | undefined;
  if (!say) return reason.code;
  return say({
    ...reason,
    ...('loss' in reason ? { loss: roundLoss(reason.loss) } : {}),
    ...('budgetMs' in reason ? { budgetMs: inMilliseconds(reason.budgetMs) } : {}),
  });
}

function Trials({ trials }: Pick<AutoReport, 'trials'>) {
  const words = t().engineers;
  const rightOf = ({ right, asked }: HeldBack, isOfViews: boolean) =>
    isOfViews ? words.rightOfViews(right, asked) : words.rightOf(right, asked);
  return (
    <table>
      <Columns names={[words.tried, words.steps, words.right, words.loss, 'ms']} />
      <tbody>
        {trials.map(({ pattern, steps, solved, withViews, heldBack, views, milliseconds }) => {
          const told = heldBack ?? views;
          const nameOf = (name: string) => (steps > 0 || solved ? name : words.start);
          return (
            <tr key={`${pattern} ${steps} ${solved} ${withViews}`}>
              <th scope="row" translate={false}>
                {withViews > 0 ? words.withViews(nameOf(pattern), withViews) : nameOf(pattern)}
              </th>
              <td>{steps}</td>
              <td>{told ? rightOf(told, told === views) : '–'}</td>
              <td>{told ? loss(told.loss, 2) : '–'}</td>
              <td>{Math.round(milliseconds)}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
