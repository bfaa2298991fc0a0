"""Makes the pictures beside this file from those that scikit-image ships. Anyone can repeat it:

    python3 -m venv /tmp/pictures && /tmp/pictures/bin/pip install pillow==12.0.0
    /tmp/pictures/bin/pip download --no-deps --only-binary :all: -d /tmp/pictures scikit-image==0.26.0
    /tmp/pictures/bin/python src/simulator/media/pictures/make.py /tmp/pictures/scikit_image-0.26.0-*.whl
"""

import io
import sys
import zipfile
from pathlib import Path

from PIL import Image, ImageOps

HERE = Path(__file__).parent
LARGEST = 80_000  # bytes of one picture
# Name of the file here: the file there, and what of it is taken (left, top, right, bottom).
PICTURES = {
    "astronaut": ("astronaut.png", (0, 0, 512, 512)),
    "brick": ("brick.png", (0, 0, 512, 512)),
    "camera": ("camera.png", (0, 0, 512, 512)),
    "cat": ("chelsea.png", (0, 0, 451, 300)),
    "coffee": ("coffee.png", (0, 0, 600, 400)),
    "galaxies": ("hubble_deep_field.jpg", (100, 100, 740, 740)),
    "retina": ("retina.jpg", (0, 0, 1411, 1411)),
    "rocket": ("rocket.jpg", (0, 0, 640, 427)),
}
# Shades of grey, and the two colours that they become.
TONES = {"brick": ("#2a1512", "#e8b89a"), "camera": ("#14202c", "#f4ead8")}


def made(picture: Image.Image, name: str) -> bytes:
    """The JPEG, at the best quality that is small enough."""
    for quality in range(88, 40, -4):
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=quality, optimize=True)
        if out.tell() <= LARGEST:
            return out.getvalue()
    raise SystemExit(f"{name} is too large")


def main() -> None:
    (package,) = sys.argv[1:]
    with zipfile.ZipFile(package) as files:
        for name, (file, box) in PICTURES.items():
            picture = Image.open(io.BytesIO(files.read(f"skimage/data/{file}"))).crop(box)
            if name in TONES:
                picture = ImageOps.colorize(picture.convert("L"), *TONES[name])
            # As large as the largest that is asked for, so that the simulator need not smooth
            # anything.
            picture = ImageOps.contain(picture.convert("RGB"), (1024, 1024), Image.Resampling.LANCZOS)
            (HERE / f"{name}.jpg").write_bytes(made(picture, name))


if __name__ == "__main__":
    main()
