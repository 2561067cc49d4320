"""MedLAM's skeletons for one width: the position alone, and the position with the features.

    python Training/export/medlam_graphs.py BASE_CHNS Models/medlam-hn
"""

import sys
from pathlib import Path

import torch
from torch import nn

import skeleton

sys.path.insert(0, str(Path(__file__).parents[1]))
from medlam.network import MedLAM  # noqa: E402


class Position(nn.Module):
    """patch [N, 1, 64, 64, 64] -> position [N, 3]."""

    def __init__(self, network):
        super().__init__()
        for name, module in network.named_children():
            self.add_module(name, module)
        self.encode, self.head = network.encode, network.head

    def forward(self, patch):
        return self.head(self.encode(patch)[-1])


def graphs(network):
    """The two graphs of a MedLAM."""
    patch = torch.rand(2, 1, 64, 64, 64)
    outputs = ["position", "feature0", "feature1", "feature2"]
    return {"position": skeleton.trace(Position(network), (patch,), ["patch"], outputs[:1], ["patch", "position"]),
            "features": skeleton.trace(network, (patch,), ["patch"], outputs, ["patch", *outputs])}


def main():
    torch.manual_seed(0)
    network = MedLAM(int(sys.argv[1])).eval()
    skeleton.write(Path(sys.argv[2]), graphs(network), network.state_dict())


if __name__ == "__main__":
    main()
