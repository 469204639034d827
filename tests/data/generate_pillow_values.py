"""Writes fixtures/photo.png and the hashes of what Pillow makes of it, fixtures/pillow_*.txt. Run
with Pillow 13.0 and numpy."""

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from fixture_hash import FIXTURES, fnv1a, photograph

HEIGHT, WIDTH = 61, 83
SIZES = [(61, 83), (64, 64), (224, 224), (122, 166), (41, 30), (30, 41), (61, 20), (200, 83),
         (5, 301), (301, 5), (7, 7), (1, 1), (1, 83), (61, 1), (62, 84), (60, 82)]
CROPS = [(0, 0, 61, 83), (10, 20, 33, 41), (7, 0, 1, 1), (60, 82, 1, 1), (0, 50, 61, 2),
         (20, 3, 16, 79)]


def resize_lines(image):
    for name, kernel in (("bilinear", Image.BILINEAR), ("bicubic", Image.BICUBIC)):
        for height, width in SIZES:
            resized = image.resize((width, height), kernel)
            yield f"{name} 0 0 {HEIGHT} {WIDTH} {height} {width} ", resized
        for top, left, height, width in CROPS:
            part = image.crop((left, top, left + width, top + height))
            for size in (32, 57):
                yield (f"{name} {top} {left} {height} {width} {size} {size} ",
                       part.resize((size, size), kernel))


def nearest_lines(image):
    labels = image.getchannel("G")
    for height, width in SIZES:
        yield f"{height} {width} ", labels.resize((width, height), Image.NEAREST)


def with_hue(image, turns):
    hue, saturation, value = image.convert("HSV").split()
    shifted = np.array(hue) + np.array(turns * 255).astype(np.int32).astype(np.uint8)
    return Image.merge("HSV", (Image.fromarray(shifted), saturation, value)).convert("RGB")


def photometric_lines(image):
    for factor in (0, 0.3, 0.6, 0.77, 1, 1.13, 1.4, 2.5):
        yield f"brightness {factor} ", ImageEnhance.Brightness(image).enhance(factor)
        yield f"contrast {factor} ", ImageEnhance.Contrast(image).enhance(factor)
        yield f"saturation {factor} ", ImageEnhance.Color(image).enhance(factor)
    for turns in (-0.5, -0.1, -0.0371, 0, 0.002, 0.05, 0.1, 0.33, 0.5):
        yield f"hue {turns} ", with_hue(image, turns)
    published = [round(0.1 + 0.05 * step, 2) for step in range(39)]
    for sigma in published + [0.01, 2.7, 3.3, 5, 12.5, 40, 100]:
        yield f"blur {sigma} ", image.filter(ImageFilter.GaussianBlur(sigma))
    yield "gray 0 ", image.convert("L").convert("RGB")
    yield "solarize 0 ", ImageOps.solarize(image)


def hsv_lines():
    """All colours with red, green and blue in steps of 5, 51 * 51 rows of 51 pixels."""
    steps = np.arange(0, 255, 5, dtype=np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(51 * 51, 51, 3)
    for turns in (-0.3, 0, 0.1):
        yield f"{turns} ", with_hue(Image.fromarray(colours), turns)


def write(name, lines):
    text = "".join(f"{what}{fnv1a(image)}\n" for what, image in lines)
    (FIXTURES / name).write_text(text)


if __name__ == "__main__":
    photo = Image.fromarray(photograph(HEIGHT, WIDTH, seed=3))
    photo.save(FIXTURES / "photo.png", optimize=True)
    write("pillow_resize.txt", resize_lines(photo))
    write("pillow_nearest.txt", nearest_lines(photo))
    write("pillow_photometric.txt", photometric_lines(photo))
    write("pillow_hue.txt", hsv_lines())
