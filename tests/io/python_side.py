"""Python's part of formats_test.cpp: reads what C++ wrote, compares, writes it back.

python_side.py round_trip|backbones FOLDER; what differs ends it with an error.
"""

import pathlib
import pickle
import re
import sys

import torch


def require(condition, *what):
    if not condition:
        sys.exit(f"python_side.py: {what}")


def require_same(a, b):
    """The same names, in the same order, types and bits."""
    require(list(a) == list(b), list(a), list(b))
    for name in a:
        require(a[name].dtype == b[name].dtype, name, a[name].dtype, b[name].dtype)
        require(a[name].shape == b[name].shape, name, a[name].shape, b[name].shape)
        require(bits(a[name]) == bits(b[name]), name)


def bits(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def round_trip(folder):
    from safetensors.torch import load_file, save_file

    flat = torch.load(folder / "w.pth", weights_only=True)
    require_same(torch.load(folder / "w.pth", weights_only=True, mmap=True), flat)
    require_same(torch.load(folder / "nested.pth", weights_only=True)["state_dict"], flat)
    other = load_file(folder / "w.safetensors")
    require_same({name: other[name] for name in flat}, flat)
    torch.save(flat, folder / "back.pth")
    save_file(flat, folder / "back.safetensors")


def published_detectron2_name(name):
    """The rules of the published conversion script, as docs/exchange.md states them."""
    if "layer" not in name:
        name = "stem." + name
    for stage in range(1, 5):
        name = name.replace(f"layer{stage}", f"res{stage + 1}")
    name = re.sub(r"bn([123])", r"conv\1.norm", name)
    return name.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")


def backbones(folder):
    import torchvision
    from safetensors.torch import load_file

    weights = torch.load(folder / "torchvision.pth", weights_only=True)
    other = load_file(folder / "torchvision.safetensors")
    require_same({name: other[name] for name in weights}, weights)
    require_same(torch.load(folder / "mmsegmentation.pth", weights_only=True)["state_dict"], weights)

    network = torchvision.models.resnet50()
    found = network.load_state_dict(weights, strict=False)
    require(found.missing_keys == ["fc.weight", "fc.bias"], found)
    require(not found.unexpected_keys, found)
    network.eval()
    network.avgpool = network.fc = torch.nn.Identity()
    expected = torch.load(folder / "expected.pth", weights_only=True)
    with torch.no_grad():
        features = network(expected["images"]).reshape(expected["features"].shape)
    scale = expected["features"].abs().max().item()
    error = (features - expected["features"]).abs().max().item()
    require(0.1 < scale < 1e4, scale)
    require(error <= 1e-5 * scale, error, scale)
    print(f"torchvision's features: largest difference {error / scale:.1e} of the largest feature")

    with open(folder / "detectron2.pkl", "rb") as file:
        detectron2 = pickle.load(file, encoding="latin1")
    require(detectron2["__author__"] == "slotcon", detectron2["__author__"])
    require(detectron2["matching_heuristics"] is True)
    model = {name: torch.from_numpy(array.copy()) for name, array in detectron2["model"].items()}
    require_same(model, {published_detectron2_name(name): weights[name] for name in weights})

    state = network.state_dict()
    torch.save({"state_dict": {f"module.{name}": state[name] for name in state}}, folder / "back.pth")


if __name__ == "__main__":
    {"round_trip": round_trip, "backbones": backbones}[sys.argv[1]](pathlib.Path(sys.argv[2]))
