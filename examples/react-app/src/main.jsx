import { useRef, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { useWhet } from './use-whet.js';

function Pictures({ label, onPictures, ...rest }) {
  const choose = ({ target }) => target.files.length > 0 && onPictures([...target.files]);
  return (
    <label>
      {label}
      <input type="file" accept="image/*" onChange={choose} {...rest} />
    </label>
  );
}

function App() {
  const { progress, error, teach, tell } = useWhet('./bundle');
  const [answer, setAnswer] = useState('');
  const [problem, setProblem] = useState('');
  const questions = useRef(0);
  if (error) return <p role="alert">{error.message}</p>;
  if (progress < 1) return <progress value={progress} />;
  const learn = (label, pictures) => {
    setProblem('');
    teach(label, pictures).catch(({ message }) => setProblem(`Nothing learnt of ${label}: ${message}`));
  };
  const ask = async ([picture]) => {
    const question = ++questions.current;
    // Of the picture that was chosen last.
    const isLast = () => question === questions.current;
    setProblem('');
    setAnswer('');
    try {
      const { label, probabilities } = await tell(picture);
      if (isLast()) setAnswer(`${label}, ${(100 * probabilities[label]).toFixed(1)} %`);
    } catch ({ message }) {
      if (isLast()) setProblem(message);
    }
  };
  return (
    <>
      <Pictures label="Pictures of cats" multiple onPictures={(pictures) => learn('cat', pictures)} />
      <Pictures label="Pictures of dogs" multiple onPictures={(pictures) => learn('dog', pictures)} />
      <Pictures label="What is this?" disabled={!tell} onPictures={ask} />
      <output>{answer}</output>
      {problem && <p role="alert">{problem}</p>}
    </>
  );
}

// The folder of a bundle, such as models/bundles/photos-lite0, copied to public/bundle.
createRoot(document.getElementById('root')).render(<App />);
