import { plural } from './plural.js';

const things = plural('en', '# thing', '# things');
const pictures = plural('en', '# picture', '# pictures');
const seconds = (ms: number) => (ms < 950 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`);

/** Every text that the page's own code shows, in English; other languages have the same keys. */
export const en = {
  direction: 'ltr' as 'ltr' | 'rtl',
  tagline: 'Teach it your things',
  privacy: 'Pictures stay on this device',
  close: 'Close this message',
  undo: 'Undo',
  remove: 'Remove',
  again: 'Try again',
  languageLabel: 'Language',

  // Loading
  gettingReady: 'Getting ready',
  loadingLabel: 'Loading',
  loadedOf: (loaded: string, total: string) => `${loaded} of ${total}`,
  loadingEngine: 'Only the first time: after that it opens without a network.',
  couldNotLoad: (name: string) => `${name} could not be loaded`,
  fetchAgain: 'Fetch it again',
  meteredTitle: 'You are on mobile data',
  meteredText: (size: string) =>
    `It has to be downloaded once${size && ` (about ${size})`}. After that it works without a network.`,
  meteredGo: 'Download now',

  // Models
  modelQuestion: 'What will you show it?',
  photos: 'Photographs',
  photosFor: 'What a camera sees: things, hands, pets',
  drawings: 'Drawings',
  drawingsFor: 'Letters, signs and doodles',
  looksLikePhoto: 'This looks like a photograph. “Photographs” learns such pictures much better.',
  useOther: (name: string) => `Use “${name}”`,

  // First steps
  firstTitle: 'Three steps',
  firstShow: 'Show',
  firstShowText: 'Hold the first thing up and keep its button pressed.',
  firstOther: 'Show another',
  firstOtherText: 'Do the same with a second thing.',
  firstAsk: 'Ask',
  firstAskText: 'Hold one of them up: it says which one it sees.',
  demoThings: 'Or try it with ready-made pictures',

  // The stage
  stage: 'What it sees',
  sources: 'Where pictures come from',
  camera: 'Camera',
  draw: 'Draw',
  upload: 'Upload',
  picture: 'Picture',
  startCamera: 'Start the camera',
  stopCamera: 'Stop the camera',
  cameraStarting: 'Starting the camera',
  cameraView: 'What the camera sees',
  turnCamera: 'Other camera',
  light: 'Light',
  inkOnPaper: 'It is ink on paper: even out the light',
  choosePicture: 'Choose a picture to ask about',
  picturesInput: 'Picture to ask about',
  seenByModel: 'The picture as it is seen',
  drawHere: 'Draw here',
  padLabel:
    'Drawing pad. Draw with a pointer; or move the pen with the arrow keys and set it down or up with the space bar.',
  penAt: (isDown: boolean, column: number, row: number) =>
    `Pen ${isDown ? 'down' : 'up'} at column ${column}, row ${row}`,
  undoStroke: 'Undo stroke',
  clearPad: 'Clear',
  cameraDenied:
    'The camera was not allowed. Allow it in the browser’s settings for this page, or upload pictures instead.',
  cameraNone: 'No camera was found. Upload pictures or draw instead.',
  cameraBusy: 'Another program uses the camera. Close it, or upload pictures instead.',
  cameraUnfit: 'This camera does not give pictures that can be used here.',
  cameraHttps: 'Browsers give the camera to pages over HTTPS only. Upload pictures instead.',
  cameraFailed: (why: string) => `The camera does not start: ${why}`,
  cameraEnded: 'The camera stopped.',

  // What it takes a picture for
  itIs: 'It is',
  notSure: 'Not sure',
  notSureBetween: (one: string, other: string) => `${one} or ${other}?`,
  noneOfThese: 'None of these',
  showIt: 'Show it something, and it says what it sees.',
  teachFirst: 'Teach it two things, and it says here which one it sees.',
  howSure: 'How sure it is',
  allThings: (count: number) => `All ${things(count)}`,

  // Cards
  cards: 'Your things',
  cardsCount: (count: number, examples: number) => `${things(count)}, ${pictures(examples)}`,
  thing: (number: number) => `Thing ${number}`,
  nameOf: (name: string) => `Name of ${name}`,
  addThing: 'Add a thing',
  addBackground: 'Add “none of these”',
  backgroundName: 'none of these',
  backgroundHint: 'Show what is none of your things: the room, an empty hand.',
  addFolder: 'Add a folder of folders',
  folderInput: 'Folder of classes',
  uploadTo: (name: string) => `Pictures of ${name}`,
  holdToRecord: 'Hold to record',
  holdToRecordTo: (name: string) => `Hold to record ${name}`,
  startCameraFor: (name: string) => `Start the camera for ${name}`,
  drawFor: (name: string) => `Draw ${name}`,
  uploadFor: (name: string) => `Upload pictures of ${name}`,
  addDrawing: 'Add this drawing',
  addDrawingTo: (name: string) => `Add this drawing to ${name}`,
  addPicture: 'Add this picture',
  addPictureTo: (name: string) => `Add this picture to ${name}`,
  removeThing: (name: string) => `Remove ${name}`,
  pictures,
  elsewhere: (count: number) => `${count} on another device`,
  pictureOf: (number: number, name: string) => `Picture ${number} of ${name}`,
  selected: (count: number) => `${pictures(count)} chosen`,
  moveTo: 'Move to',
  moveChoose: 'Choose a thing',
  unselect: 'Done',
  readingPictures: 'Reading pictures',

  // What was done
  added: (count: number, name: string) => `Added ${pictures(count)} to “${name}”.`,
  addedMany: (count: number, classes: number, project: string) =>
    `Added ${pictures(count)} of ${things(classes)}${project ? ` to “${project}”` : ''}.`,
  addedThing: (name: string) => `Added “${name}”.`,
  removedPictures: (count: number, name: string) => `Removed ${pictures(count)} of “${name}”.`,
  removedMany: (count: number) => `Removed ${pictures(count)}.`,
  removedThing: (name: string, count: number) => `Removed “${name}” with ${pictures(count)}.`,
  moved: (count: number, name: string) => `Moved ${pictures(count)} to “${name}”.`,
  renamed: (name: string) => `It is called “${name}” now.`,
  undone: 'Taken back.',
  nothingChanged: (name: string) => `Nothing was changed: ${name ? `“${name}”` : 'the project'} is not there any more.`,
  nameFirst: 'Give it a name first.',
  nameTooLong: (bytes: number) => `A name has at most ${bytes} bytes and no control characters.`,
  nameTaken: (name: string) => `There is a “${name}” already.`,
  filesRefused: (count: number, names: string) => `${count} files are no pictures that can be read: ${names}`,
  folderEmpty: 'The folder has no pictures that can be read.',
  nothingToAdd: 'Draw something first, or choose a picture.',
  thePicture: 'The picture',
  theCamera: 'The camera',

  // Learning
  learnFirst: 'Show it two things to begin.',
  learnSecond: 'Now show it a second thing.',
  learnElsewhere: (names: string) =>
    `It learned ${names} on another device. To go on here, add pictures of that, or remove it.`,
  learnTooManyThings: (most: number) => `It can tell at most ${things(most)} apart.`,
  learnTooManyPictures: (most: number) => `It takes at most ${pictures(most)}: remove some.`,
  learning: 'Learning…',
  learned: (count: number, ms: number) => `Learned from ${pictures(count)} in ${seconds(ms)}`,
  learningFailed: (why: string) => `It could not learn: ${why}`,
  predictingFailed: (why: string) => `It could not look at the picture: ${why}`,
  reopened: (names: string) => `There is a newer version, and it learns again from the pictures of ${names}.`,

  // How good
  quality: 'How good is it?',
  qualityNone: 'With two pictures or more of each thing, it can test itself.',
  rightOf: (right: number, asked: number) => `${right} of ${asked}`,
  rightWhat: 'right when asked about pictures it had not seen',
  matrix: 'What it took them for',
  matrixShown: 'shown',
  matrixSaid: 'said',
  confuses: (one: string, other: string, count: number) =>
    `It took ${one} for ${other} ${count === 1 ? 'once' : `${count} times`}. Show both from more sides.`,
  wantsMore: (name: string, count: number) => `“${name}” has only ${pictures(count)}: give it a few more.`,
  allGood: 'It tells all of them apart.',

  // Projects
  project: 'Project',
  firstProject: 'My project',
  newProject: 'New project',
  projectNumber: (number: number) => `Project ${number}`,
  projectMenu: 'More about this project',
  name: 'Name',
  create: 'Create',
  rename: 'Rename',
  renameProject: 'Rename the project',
  delete: 'Delete',
  deleteProject: (name: string) => `Delete “${name}”?`,
  deleteProjectText: 'Its pictures and what it learned are deleted from this device.',
  deleted: (name: string) => `Deleted “${name}” with its pictures.`,
  deletedElsewhere: (name: string) => `“${name}” was deleted in another tab.`,
  keepAsIs: 'Keep as it is',

  // Keep and share
  keep: 'Keep and share',
  saveProject: 'Save with pictures',
  saveProjectText: 'A file to go on with elsewhere. All your pictures are in it.',
  saveProfile: 'Save what it learned',
  saveProfileText: 'A small file for this page and for programs. No pictures in it.',
  saveOnnx: 'Download as ONNX',
  saveOnnxText: 'A model that runs in any program with ONNX. No pictures in it.',
  shareLink: 'Share a link',
  shareLinkText: 'What it learned travels inside the link. No pictures, no server.',
  openFile: 'Open a file',
  openFileText: 'A project or what was learned, saved here or elsewhere.',
  openInput: 'Project or profile to open',
  savedProject: (name: string, count: number) => `Saved “${name}” with ${pictures(count)} in it.`,
  savedProfile: (name: string) => `Saved what “${name}” learned. Its pictures are not in the file.`,
  savedOnnx: (name: string) =>
    `Saved “${name}” as a model that any ONNX runtime runs. Your pictures are not in the file.`,
  onnxFailed: (name: string, why: string) => `“${name}” cannot be saved as a model: ${why}`,
  openedProfile: (name: string, count: number) => `Opened “${name}”: it knows ${things(count)}.`,
  openedProject: (name: string, count: number) => `Opened “${name}” with ${pictures(count)}.`,
  notOpened: (name: string, why: string) => `${name} was not opened: ${why}`,
  sharedName: 'Shared with me',
  sharedLink: 'The link',
  linkFor: (model: string) => `expected the model “${model}” on this page, which has not got it`,
  linkBroken: 'what it learned is not whole in it: the link was cut off',
  shareTitle: 'A link to what it learned',
  shareText: 'Who opens it gets what it learned, and none of your pictures. It never passes a server.',
  shareLong: (size: string) => `The link is long (${size}): some messengers cut it off. The file is safer.`,
  shareTooLong: (size: string) => `What it learned is ${size}, too much for a link. Save the file instead.`,
  copyLink: 'Copy the link',
  copied: 'Copied.',
  linkLabel: 'Link',
  qrLabel: 'QR code of the link',
  qrNone: 'It is too long for a QR code.',
  shareVia: 'Share…',
  done: 'Done',

  // Banners
  memoryOnly: 'Nothing is kept after this page is closed:',
  memoryOnlyHint: 'Save the project to keep it.',
  installOffer: 'Have it at hand: install it like an app.',
  install: 'Install',
  notNow: 'Not now',
  otherModels: (count: number) => `Projects of other models (${count})`,
  otherModelsText:
    'What these learned belongs to a model, or a version of it, that is not here any more. Saved, it can be used where that model is.',
  saveOf: (name: string) => `Save ${name}`,
  deleteOf: (name: string) => `Delete ${name}`,

  forEngineers: 'For engineers',

  // Privacy
  about: 'Privacy',
  aboutText:
    'Pictures are kept in this browser, and nowhere else. The part of this page that sees them cannot connect to anything: the browser enforces it. It learns here, on this device.',
  offlineReady: 'All that it needs is kept here: it works without a network.',
  plainHttp:
    'This page came over plain HTTP: browsers give such pages neither a camera nor a way to work without a network, and no threads. HTTPS does.',
};

export type Messages = typeof en;
