"""Writes preprocessing.json: what torchvision, Pillow and Keras make of pictures, for the options of `whet compile` beside it.

    pip install "numpy<2" torch torchvision keras pillow
    python preprocessing.py                            # draws ../fixtures/pictures, writes preprocessing.json
    python preprocessing.py --size 224 OUT PHOTO...    # the same of photos, to measure with
"""

import base64
import json
import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"
import numpy as np
from keras.applications import imagenet_utils
from keras.utils import img_to_array, load_img
from PIL import Image, ImageDraw
from torchvision import transforms as T
from torchvision.transforms import InterpolationMode as By

HERE = Path(__file__).parent
IMAGENET = dict(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
HALF = dict(mean=[0.5], std=[0.5])
CAFFE = dict(mean=[103.939, 116.779, 123.68], std=[1])


def torch_tensor(steps, mean, std, mode="RGB"):
    channels = 3 if mode == "RGB" else 1
    grown = lambda values: values * channels if len(values) == 1 else values
    pipeline = T.Compose([*steps, T.ToTensor(), T.Normalize(grown(mean), grown(std))])
    return lambda path: pipeline(Image.open(path).convert("RGB")).numpy()


def keras_tensor(size, mode, **loading):
    def load(path):
        array = img_to_array(load_img(path, target_size=(size, size), **loading), data_format="channels_last")
        if mode:
            array = imagenet_utils.preprocess_input(array, data_format="channels_last", mode=mode)
        return np.transpose(array, (2, 0, 1))

    return load


def recipes(size):
    resized = int(size / 0.875)
    return {
        "torchvision, as its ImageNet networks": (
            dict(fit="cover", resize=resized, kernel="linear", **IMAGENET),
            torch_tensor([T.Resize(resized), T.CenterCrop(size)], **IMAGENET),
        ),
        "torchvision, bicubic, as timm": (
            dict(fit="cover", resize=int(size / 0.9), kernel="cubic", **HALF),
            torch_tensor([T.Resize(int(size / 0.9), By.BICUBIC), T.CenterCrop(size)], **HALF),
        ),
        "torchvision, Resize and CenterCrop of one size": (
            dict(fit="cover", kernel="linear"),
            torch_tensor([T.Resize(size), T.CenterCrop(size)], [0.0], [1.0]),
        ),
        "torchvision, Resize to a square": (
            dict(fit="fill", kernel="linear", **HALF),
            torch_tensor([T.Resize((size, size))], **HALF),
        ),
        "torchvision, Lanczos": (
            dict(fit="fill", kernel="lanczos3"),
            torch_tensor([T.Resize((size, size), By.LANCZOS)], [0.0], [1.0]),
        ),
        "torchvision, Grayscale": (
            dict(fit="cover", kernel="linear", grey="rec601", mean=[0.1307], std=[0.3081]),
            torch_tensor([T.Resize(size), T.CenterCrop(size), T.Grayscale(1)], [0.1307], [0.3081], "L"),
        ),
        "Keras, as VGG and ResNet50": (
            dict(fit="fill", kernel="nearest", bgr=True, pixelRange=255, **CAFFE),
            keras_tensor(size, "caffe"),
        ),
        "Keras, as MobileNet, bilinear": (
            dict(fit="fill", kernel="linear", pixelRange=255, mean=[127.5], std=[127.5]),
            keras_tensor(size, "tf", interpolation="bilinear"),
        ),
        "Keras, as DenseNet, bicubic": (
            dict(fit="fill", kernel="cubic", **IMAGENET),
            keras_tensor(size, "torch", interpolation="bicubic"),
        ),
        "Keras, as EfficientNet, 0 to 255": (
            dict(fit="fill", kernel="nearest", pixelRange=255),
            keras_tensor(size, None),
        ),
        "Keras, in grey": (
            dict(fit="fill", kernel="linear", grey="rec601", pixelRange=255),
            keras_tensor(size, None, color_mode="grayscale", interpolation="bilinear"),
        ),
    }


def draw(width, height, seed):
    """Soft colours, as photos have them, with strokes and edges."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((4 * width, 4 * height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for _ in range(6):
        x0, y0, x1, y1 = random.integers(0, [4 * width, 4 * height] * 2).tolist()
        colour = tuple(random.integers(0, 256, 3).tolist())
        pen.line([x0, y0, x1, y1], fill=colour, width=12)
        pen.ellipse([x0, y0, x0 + 60, y0 + 40], fill=colour[::-1])
    return image.resize((width, height), Image.Resampling.LANCZOS)


def main(arguments):
    if arguments:
        size, out = int(arguments[1]), Path(arguments[2])
        photos = [(Path(name).resolve(), [size]) for name in arguments[3:]]
    else:
        out, folder = HERE / "preprocessing.json", HERE.parent / "fixtures" / "pictures"
        # The last is enlarged, in one direction or in both.
        drawn = [("wide.png", (75, 50), [16]), ("standing.jpg", (45, 62), [16]), ("odd.png", (51, 37), [16])]
        drawn.append(("small.png", (20, 9), [16, 24]))
        for seed, (name, sides, _) in enumerate(drawn):
            draw(*sides, seed).save(folder / name, **({"quality": 92} if name.endswith(".jpg") else {}))
        photos = [(folder / name, sizes) for name, _, sizes in drawn]
    cases = []
    for photo, sizes in photos:
        image = os.path.relpath(photo, HERE.parent / "fixtures" / "pictures") if not arguments else str(photo)
        for name, (options, tensor_of) in [recipe for size in sizes for recipe in recipes(size).items()]:
            tensor = np.ascontiguousarray(tensor_of(photo), dtype="<f4")
            data = base64.b64encode(tensor.tobytes()).decode()
            cases.append(dict(name=name, image=image, options=options, shape=list(tensor.shape), data=data))
    text = ",\n".join(json.dumps(case) for case in cases)
    out.write_text(f'{{"cases": [\n{text}\n]}}\n')


main(sys.argv[1:])
