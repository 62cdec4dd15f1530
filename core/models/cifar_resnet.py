"""ResNet-20/32/44/56/110 for small images, with parameter-free shortcuts ("option A").

Source: He et al. 2015, arXiv 1512.03385, section 4.2. Names of layers follow the widely shared
CIFAR-10 weights (`conv1, bn1, layer1…3, linear`), which load strictly.
"""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional


class PadShortcut(nn.Module):
    """Subsamples by 2 and pads new channels with zeros on both sides; has no parameters."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.inputs = inputs
        self.outputs = outputs

    def forward(self, images: Tensor) -> Tensor:
        """[b, inputs, h, w] → [b, outputs, ⌈h/2⌉, ⌈w/2⌉]."""
        before = (self.outputs - self.inputs) // 2
        after = self.outputs - self.inputs - before
        return functional.pad(images[:, :, ::2, ::2], (0, 0, 0, 0, before, after))

    def as_convolution(self) -> nn.Conv2d:
        """The same function as a 1×1 convolution with stride 2, exactly.

        Dependency graphs can follow it where they cannot follow the padding.
        """
        convolution = nn.Conv2d(self.inputs, self.outputs, 1, stride=2, bias=False)
        weight = convolution.weight.data.zero_()
        for channel in range(self.inputs):
            weight[(self.outputs - self.inputs) // 2 + channel, channel] = 1
        return convolution


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with batch norm around an identity or padding shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        self.shortcut: nn.Module = nn.Identity() if same else PadShortcut(inputs, outputs)
        self.relu2 = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        """[b, inputs, h, w] → [b, outputs, h/stride, w/stride]."""
        inner = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(images)))))
        return self.relu2(inner + self.shortcut(images))


def cifar_resnet_body(depth: int) -> nn.Sequential:
    """The convolutional part of ResNet-`depth`, depth = 6n + 2: [b, 3, s, s] → [b, 64, s/4, s/4]."""
    blocks = (depth - 2) // 6
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(3, 16, 3, padding=1, bias=False), bn1=nn.BatchNorm2d(16), relu=nn.ReLU()
    )
    inputs = 16
    for index, (outputs, stride) in enumerate([(16, 1), (32, 2), (64, 2)], start=1):
        stage = [BasicBlock(inputs, outputs, stride)]
        stage += [BasicBlock(outputs, outputs, 1) for _ in range(blocks - 1)]
        parts[f"layer{index}"] = nn.Sequential(*stage)
        inputs = outputs
    body = nn.Sequential(parts)
    for module in body.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return body
