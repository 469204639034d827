#!/usr/bin/env python3
"""Measures the data pipeline against the same in Python, one thread each.

    against_pillow.py build/default/bin/slotcon_data_benchmarks [--images FOLDER]

The Python side is what the published code does with an image: Pillow for the pixels, NumPy for the
numbers. Rounds alternate between the two, so that whatever else the machine does falls on both.
Needs a Python with Pillow and NumPy. Without --images, pictures of smooth shapes and noise are made.
"""

import argparse
import io
import json
import math
import os
import pathlib
import random
import statistics
import subprocess
import tempfile
import time

import numpy
import PIL
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

ROUNDS = 7
IMAGES_OF_A_ROUND = 150
SIDE = 224
MEAN = numpy.array([0.485, 0.456, 0.406], numpy.float32).reshape(3, 1, 1)
DEVIATION = numpy.array([0.229, 0.224, 0.225], numpy.float32).reshape(3, 1, 1)


def write_images(folder, count=24):
    """JPEG files of 640 x 480: coarse random colours enlarged smoothly, and grain."""
    generator = numpy.random.default_rng(0)
    for number in range(count):
        coarse = generator.integers(0, 256, (12, 16, 3), numpy.uint8)
        smooth = numpy.asarray(Image.fromarray(coarse).resize((640, 480), Image.BICUBIC))
        grain = generator.normal(0, 5, (480, 640, 1))
        pixels = (smooth + grain).clip(0, 255).astype(numpy.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.jpg", quality=90)


def random_crop(width, height):
    for _ in range(10):
        area = random.uniform(0.08, 1) * width * height
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = random.randint(0, width - w), random.randint(0, height - h)
            return left, top, left + w, top + h
    return 0, 0, width, height


def rotate_hue(image, turns):
    hue, saturation, value = image.convert("HSV").split()
    shifted = numpy.asarray(hue) + numpy.uint8(int(turns * 255) % 256)
    return Image.merge("HSV", (Image.fromarray(shifted), saturation, value)).convert("RGB")


def jitter(image):
    changes = [lambda x: ImageEnhance.Brightness(x).enhance(random.uniform(0.6, 1.4)),
               lambda x: ImageEnhance.Contrast(x).enhance(random.uniform(0.6, 1.4)),
               lambda x: ImageEnhance.Color(x).enhance(random.uniform(0.8, 1.2)),
               lambda x: rotate_hue(x, random.uniform(-0.1, 0.1))]
    random.shuffle(changes)
    for change in changes:
        image = change(image)
    return image


def view(image, blur_probability, solarize_probability):
    result = image.crop(random_crop(*image.size)).resize((SIDE, SIDE), Image.BICUBIC)
    if random.random() < 0.5:
        result = result.transpose(Image.FLIP_LEFT_RIGHT)
    if random.random() < 0.8:
        result = jitter(result)
    if random.random() < 0.2:
        result = result.convert("L").convert("RGB")
    if random.random() < blur_probability:
        result = result.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2.0)))
    if random.random() < solarize_probability:
        result = ImageOps.solarize(result, 128)
    numbers = numpy.asarray(result).transpose(2, 0, 1).astype(numpy.float32) / 255
    return (numbers - MEAN) / DEVIATION


def decode(data):
    return Image.open(io.BytesIO(data)).convert("RGB")


def two_views(data):
    image = decode(data)
    return view(image, 1.0, 0.0), view(image, 0.1, 0.2)


def python_milliseconds(call, files):
    start = time.thread_time()
    for number in range(IMAGES_OF_A_ROUND):
        call(files[number % len(files)])
    return (time.thread_time() - start) / IMAGES_OF_A_ROUND * 1e3


def program_milliseconds(program, folder):
    """{row: CPU milliseconds}"""
    output = subprocess.run([program, "--benchmark_format=json", "--benchmark_min_time=0.3"],
                            env={**os.environ, "SLOTCON_BENCHMARK_IMAGES": str(folder)},
                            check=True, capture_output=True, text=True).stdout
    return {row["name"]: row["cpu_time"] / 1e6 for row in json.loads(output)["benchmarks"]}


def measure(program, folder):
    files = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]
    python = {"decode_to_normalised_views": two_views, "decode": decode}
    times = {}
    for _ in range(ROUNDS):
        for name, milliseconds in program_milliseconds(program, folder).items():
            times.setdefault(name, ([], []))[0].append(milliseconds)
        for name, call in python.items():
            times[name][1].append(python_milliseconds(call, files))
    return times


def report(times):
    print(f"| one thread, ms an image (stages: a view) | slotcon | Pillow {PIL.__version__} "
          "| ratio |\n|---|---|---|---|")
    for name, (ours, theirs) in times.items():
        mine = statistics.median(ours)
        other = statistics.median(theirs) if theirs else None
        print(f"| {name} | {mine:.3f} | {f'{other:.2f}' if other else ''} "
              f"| {f'{other / mine:.2f}' if other else ''} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--images", type=pathlib.Path, help="folder of .jpg files to measure with")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = options.images or pathlib.Path(made)
        if options.images is None:
            write_images(folder)
        report(measure(options.program, folder))


if __name__ == "__main__":
    main()
