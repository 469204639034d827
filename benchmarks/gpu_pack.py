#!/usr/bin/env python3
"""Fills gpu-pack/ with what ./run gpu needs and a bare GPU machine has not: the sources of
GoogleTest and Google Benchmark, as Debian or Ubuntu has them, and the commit of this tree."""

import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

import run_suite

PACK = pathlib.Path(__file__).resolve().parent.parent / "gpu-pack"
PACKAGES = ("googletest", "benchmark")  # names of Debian's source packages
LEFT_OUT = {"test", "tests", "docs", "samples", "bindings", "googlemock", ".github"}
MOST_BYTES = 60 << 20


def source_lists(folder):
    """apt's own lists, asking for source packages instead of programs."""
    apt = pathlib.Path("/etc/apt")
    for file in [apt / "sources.list", *(apt / "sources.list.d").glob("*")]:
        if file.suffix in (".list", ".sources") and file.exists():
            text = file.read_text(encoding="utf-8")
            text = re.sub(r"(?m)^deb(?=\s)", "deb-src", text)
            text = re.sub(r"(?m)^Types:.*", "Types: deb-src", text)
            (folder / file.name).write_text(text, encoding="utf-8")


def download(folder):
    """The archives of PACKAGES, with apt's files in the folder too: it takes no root."""
    lists, state, cache = (folder / name for name in ("lists", "state", "cache"))
    for place in (lists, state / "partial", cache / "archives" / "partial"):
        place.mkdir(parents=True)
    source_lists(lists)
    apt = ["apt-get", "-qq", "-o", "Dir::Etc::SourceList=/dev/null",
           "-o", f"Dir::Etc::SourceParts={lists}", "-o", f"Dir::State::Lists={state}",
           "-o", f"Dir::Cache={cache}", "-o", "APT::Sandbox::User=root"]
    subprocess.run([*apt, "update"], check=False)  # one list of many may fail; the next says if all
    subprocess.run([*apt, "source", "--download-only", *PACKAGES], cwd=folder, check=True)


def unpack(archive, folder):
    """The files of an archive without its outermost folder, and without what a build leaves out."""
    with tarfile.open(archive) as tar:
        for member in tar:
            path = pathlib.PurePath(*pathlib.PurePath(member.name).parts[1:])
            if member.isfile() and ".." not in path.parts and not LEFT_OUT & set(path.parts[:-1]):
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(tar.extractfile(member).read())


def main():
    if not shutil.which("apt-get"):
        sys.exit("./run gpu-pack: needs apt-get, of Debian or Ubuntu")
    with tempfile.TemporaryDirectory() as temporary:
        try:
            download(pathlib.Path(temporary))
        except subprocess.CalledProcessError:
            sys.exit("./run gpu-pack: apt-get could not fetch the sources; its reason stands above")
        shutil.rmtree(PACK, ignore_errors=True)
        for package in PACKAGES:
            archive, = pathlib.Path(temporary).glob(f"{package}_*.orig.tar.*")
            unpack(archive, PACK / package)
    (PACK / "commit").write_text(run_suite.commit() + "\n", encoding="utf-8")
    size = sum(file.stat().st_size for file in PACK.rglob("*") if file.is_file())
    print(f"{PACK}: {size / (1 << 20):.1f} MiB")
    if size > MOST_BYTES:
        sys.exit(f"./run gpu-pack: more than {MOST_BYTES >> 20} MiB")


if __name__ == "__main__":
    main()
