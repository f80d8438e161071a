import { t } from '../messages/index.js';

/** What a library or the browser said of a problem, folded: it is English, and for engineers. */
export function Detail({ text }: { text: string }) {
  return (
    <details class="said">
      <summary>{t().details}</summary>
      <span lang="en" dir="ltr">
        {text}
      </span>
    </details>
  );
}
