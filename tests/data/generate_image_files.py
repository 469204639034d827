"""Writes fixtures/files/ and what Pillow reads from each of them, fixtures/image_files.txt and
fixtures/label_maps.txt. Run with Pillow 13.0 and numpy."""

import struct
import zlib

import numpy as np
from PIL import Image

from fixture_hash import FIXTURES, fnv1a, photograph

FILES = FIXTURES / "files"
HEIGHT, WIDTH = 37, 45
PHOTO = photograph(HEIGHT, WIDTH, seed=1)
ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
         (1, 0, 2, 1)]  # top, left, down, across of each pass


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed_rows(samples, depth):
    """The rows of [H,W,C] samples, each behind filter type 0."""
    rows = b""
    for row in samples.reshape(samples.shape[0], -1):
        if depth == 16:
            rows += b"\0" + row.astype(">u2").tobytes()
        else:
            bits = np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - depth:]
            rows += b"\0" + np.packbits(bits.ravel()).tobytes()
    return rows


def write_png(name, samples, depth, colour_type, interlaced=False, extra=b""):
    samples = samples.reshape(HEIGHT, WIDTH, -1)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour_type, 0, 0, int(interlaced))
    if interlaced:
        passes = [samples[top::down, left::across] for top, left, down, across in ADAM7]
        data = b"".join(packed_rows(part, depth) for part in passes if part.size)
    else:
        data = packed_rows(samples, depth)
    (FILES / name).write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b""))


def write_png_files():
    rng = np.random.default_rng(2)
    gray = PHOTO[..., 1].astype(np.uint16)
    alpha = rng.integers(0, 256, (HEIGHT, WIDTH, 1))
    wide = PHOTO.astype(np.uint16) * 256 + rng.integers(0, 256, PHOTO.shape)
    wide_alpha = alpha * 256 + 77
    palette = chunk(b"PLTE", rng.integers(0, 256, 3 * 256, dtype=np.uint8).tobytes())
    for depth in (1, 2, 4, 8):
        write_png(f"gray{depth}.png", gray >> (8 - depth), depth, 0)
        short_palette = chunk(b"PLTE", rng.integers(0, 256, 3 * 2**depth, dtype=np.uint8).tobytes())
        write_png(f"palette{depth}.png", gray >> (8 - depth), depth, 3, extra=short_palette)
    write_png("gray16.png", wide[..., 1], 16, 0)
    write_png("gray_alpha8.png", np.concatenate([gray[..., None], alpha], -1), 8, 4)
    write_png("gray_alpha16.png", np.concatenate([wide[..., 1:2], wide_alpha], -1), 16, 4)
    write_png("rgb8.png", PHOTO, 8, 2)
    write_png("rgb16.png", wide, 16, 2)
    write_png("rgba8.png", np.concatenate([PHOTO, alpha], -1), 8, 6)
    write_png("rgba16.png", np.concatenate([wide, wide_alpha], -1), 16, 6)
    write_png("rgb8_interlaced.png", PHOTO, 8, 2, interlaced=True)
    write_png("gray2_interlaced.png", gray >> 6, 2, 0, interlaced=True)
    write_png("palette8_interlaced.png", gray, 8, 3, interlaced=True, extra=palette)
    write_png("gray8_transparent.png", gray, 8, 0, extra=chunk(b"tRNS", b"\0\x20"))
    write_png("palette8_transparent.png", gray, 8, 3, extra=palette + chunk(b"tRNS", bytes(200)))
    write_png("rgb8_gamma.png", PHOTO, 8, 2, extra=chunk(b"gAMA", struct.pack(">I", 100000)))


def write_jpeg_files():
    photo = Image.fromarray(PHOTO)
    photo.save(FILES / "420.jpg", quality=85)
    photo.save(FILES / "422.jpg", quality=85, subsampling=1)
    photo.save(FILES / "444.jpg", quality=95, subsampling=0)
    photo.save(FILES / "poor.jpg", quality=10)
    photo.save(FILES / "progressive.jpg", quality=80, progressive=True)
    photo.save(FILES / "restart.jpg", quality=80, restart_marker_blocks=2)
    photo.save(FILES / "rgb.jpg", quality=85, keep_rgb=True)
    photo.convert("L").save(FILES / "gray.jpg", quality=85)
    photo.convert("L").save(FILES / "gray_progressive.jpg", quality=85, progressive=True)
    ink = np.concatenate([255 - PHOTO, 255 - PHOTO.max(-1, keepdims=True)], -1)
    Image.fromarray(ink, mode="CMYK").save(FILES / "cmyk.jpg", quality=90)
    cmyk = (FILES / "cmyk.jpg").read_bytes()
    transform = cmyk.index(b"Adobe") + len(b"Adobe") + 6
    (FILES / "ycck.jpg").write_bytes(cmyk[:transform] + b"\x02" + cmyk[transform + 1:])


def describe_images():
    lines = []
    for path in sorted(FILES.iterdir()):
        if path.name == "gray16.png":  # read_image() keeps the high byte where Pillow clips
            continue
        image = np.asarray(Image.open(path).convert("RGB"))
        lines.append(f"{path.name} {image.shape[0]} {image.shape[1]} {fnv1a(image)}\n")
    (FIXTURES / "image_files.txt").write_text("".join(lines))


def describe_label_maps():
    gray = PHOTO[..., 1]
    names = {f"gray{d}.png": d for d in (1, 2, 4, 8)} | {f"palette{d}.png": d for d in (1, 2, 4, 8)}
    names |= {"palette8_interlaced.png": 8, "gray2_interlaced.png": 2, "gray8_transparent.png": 8}
    lines = [f"{name} {HEIGHT} {WIDTH} {fnv1a(gray >> (8 - depth))}\n"
             for name, depth in sorted(names.items())]
    (FIXTURES / "label_maps.txt").write_text("".join(lines))


if __name__ == "__main__":
    FILES.mkdir(parents=True, exist_ok=True)
    write_png_files()
    write_jpeg_files()
    describe_images()
    describe_label_maps()
