"""Files of weights with an official address, by the names that settings may use.

The checksum is the SHA-256 of the file, or as much of it as the publisher put into the file's
name. A file without a published checksum cannot be verified and is not downloaded; fetch it by
hand and give its path.
"""

from dataclasses import dataclass

PYTORCH = "https://download.pytorch.org/models"
UCMERCED = "http://vllab.ucmerced.edu/ytsai/CVPR18"


@dataclass(frozen=True)
class PublishedWeights:
    """One file.

    Attributes:
        address: Where its publisher offers it.
        summary: What it is.
        sha256: Hexadecimal; the first digits are enough, empty if none was published.
        project: Who wrote it, where its keys do not tell.
    """

    address: str
    summary: str
    sha256: str = ""
    project: str | None = None

    @property
    def file(self) -> str:
        """Name of the file."""
        return self.address.rpartition("/")[2]


def torchvision(file: str, summary: str) -> PublishedWeights:
    """Return a file of torchvision, whose name ends with the start of its checksum."""
    digits = file.rpartition("-")[2].removesuffix(".pth")
    return PublishedWeights(f"{PYTORCH}/{file}", summary, digits, "torchvision")


PUBLISHED: dict[str, PublishedWeights] = {
    "resnet18_torchvision": torchvision("resnet18-f37072fd.pth", "ResNet-18, ImageNet"),
    "resnet34_torchvision": torchvision("resnet34-b627a593.pth", "ResNet-34, ImageNet"),
    "resnet50_torchvision": torchvision("resnet50-0676ba61.pth", "ResNet-50, ImageNet"),
    "resnet50_torchvision_v2": torchvision(
        "resnet50-11ad3fa6.pth", "ResNet-50, ImageNet, newer recipe"
    ),
    "resnet101_torchvision": torchvision("resnet101-63fe2227.pth", "ResNet-101, ImageNet"),
    "resnet101_torchvision_v2": torchvision(
        "resnet101-cd907fc2.pth", "ResNet-101, ImageNet, newer recipe"
    ),
    "resnet152_torchvision": torchvision("resnet152-394f9c45.pth", "ResNet-152, ImageNet"),
    "vgg16_torchvision": torchvision("vgg16-397923af.pth", "VGG-16, ImageNet"),
    "vgg16_bn_torchvision": torchvision(
        "vgg16_bn-6c64b313.pth", "VGG-16 with batch normalisation, ImageNet"
    ),
    "vgg16_caffe": PublishedWeights(
        "https://web.eecs.umich.edu/~justincj/models/vgg16-00b39a1b.pth",
        "VGG-16 of its authors, ImageNet, for BGR of 0 to 255",
        "00b39a1b",
        "vgg_caffe",
    ),
    "deeplab_resnet101_imagenet": PublishedWeights(
        f"{UCMERCED}/DeepLab_resnet_pretrained_init-f81d91e8.pth",
        "ResNet-101 for DeepLabV2, ImageNet: start of AdaptSegNet, AdvEnt, IntraDA, CCM, FDA, CLAN",
        "f81d91e8",
        "deeplab_init",
    ),
    "deeplab_resnet101_coco": PublishedWeights(
        "http://vllab1.ucmerced.edu/~whung/adv-semi-seg/resnet101COCO-41f33a49.pth",
        "DeepLabV2 on ResNet-101, ImageNet then MS-COCO, 21 classes: start of DACS",
        "41f33a49",
        "deeplab_coco",
    ),
    "adaptsegnet_resnet101": PublishedWeights(
        f"{UCMERCED}/GTA2Cityscapes_multi-ed35151c.pth",
        "AdaptSegNet, GTA5 to Cityscapes, two levels, mIoU 42.4",
        "ed35151c",
        "adaptsegnet",
    ),
    "adaptsegnet_vgg16": PublishedWeights(
        f"{UCMERCED}/GTA2Cityscapes_vgg-ac4ac9f6.pth",
        "AdaptSegNet on VGG-16, GTA5 to Cityscapes, mIoU 35.0",
        "ac4ac9f6",
        "adaptsegnet",
    ),
    "advent_resnet101": PublishedWeights(
        "https://github.com/valeoai/ADVENT/releases/download/v0.1/gta2cityscapes_advent.pth",
        "AdvEnt, GTA5 to Cityscapes, two levels, mIoU 43.8",
        project="advent",
    ),
}
