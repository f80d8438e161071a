import { t } from '../messages/index.js';
import { notice, noticeIsHeld } from '../state/signals.js';
import { Detail } from './detail.js';
import { Sign } from './signs.js';

const close = () => {
  notice.value = undefined;
  noticeIsHeld.value = false;
};
const hold = () => {
  noticeIsHeld.value = true;
};
const letGo = () => {
  noticeIsHeld.value = false;
};

/** What was done a moment ago, or went wrong. */
export function Notices() {
  const now = notice.value;
  const action = now?.action;
  return (
    <div class="notices" role="status" aria-live="polite">
      {now && (
        <div
          class={`notice ${now.kind}`}
          onPointerEnter={hold}
          onPointerLeave={letGo}
          onFocusIn={hold}
          onFocusOut={letGo}
        >
          <span>
            {now.text}
            {now.detail && <Detail text={now.detail} />}
          </span>
          {action && (
            <button
              type="button"
              class="act"
              onClick={() => {
                close();
                void action.run();
              }}
            >
              {action.label}
            </button>
          )}
          <button type="button" class="plain round" aria-label={t().close} onClick={close}>
            <Sign name="off" size={18} />
          </button>
        </div>
      )}
    </div>
  );
}
