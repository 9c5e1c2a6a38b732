"""ResNet-50 in plain torch, under torchvision's key names (``conv1.weight``, ``layer1.0.bn1.bias`` … ``fc.weight``).

Architecture: He et al. 2015 (arXiv 1512.03385), table 1; the stride stands in the 3 x 3 convolution, as in torchvision.
"""

from torch import Tensor, nn
from torch.nn import functional

_EXPANSION = 4  # a bottleneck's output channels for each of its inner ones


class _Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up; added to its input, which is projected where the shapes differ."""

    downsample: nn.Module | None

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * _EXPANSION
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """Images (batch, 3, side, side) to vectors (batch, outputs)."""

    def __init__(self, depths: tuple[int, ...] = (3, 4, 6, 3), width: int = 64, outputs: int = 512) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inputs = width
        for index, blocks in enumerate(depths):
            inner = width * 2**index
            strides = [2 if index else 1] + [1] * (blocks - 1)
            stage = []
            for stride in strides:
                stage.append(_Bottleneck(inputs, inner, stride))
                inputs = inner * _EXPANSION
            self.add_module(f"layer{index + 1}", nn.Sequential(*stage))
        self.stages = len(depths)
        self.fc = nn.Linear(inputs, outputs, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.pooled(self.through(self.stem(images), 0, len(self.bottlenecks())))

    def stem(self, images: Tensor) -> Tensor:
        """Images to the map before the first bottleneck, a quarter as wide."""
        return functional.max_pool2d(functional.relu(self.bn1(self.conv1(images))), 3, 2, 1)

    def bottlenecks(self) -> list[nn.Module]:
        """All of them, in their order."""
        return [block for index in range(self.stages) for block in getattr(self, f"layer{index + 1}")]

    def through(self, x: Tensor, first: int, last: int) -> Tensor:
        """The map before bottleneck ``first`` to that before bottleneck ``last``."""
        for block in self.bottlenecks()[first:last]:
            x = block(x)
        return x

    def pooled(self, x: Tensor) -> Tensor:
        """The last map (batch, channels, height, width) to vectors (batch, outputs)."""
        vectors: Tensor = self.fc(x.mean((2, 3)))
        return vectors


def map_shape(depths: tuple[int, ...], width: int, side: int, until: int) -> tuple[int, int]:
    """Positions and channels of the map after ``until`` bottlenecks, of images of this side."""
    begun = sum(
        until > sum(depths[:stage]) for stage in range(len(depths))
    )  # stages; each but the first halves the map
    for _ in range(2 + max(begun - 1, 0)):
        side = (side + 1) // 2
    return side**2, width * 2 ** (begun - 1) * _EXPANSION if begun else width
