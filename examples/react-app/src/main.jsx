import { useState } from 'react';
import { createRoot } from 'react-dom/client';
import { useWhet } from './use-whet.js';

function Pictures({ label, onPictures, ...rest }) {
  return (
    <label>
      {label}
      <input type="file" accept="image/*" onChange={({ target }) => onPictures([...target.files])} {...rest} />
    </label>
  );
}

function App() {
  const { progress, error, teach, tell } = useWhet('./bundle');
  const [answer, setAnswer] = useState('');
  if (error) return <p role="alert">{error.message}</p>;
  if (progress < 1) return <progress value={progress} />;
  const ask = async ([picture]) => {
    const { label, probabilities } = await tell(picture);
    setAnswer(`${label}, ${(100 * probabilities[label]).toFixed(1)} %`);
  };
  return (
    <>
      <Pictures label="Pictures of cats" multiple onPictures={(pictures) => teach('cat', pictures)} />
      <Pictures label="Pictures of dogs" multiple onPictures={(pictures) => teach('dog', pictures)} />
      <Pictures label="What is this?" disabled={!tell} onPictures={ask} />
      <output>{answer}</output>
    </>
  );
}

// The folder of a bundle, such as models/bundles/photos-lite0, copied to public/bundle.
createRoot(document.getElementById('root')).render(<App />);
