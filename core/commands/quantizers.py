"""`espalier quantizers`: other tools' quantizers, and the environments made for them."""

import argparse

from core.commands.arguments import Commands
from core.commands.terminal import say, show_result
from core.deploy.quantizers.catalogue import QUANTIZERS


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "quantizers", help="list whose quantizers can be used, or make an environment for one"
    )
    what = parser.add_subparsers(dest="do_what", metavar="ACTION")
    installable = [tool.id for tool in QUANTIZERS.values() if tool.requires]
    for action, help in (
        ("add", "install a quantizer into an environment of its own"), ("remove", "remove that environment"),
    ):  # fmt: skip
        what.add_parser(action, help=help).add_argument("name", choices=installable)
    parser.set_defaults(do=quantizers)


def quantizers(options: argparse.Namespace) -> int:
    if options.do_what is None:
        for tool in QUANTIZERS.values():
            missing = tool.missing()
            state = f"{missing} {tool.remedy()}" if missing else f"{tool.package} {tool.found_version()}"
            show_result(f"{tool.id}: {tool.help}\n    {state}")
        return 0
    tool = QUANTIZERS[options.name]
    if options.do_what == "remove":
        tool.environment.remove()
        show_result(f"{tool.title} has no environment of its own any more.")
    elif tool.is_beside():
        show_result(f"{tool.title} {tool.found_version()} is installed beside Espalier already.")
    else:
        tool.environment.make(tool.requires, say)
        show_result(f"{tool.title} {tool.found_version()} can quantize now.")
    return 0
