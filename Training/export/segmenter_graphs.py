"""The segmenter's skeleton.

    python Training/export/segmenter_graphs.py Models/segmenter-hn
"""

import sys
from pathlib import Path

import torch

import skeleton

sys.path.insert(0, str(Path(__file__).parents[1]))
from segmenter.examples import CROP  # noqa: E402
from segmenter.network import Segmenter  # noqa: E402


def main():
    torch.manual_seed(0)
    network = Segmenter().eval()
    for parameter in network.parameters():
        # A norm that starts as 1 and 0 would look like another's: each key is to be found by its own values.
        torch.nn.init.uniform_(parameter)
    graph = skeleton.trace(network, (torch.rand(2, 1, *CROP),), ["scan"], ["logits"], ["scan", "logits"])
    skeleton.write(Path(sys.argv[1]), {"segment": graph}, network.state_dict())


if __name__ == "__main__":
    main()
