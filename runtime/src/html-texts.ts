/** All that the page says. */
export interface HtmlTexts {
  /** Its language, as in `de`; one that is written from the right is laid out so. */
  readonly language: string;
  readonly title: string;
  readonly intro: string;
  readonly choose: string;
  /** To take a picture with a phone's camera. */
  readonly take: string;
  readonly gettingReady: string;
  readonly ready: string;
  /** What a picture is called that stands there, and the list of answers. */
  readonly picture: string;
  readonly answers: string;
  readonly unreadable: string;
  /** Of a page that this browser does not start, and of a picture that was read and brought no answer; what a library said stands below. */
  readonly cannotStart: string;
  readonly failed: string;
  readonly noScript: string;
}

/** What the page of some classes says in English; `classes` as the model's probabilities are ordered, two or more. */
export const englishTexts = (classes: readonly string[]): HtmlTexts => ({
  language: 'en',
  title:
    classes.length > 5 ? `Which of ${classes.length}?` : `${classes.slice(0, -1).join(', ')} or ${classes.at(-1)}?`,
  intro: 'Choose a picture to see what it shows. It stays on this device: this page connects to nothing.',
  choose: 'Choose a picture',
  take: 'Take a picture',
  gettingReady: 'Getting ready',
  ready: 'Ready',
  picture: 'The chosen picture',
  answers: 'What it may show',
  unreadable: 'This picture cannot be read.',
  cannotStart: 'This page cannot start in this browser.',
  failed: 'Something went wrong.',
  noScript: 'This page needs JavaScript.',
});
