"""MedLAM: a small 3D U-Net that says where a CT patch lies and what its voxels look like.

Structure and state_dict keys equal the published network (MedLSAM, Medical Image Analysis 2025), so that its
checkpoint (base_chns 24, keys prefixed `module.`) loads as well as ours. Written from the paper's description.

Input: [N, 1, 64, 64, 64], axes (z, y, x), 3 mm voxels, intensities 0..1 (see data.py).
"""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F

POSITION_SCALE_MM = (1500.0, 600.0, 600.0)
"""Offset in mm along (z, y, x) = tanh(latent difference) times this."""


class Convolution(nn.Module):
    """A 3 x 3 x 3 convolution that keeps the size; a module of its own for the sake of the key `...Conv.weight`."""

    def __init__(self, channels_in, channels_out):
        super().__init__()
        self.Conv = nn.Conv3d(channels_in, channels_out, kernel_size=3, padding=1)

    def forward(self, x):
        return self.Conv(x)


class SingleConv3D(nn.Module):
    """Convolution, instance normalisation without parameters, ReLU."""

    def __init__(self, channels_in, channels_out):
        super().__init__()
        self.model = nn.Sequential(OrderedDict(
            conv1_1=Convolution(channels_in, channels_out),
            norm1_1=nn.InstanceNorm3d(channels_out),
            relu1_1=nn.ReLU()))

    def forward(self, x):
        return self.model(x)


class MedLAM(nn.Module):
    """Encoder with a position head, decoder with unit-length features at 1/4, 1/2 and full size."""

    def __init__(self, base_chns, patch_size=64):
        super().__init__()
        b = base_chns
        self.conv0_1, self.conv0_2 = SingleConv3D(1, 2 * b), SingleConv3D(2 * b, 2 * b)
        self.conv1_1, self.conv1_2 = SingleConv3D(2 * b, 2 * b), SingleConv3D(2 * b, 2 * b)
        self.conv2_1, self.conv2_2 = SingleConv3D(2 * b, 2 * b), SingleConv3D(2 * b, 4 * b)
        self.conv3_1, self.conv3_2 = SingleConv3D(4 * b, 4 * b), SingleConv3D(4 * b, 8 * b)
        self.conv4_1, self.conv4_2 = SingleConv3D(8 * b, 8 * b), SingleConv3D(8 * b, 16 * b)

        self.fc1 = nn.Linear((patch_size // 16) ** 3 * 16 * b, 8 * b)
        self.fc2 = nn.Linear(8 * b, 4 * b)
        self.fc3 = nn.Linear(4 * b, 3)

        self.conv5_1, self.conv5_2 = SingleConv3D(24 * b, 8 * b), SingleConv3D(8 * b, 8 * b)
        self.conv6_1, self.conv6_2 = SingleConv3D(12 * b, 4 * b), SingleConv3D(4 * b, 4 * b)
        self.conv7_1, self.conv7_2 = SingleConv3D(6 * b, 4 * b), SingleConv3D(4 * b, 4 * b)
        self.conv8_1, self.conv8_2 = SingleConv3D(6 * b, 4 * b), SingleConv3D(4 * b, 4 * b)
        # In the published checkpoint, used by neither loss nor inference.
        self.classification = nn.Sequential(nn.Conv3d(4 * b, 3, kernel_size=1))

    def encode(self, x):
        """Activations at full, 1/2, 1/4, 1/8 and 1/16 size."""
        c0 = self.conv0_2(self.conv0_1(x))
        c1 = self.conv1_2(self.conv1_1(F.max_pool3d(c0, 2)))
        c2 = self.conv2_2(self.conv2_1(F.max_pool3d(c1, 2)))
        c3 = self.conv3_2(self.conv3_1(F.max_pool3d(c2, 2)))
        c4 = self.conv4_2(self.conv4_1(F.max_pool3d(c3, 2)))
        return c0, c1, c2, c3, c4

    def head(self, bottleneck):
        """The latent position [N, 3] from the 1/16 activations; no nonlinearity in between."""
        return self.fc3(self.fc2(self.fc1(bottleneck.flatten(1))))

    def decode_half(self, c1, c2, c3, c4):
        """Decoder activations at 1/4 and 1/2 size, not normalised."""
        d3 = self.conv5_2(self.conv5_1(torch.cat([upsample(c4), c3], 1)))
        d2 = self.conv6_2(self.conv6_1(torch.cat([upsample(d3), c2], 1)))
        d1 = self.conv7_2(self.conv7_1(torch.cat([upsample(d2), c1], 1)))
        return d2, d1

    def decode_full(self, c0, d1_upsampled):
        """Decoder activations at full size, not normalised; also for crops of both inputs."""
        return self.conv8_2(self.conv8_1(torch.cat([d1_upsampled, c0], 1)))

    def position(self, x):
        """The latent position [N, 3] only: the encoder's cost, a tenth of the whole."""
        return self.head(self.encode(x)[-1])

    def forward(self, x):
        """(position [N, 3], feature0, feature1, feature2): features at 1/4, 1/2, full size, unit length a voxel."""
        c0, c1, c2, c3, c4 = self.encode(x)
        d2, d1 = self.decode_half(c1, c2, c3, c4)
        d0 = self.decode_full(c0, upsample(d1))
        return self.head(c4), F.normalize(d2, dim=1), F.normalize(d1, dim=1), F.normalize(d0, dim=1)


def upsample(x):
    """Twice the size, trilinear."""
    return F.interpolate(x, scale_factor=2.0, mode="trilinear", align_corners=False)


def position_offset_mm(template, query):
    """Offset in mm (z, y, x) that leads from the query patch's centre to the template's place."""
    return torch.tanh(template - query) * template.new_tensor(POSITION_SCALE_MM)


def load_checkpoint(path):
    """A MedLAM in evaluation mode from a checkpoint of any width, with or without DataParallel's prefix."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    state = {key.removeprefix("module."): value.float() for key, value in state.items()}
    network = MedLAM(state["conv0_1.model.conv1_1.Conv.weight"].shape[0] // 2)
    network.load_state_dict(state)
    return network.eval()
