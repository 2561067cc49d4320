"""Small checkpoints as torch.save writes them, for the tests of the importer: Tests/Fixtures/checkpoints/*.pth.

The readable ones hold `conv.weight` [4, 2, 3, 3] and `fc.bias` [5], element i in order being i / 8 and -i / 4.
"""

import os
import zipfile
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

FOLDER = Path(__file__).parents[2] / "Tests/Fixtures/checkpoints"


class Command:
    """What a hostile pickle would run."""

    def __reduce__(self):
        return os.system, ("echo this must never run",)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(2, 4, 3, bias=False), nn.Linear(1, 5)
        del self.fc.weight
        self.conv.weight.data, self.fc.bias.data = torch.arange(72.).reshape(4, 2, 3, 3) / 8, -torch.arange(5.) / 4


def main():
    network = Network()
    state = network.state_dict()
    plain = OrderedDict(state)
    save = lambda name, value, **options: torch.save(value, FOLDER / f"{name}.pth", **options)
    save("plain", state)
    save("parameters", dict(network.named_parameters()))
    save("parallel", nn.DataParallel(network).state_dict())
    save("half", {key: value.half() for key, value in plain.items()})
    save("bfloat16", {key: value.bfloat16() for key, value in plain.items()})
    save("double", {key: value.double() for key, value in plain.items()})
    save("channels-last", plain | {"conv.weight": plain["conv.weight"].contiguous(memory_format=torch.channels_last)})
    both = torch.cat([torch.zeros(3), *(value.flatten() for value in plain.values())])
    save("one-storage", {"conv.weight": both[3:75].view(4, 2, 3, 3), "fc.bias": both[75:]})
    optimizer = torch.optim.Adam(network.parameters())
    sum(parameter.sum() for parameter in network.parameters()).backward()
    save("training-state", {"epoch": 70000, "loss": 0.25, "best": None, "large": 2**40,
                            "optimizer": optimizer.state_dict(), "model": state})
    save("integers", plain | {"fc.bias": torch.arange(5)})
    save("command", plain | {"fc.bias": Command()})
    save("legacy", plain, _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(FOLDER / "plain.pth") as source, \
            zipfile.ZipFile(FOLDER / "compressed.pth", "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))


if __name__ == "__main__":
    main()
