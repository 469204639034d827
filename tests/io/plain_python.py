"""Reads what C++ wrote with Python's standard library alone: formats_test.cpp runs it everywhere.

plain_python.py FOLDER: w.pth and w.safetensors have the same tensors, in the same order; what
differs ends it with an error.
"""

import collections
import json
import pathlib
import pickle
import struct
import sys
import zipfile

TYPES = {
    "FloatStorage": ("F32", 4),
    "DoubleStorage": ("F64", 8),
    "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2),
    "LongStorage": ("I64", 8),
    "IntStorage": ("I32", 4),
    "ShortStorage": ("I16", 2),
    "CharStorage": ("I8", 1),
    "ByteStorage": ("U8", 1),
    "BoolStorage": ("BOOL", 1),
}


def require(condition, *what):
    if not condition:
        sys.exit(f"plain_python.py: {what}")


class TensorReader(pickle.Unpickler):
    """A tensor is (type, shape, bytes); storages are the entries data/<key> of the zip file."""

    def __init__(self, archive):
        super().__init__(archive.open("archive/data.pkl"))
        self.archive = archive

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self.tensor
        require(module == "torch" and name in TYPES, module, name)
        return name

    def persistent_load(self, reference):
        kind, storage, key, device, count = reference
        require((kind, device) == ("storage", "cpu"), reference)
        content = self.archive.read(f"archive/data/{key}")
        require(len(content) == count * TYPES[storage][1], reference, len(content))
        return TYPES[storage][0], content

    @staticmethod
    def tensor(storage, offset, shape, strides, requires_grad, hooks):
        steps, step = [], 1
        for size in reversed(shape):
            steps.insert(0, step)
            step *= max(size, 1)
        require(strides == tuple(steps) and offset == 0, shape, strides, offset)
        require(requires_grad is False and not hooks, requires_grad, hooks)
        return storage[0], list(shape), storage[1]


def read_pth(file):
    with zipfile.ZipFile(file) as archive:
        require(archive.testzip() is None, "a checksum is wrong")
        return TensorReader(archive).load()


def read_safetensors(file):
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    data = content[8 + length :]
    tensors = {}
    for name, entry in json.loads(content[8 : 8 + length]).items():
        begin, end = entry["data_offsets"]
        tensors[name] = entry["dtype"], entry["shape"], data[begin:end]
    return tensors


def main(folder):
    tensors, others = read_pth(folder / "w.pth"), read_safetensors(folder / "w.safetensors")
    require(len(tensors) > 0 and list(tensors) == list(others), list(tensors), list(others))
    for name in tensors:
        require(tensors[name] == others[name], name, tensors[name], others[name])


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
