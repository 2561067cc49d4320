"""The skeletons of MedSAM's and SAM's ViT-B: encoder and decoder, as medlsam-node runs them.

    python Training/export/medsam_vit_b_graphs.py Models [RUNTIME_CHECK_FOLDER]

The architecture is the package segment-anything's (requirements.txt). Published weights are not needed: what is traced holds none.
With a second folder, graphs filled with random weights are run by OpenVINO there and compared with the package's own PyTorch code,
and the random checkpoint is left there to try an import with.
"""

import sys
from pathlib import Path
from unittest.mock import MagicMock

import torch
from torch import nn

import skeleton
from lite_medsam_graphs import Decoder, reference

# The package's helpers for photographs want it; the network does not: no need to install it.
sys.modules |= dict.fromkeys(["torchvision", "torchvision.ops", "torchvision.ops.boxes", "torchvision.transforms", "torchvision.transforms.functional"], MagicMock())
from segment_anything import build_sam_vit_b  # noqa: E402

PIXELS = 1024
MODELS = ["medsam-vit-b", "sam-vit-b"]


class Encoder(nn.Module):
    """image [1, 3, 1024, 1024] in 0..1 -> embedding [1, 256, 64, 64].

    MedSAM takes the image as it is; SAM wants each channel less its mean over its deviation in photographs.
    """

    def __init__(self, network, normalises):
        super().__init__()
        self.image_encoder, self.normalises = network.image_encoder, normalises
        self.mean, self.deviation = network.pixel_mean.tolist(), network.pixel_std.tolist()

    def forward(self, image):
        if self.normalises:
            image = (image * 255 - torch.tensor(self.mean)) / torch.tensor(self.deviation)
        return self.image_encoder(image)


def main():
    torch.manual_seed(0)
    network = build_sam_vit_b().eval()
    for parameter in network.parameters():
        # Some are made as zeros: equal ones would hide that two were exchanged.
        parameter.data += torch.randn_like(parameter) * 0.02
    state = network.state_dict()
    image, boxes = torch.rand(1, 3, PIXELS, PIXELS), torch.tensor([[160., 200, 480, 640], [400, 360, 720, 560], [0, 0, 1023, 1023]])
    decoder = Decoder(network, PIXELS)
    for name in MODELS:
        encoder = Encoder(network, normalises=name == "sam-vit-b")
        with torch.no_grad():
            seen = network.preprocess(image * 255) if encoder.normalises else image
            expected = reference(network, seen, boxes)
            ours = (encoder(image), *decoder(expected[0], boxes))
        compare(name, "rewritten against published", ours, expected)
        skeleton.write(Path(sys.argv[1]) / name, {
            "encoder": skeleton.trace(encoder, (image,), ["image"], ["embedding"], []),
            "decoder": skeleton.trace(decoder, (expected[0], boxes), ["embedding", "boxes"], ["logits", "iou"], ["boxes", "logits", "iou"]),
        }, state)
        if len(sys.argv) > 2:
            folder = Path(sys.argv[2]) / name
            run(Path(sys.argv[1]) / name, folder, state, image, boxes, expected)
            torch.save(state, folder / "random.pth")


def run(models, folder, state, image, boxes, expected):
    """The filled graphs in OpenVINO."""
    import openvino
    folder.mkdir(parents=True, exist_ok=True)
    for file in ["encoder.onnx", "decoder.onnx", "layout.json"]:
        (folder / file).write_bytes((models / file).read_bytes())
    skeleton.fill(folder, state)
    core = openvino.Core()
    graph = {name: core.compile_model(folder / f"{name}.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}) for name in ["encoder", "decoder"]}
    embedding = torch.from_numpy(graph["encoder"]({"image": image.numpy()})["embedding"])
    answer = graph["decoder"]({"embedding": embedding.numpy(), "boxes": boxes.numpy()})
    compare(folder.name, "OpenVINO against published", (embedding, *(torch.from_numpy(answer[key]) for key in ["logits", "iou"])), expected)


def compare(name, what, ours, expected):
    for output, a, b in zip(["embedding", "logits", "iou"], ours, expected):
        print(name, what, output, tuple(b.shape), f"max abs difference {(a - b).abs().max().item():.2g} of {b.abs().max().item():.3g}")


if __name__ == "__main__":
    main()
