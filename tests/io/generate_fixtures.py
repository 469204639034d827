"""Writes fixtures/*.pth and *.safetensors: files as Python writes them.

Needs torch and safetensors (made with 2.11.0 and 0.8.0). Element j of tensor number n of a file is
((31 n + 7 j) mod 64) / 64, for integers the same without the division, for bool its parity.
"""

import argparse
import collections
import pathlib

import torch
from safetensors.torch import save_file

FOLDER = pathlib.Path(__file__).parent / "fixtures"
TYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "int64": torch.int64,
    "int32": torch.int32,
    "int16": torch.int16,
    "int8": torch.int8,
    "uint8": torch.uint8,
    "bool": torch.bool,
}


def values(number, shape, dtype=torch.float32):
    count = torch.Size(shape).numel()
    steps = (31 * number + 7 * torch.arange(count)) % 64
    if dtype == torch.bool:
        steps = steps % 2
    elif dtype.is_floating_point:
        steps = steps / 64
    return steps.to(dtype).reshape(shape)


def all_types():
    return {name: values(n, [2, 3], dtype) for n, (name, dtype) in enumerate(TYPES.items())}


def layouts():
    """Whatever else a dense tensor may be: all but `scalar`, `empty` have the values of [2, 3]."""
    base = values(0, [2, 3])
    padded = torch.zeros(4, 8)
    padded[1:3, 2:8:2] = base
    return collections.OrderedDict(
        scalar=values(1, []),
        empty=torch.zeros(0, 5),
        transposed=base.t().contiguous().t(),
        slice=padded[1:3, 2:8:2],
        parameter=torch.nn.Parameter(base),
        buffer=torch.nn.Buffer(base),
        tied=base,
        channels_last=base.reshape(1, 2, 3, 1).contiguous(memory_format=torch.channels_last),
        expanded=values(2, [1]).expand(3),
    )


def slotcon_names():
    """The state of the smallest SlotCon: one stage of one basic block of width 2, K 3, D 4."""
    shapes = {}

    def norm(name, channels):
        for part in ["weight", "bias", "running_mean", "running_var"]:
            shapes[f"{name}.{part}"] = [channels]
        shapes[f"{name}.num_batches_tracked"] = []

    def head(name, sizes, kernel):
        for place, (narrow, wide) in zip([0, 3, 6], zip(sizes, sizes[1:])):
            shapes[f"{name}.mlp.{place}.weight"] = [wide, narrow] + kernel
            shapes[f"{name}.mlp.{place}.bias"] = [wide]
            if place < 6:
                norm(f"{name}.mlp.{place + 1}", wide)

    shapes["center"] = [1, 3]
    for branch in "qk":
        shapes[f"encoder_{branch}.conv1.weight"] = [2, 3, 3, 3]
        norm(f"encoder_{branch}.bn1", 2)
        for layer in "12":
            shapes[f"encoder_{branch}.layer1.0.conv{layer}.weight"] = [2, 2, 3, 3]
            norm(f"encoder_{branch}.layer1.0.bn{layer}", 2)
    for branch in "qk":
        head(f"projector_{branch}", [2, 5, 5, 4], [1, 1])
    for branch in "qk":
        shapes[f"grouping_{branch}.slot_embed.weight"] = [3, 4]
    head("predictor_slot", [4, 5, 5, 4], [])
    return shapes


def published():
    """A checkpoint as the published trainer writes it."""
    model = collections.OrderedDict()
    for number, (name, shape) in enumerate(slotcon_names().items()):
        dtype = torch.int64 if name.endswith("tracked") else torch.float32
        model["module." + name] = values(number, shape, dtype)
    model._metadata = collections.OrderedDict({"": {"version": 1}, "module": {"version": 1}})
    return {
        "args": argparse.Namespace(arch="resnet18", num_prototypes=3, resume=None, lr=0.5),
        "model": model,
        "optimizer": {
            "state": {0: {"mu": torch.ones(2)}, 1: {"mu": torch.ones(3, dtype=torch.complex64)}},
            "param_groups": [{"lr": 0.1, "params": [0, 1]}],
        },
        "scheduler": {"after_scheduler": collections.Counter(last_epoch=2**70)},
        "epoch": 800,
        "scaler": {"scale": 65536.0},
    }


def main():
    FOLDER.mkdir(exist_ok=True)
    torch.save(all_types(), FOLDER / "types.pth")
    save_file(all_types(), FOLDER / "types.safetensors", metadata={"format": 'pt "\u00e9"'})
    torch.save(layouts(), FOLDER / "layouts.pth")
    torch.save(published(), FOLDER / "published.pth")
    nested = {"a": [values(0, [2]), (values(1, [2]), {"b": values(2, [2])})], 7: values(3, [2])}
    torch.save(nested, FOLDER / "nested.pth")
    torch.save(values(0, [2]), FOLDER / "bare.pth")
    torch.save(torch.nn.Linear(1, 1), FOLDER / "module.pth")
    torch.save({"w": values(0, [2])}, FOLDER / "old.pth", _use_new_zipfile_serialization=False)
    torch.save({"w": torch.ones(2, dtype=torch.complex64)}, FOLDER / "complex.pth")
    torch.save({"w": torch.ones(2, dtype=torch.uint16)}, FOLDER / "uint16.pth")
    torch.save({"w": torch.eye(2).to_sparse()}, FOLDER / "sparse.pth")
    torch.save({"w": torch._neg_view(torch.ones(2))}, FOLDER / "negative.pth")
    save_file({"w": torch.ones(2, dtype=torch.complex64)}, FOLDER / "complex.safetensors")


if __name__ == "__main__":
    main()
