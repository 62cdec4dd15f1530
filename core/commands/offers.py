"""The other commands: recipes, data sets, weights, quantizers, trust, reference, coverage, doctor."""

import argparse
import json

from core.commands.runs import stop_on_interrupt
from core.commands.terminal import say, show_result
from core.common.control import RunControl


def list_recipes(options: argparse.Namespace) -> int:
    from core.document.recipes import recipes

    for recipe in recipes():
        pipeline = recipe.load()
        show_result(f"{recipe.id}: {pipeline.name}\n    {pipeline.about}\n    {recipe.path}")
    return 0


def data(options: argparse.Namespace) -> int:
    from core.data.download import download
    from core.data.public_sets import PUBLIC_SETS

    if options.name is None:
        for data_set in PUBLIC_SETS.values():
            show_result(
                f"{data_set.id}: {data_set.title}, {sum(file.size for file in data_set.files) / 1e6:.0f} MB\n    {data_set.terms}"
            )
        return 0
    control = RunControl()
    stop_on_interrupt(control)
    place = download(options.name, options.to, control, lambda done, text: say(text))
    chosen = PUBLIC_SETS[options.name]
    say(chosen.terms)
    show_result(f"data:\n  source: {chosen.source}\n  path: {place}")
    return 0


def print_reference(options: argparse.Namespace) -> int:
    from core.document.reference import reference

    show_result(reference().removesuffix("\n"))
    return 0


def trust(options: argparse.Namespace) -> int:
    from core.machine.trusted_files import TrustList

    digest = TrustList.default().trust(options.file)
    show_result(
        f"{options.file} is trusted as it is now (SHA-256 {digest}). A changed file has to be trusted again."
    )
    return 0


def weights(options: argparse.Namespace) -> int:
    from core.models.catalogue import backbone
    from core.models.weights import download_imagenet

    show_result(str(download_imagenet(backbone(options.backbone))))
    return 0


def quantizers(options: argparse.Namespace) -> int:
    from core.deploy.quantizers.catalogue import QUANTIZERS

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


def doctor(options: argparse.Namespace) -> int:
    from core.doctor.checks import examine

    examination = examine(lambda name: say(f"Checking: {name}"))
    show_result(json.dumps(examination.as_dict(), indent=1) if options.json else examination.as_text())
    return 0 if examination.good else 1


def coverage(options: argparse.Namespace) -> int:
    from core.commands.runs import machine_options
    from core.common.files import write_atomically
    from core.engine import coverage as table
    from core.runs.home import Home

    control = RunControl()
    stop_on_interrupt(control)
    cells = table.coverage(
        options.backbones or table.BACKBONES,
        options.methods or tuple(table.methods()),
        Home.default(),
        machine_options(options),
        lambda cell: say(f"{cell.backbone}, {cell.method}: {cell.sentence} ({cell.seconds:.0f} s)"),
        control,
    )
    text = table.as_markdown(cells)
    if options.out:
        before = options.out.read_text(encoding="utf-8") if options.out.is_file() else ""
        write_atomically(options.out, text + table.networks_part(before))
    else:
        show_result(text.removesuffix("\n"))
    return 1 if any(cell.state == "fails" for cell in cells) else 0
