"""`espalier weights`: download a backbone's ImageNet weights."""

import argparse

from core.commands.arguments import Commands
from core.commands.terminal import show_result


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("weights", help="download a backbone's ImageNet weights")
    parser.add_argument("backbone")
    parser.set_defaults(do=weights)


def weights(options: argparse.Namespace) -> int:
    from core.models.catalogue import backbone
    from core.models.weights import download_imagenet

    show_result(str(download_imagenet(backbone(options.backbone))))
    return 0
