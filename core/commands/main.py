"""The command line: the same jobs as the window, without one.

Results go to stdout, everything else to stderr. Exit status 0 only when the job succeeded;
2 for bad input, 130 after Ctrl+C.
"""

import argparse
import logging
import os
import sys
from pathlib import Path

from pydantic import ValidationError

import core
from core.commands import advise, arguments, cluster, evidence, offers, profile, results, run_list, runs
from core.commands.terminal import results_alone, say, say_command, say_details
from core.common.errors import EspalierError, Stopped
from core.common.logs import LOG_NAME, start_logging
from core.common.validation_messages import in_words
from core.deploy.formats.catalogue import FORMATS
from core.deploy.quantizers.catalogue import QUANTIZERS
from core.profiling.runtimes import DEFAULT, RUNTIMES
from core.runs.home import Home

_log = logging.getLogger("core.commands.main")  # also where it is run as a program
_VERBOSE = "tell everything that is noted down, on stderr and in the log file"


def main(words: list[str] | None = None) -> int:
    """Entry point of `espalier`."""
    words = sys.argv[1:] if words is None else words
    options = _parser().parse_args(words)
    start_logging("command", Home.default().logs, verbose=options.verbose)
    try:
        arguments.refuse_other_encodings(words)
        with results_alone():
            return int(options.do(options))
    except EspalierError as error:
        say(f"Error: {error}")
        say_command(error.command)
        say_details(error.details)
        _log.warning("The command ended by an error: %s\n%s", error, error.details, exc_info=error)
        return 2
    except (KeyboardInterrupt, Stopped):
        _log.info("The command was interrupted.")
        return 130
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 (the interpreter flushes it at exit)
        return 1
    except ValidationError as error:
        say("\n".join(f"Error: {problem}" for problem in in_words(error)))
        return 2
    except OSError as error:
        say(f"Error: {error.filename or 'A file'} cannot be used: {error.strerror or error}.")
        _log.warning("The command ended by an error.", exc_info=error)
        return 2
    except Exception as error:
        _log.error("The command ended by what nobody foresaw.", exc_info=error)
        say(
            f"Error: Espalier made a mistake that nobody foresaw ({type(error).__name__}). Please report it with the "
            f"end of {Home.default().logs / LOG_NAME}, which says where."
        )
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="espalier", description="Explore neural-network compression of image classifiers."
    )
    parser.add_argument("--version", action="version", version=f"Espalier {core.__version__}")
    parser.add_argument("--verbose", action="store_true", help=_VERBOSE)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a pipeline file, a recipe, or go on with a run")
    run.add_argument("file", help="pipeline file, recipe name, or (with --resume) run folder")
    run.add_argument("--out", type=Path, help="run folder; without it one is made among your runs")
    run.add_argument("--resume", action="store_true", help="go on with the unfinished run of this file")
    _machine_options(run)
    run.add_argument("--json", action="store_true", help="print one JSON object with all results")
    run.add_argument(
        "--stay", action="store_true", help="the run goes on when this terminal closes; Ctrl+C leaves it"
    )
    run.add_argument(
        "--cluster",
        metavar="WHERE",
        help="have the stages made by workers: a scheduler's address, local:N, or slurm:FILE",
    )
    cluster.tls_option(run)
    run.set_defaults(do=runs.run)

    search = commands.add_parser(
        "search", help="search a pipeline's free settings within limits, or ask a search for more"
    )
    search.add_argument("file", help="pipeline file with a section 'search', or the run of one")
    search.add_argument("--out", type=Path, help="run folder; without it one is made among your runs")
    search.add_argument("--resume", action="store_true", help="go on with the unfinished run of this file")
    search.add_argument(
        "--more", type=arguments.whole(1, 100_000), default=0, help="of a run: so many trials more"
    )
    search.add_argument(
        "--confirm", type=arguments.whole(1, 10**6), nargs="+", default=[], metavar="TRIAL",
        help="of a run: make these trials at full length and measure them on the test images, too",
    )  # fmt: skip
    _machine_options(search)
    search.add_argument("--json", action="store_true", help="print one JSON object with all results")
    search.add_argument(
        "--stay", action="store_true", help="the run goes on when this terminal closes; Ctrl+C leaves it"
    )
    search.set_defaults(do=runs.search)

    attach = commands.add_parser("attach", help="follow a run that goes on; Ctrl+C leaves it")
    attach.add_argument("run", help="run folder or name")
    attach.add_argument(
        "--do",
        dest="command",
        choices=("pause", "resume", "stop", "finish-stage"),
        help="ask the run for this instead",
    )
    attach.add_argument("--json", action="store_true", help="print one JSON object with all results")
    attach.set_defaults(do=runs.attach)

    check = commands.add_parser("check", help="check a pipeline and estimate its time, disk and memory")
    check.add_argument("file", help="pipeline file or recipe name")
    _machine_options(check)
    check.add_argument("--no-estimate", action="store_true", help="only check the rules")
    check.add_argument(
        "--preflight", action="store_true", help="push a few images through every stage, to the exported file"
    )
    check.set_defaults(do=runs.check)

    proofs = commands.add_parser(
        "evidence", help="run the pipelines behind the page of evidence, and write it"
    )
    proofs.add_argument(
        "--data", type=Path, required=True, metavar="FOLDER", help="where their data sets lie"
    )
    proofs.add_argument(
        "--only", nargs="+", default=[], metavar="TEXT", help="those whose name contains one of these"
    )
    proofs.add_argument(
        "--list", action="store_true", help="run nothing: say what there is, and how far it is"
    )
    proofs.add_argument(
        "--minutes", type=arguments.whole(1, 100_000), help="stop after so many; the same command goes on"
    )
    proofs.add_argument(
        "--measure-again", action="store_true", help="also measure the files of finished runs anew; nothing is made again"
    )  # fmt: skip
    proofs.add_argument("--out", type=Path, metavar="PAGE", help="write the page from what is finished")
    _machine_options(proofs)
    proofs.set_defaults(do=evidence.evidence)

    commands.add_parser("recipes", help="list the recipes").set_defaults(do=offers.list_recipes)

    run_list.add_parser(commands)
    cluster.add_parsers(commands)

    compare = commands.add_parser("compare", help="compare the stages of runs")
    compare.add_argument(
        "runs", nargs="+", metavar="RUN", help="run folder or name, or the report.json of a device"
    )
    compare.add_argument(
        "--format", choices=("table", "csv", "markdown", "latex", "html"), default="table",
        help="latex: booktabs; html: one standalone page with plots, settings and notes",
    )  # fmt: skip
    compare.add_argument("--out", type=Path, help="file to write instead of the terminal")
    compare.add_argument("--columns", help="metrics between commas, such as top1,latency_ms,size_mb")
    compare.add_argument(
        "--baseline", metavar="STAGE", help="compare all with this stage, as STAGE or RUN:STAGE, of the first run that has it"
    )  # fmt: skip
    compare.add_argument(
        "--figure", metavar="NAME",
        help="draw a figure for print into --out (.svg, .pdf, .png), such as stages, bars, curves; 'help' lists them",
    )  # fmt: skip
    compare.add_argument("--theme", choices=("light", "dark"), default="light", help="of the figure")
    compare.add_argument(
        "--width", choices=("column", "page"), default="column", help="of the figure: 85 or 175 mm"
    )
    compare.set_defaults(do=results.compare)

    report = commands.add_parser("report", help="print a run's report, or what it says to its paper's claims")
    report.add_argument("run", help="run folder or name")
    report.add_argument(
        "--claims", action="store_true", help="only the paper's claims, each with what was measured and a verdict"
    )  # fmt: skip
    report.add_argument(
        "--similarity", action="store_true",
        help="only how alike every stage's features are to the baseline's, on validation images",
    )  # fmt: skip
    report.set_defaults(do=results.report)

    export = commands.add_parser("export", help="write a stage's model out of a run in any format, verified")
    export.add_argument("run", help="run folder or name")
    export.add_argument("--stage", required=True, help="the stage's id (id@seed with several seeds)")
    export.add_argument("--out", required=True, type=Path, help="file (or, for safetensors, folder) to write")
    export.add_argument("--artefact", default="", help="which file, such as float32 or float16")
    _export_options(export)
    export.set_defaults(do=results.export)

    unpack = commands.add_parser(
        "unpack", help="write the ONNX file that a Huffman-coded file (.onnxh) holds"
    )
    unpack.add_argument("file", type=Path)
    unpack.add_argument(
        "--out", type=Path, help="file to write; beside it with the ending .onnx unless given"
    )
    unpack.set_defaults(do=results.unpack)

    verify = commands.add_parser("verify", help="measure an ONNX file's accuracy on a data set's test images")
    verify.add_argument("model", type=Path)
    verify.add_argument(
        "--data", required=True, help="data set: one of the sources, or a folder or zip of images"
    )
    verify.add_argument("--path", default="", help="folder or file of the data set, where it needs one")
    verify.add_argument(
        "--class-order",
        choices=("text", "number"),
        help="order of the classes, for files that do not name theirs",
    )
    verify.add_argument(
        "--size", type=arguments.whole(1, 4096), help="image size, for files that do not say theirs"
    )
    verify.add_argument(
        "--mean",
        type=arguments.number(-1000, 1000),
        nargs="+",
        help="mean per channel (or one for all), likewise",
    )
    verify.add_argument(
        "--std",
        type=arguments.number(1e-6, 1000),
        nargs="+",
        help="standard deviation per channel (or one for all), likewise",
    )
    verify.add_argument(
        "--output", default="", help="the output with the classes' numbers, for files with several"
    )
    verify.add_argument(
        "--ignore-names",
        action="store_true",
        help="pass over class names in the file: its classes are in the data set's order",
    )
    verify.set_defaults(do=results.verify)

    advise.add_parser(commands)

    measure = commands.add_parser(
        "profile",
        help="measure a model's latency, throughput, memory, energy and size, alone or against another",
    )
    measure.add_argument(
        "model", help="ONNX file, checkpoint folder, a run's stage as RUN:STAGE, or a RUN to measure again"
    )
    measure.add_argument(
        "--again", action="store_true", help="measure RUN:STAGE again and put the figures into the run"
    )
    measure.add_argument("--runtime", nargs="+", default=["onnxruntime"], metavar="NAME", help=_runtimes())
    measure.add_argument(
        "--threads",
        type=arguments.whole(1, arguments.MOST_THREADS),
        nargs="+",
        default=[],
        help="numbers of threads",
    )
    measure.add_argument("--batch", type=arguments.whole(1, 4096), nargs="+", default=[], help="batch sizes")
    measure.add_argument("--against", metavar="MODEL", help="another model, measured in turns with this one")
    measure.add_argument(
        "--size", type=arguments.whole(1, 4096), help="pixels a side, for models that take any size (224)"
    )
    measure.add_argument("--per-layer", action="store_true", help="time every layer in ONNX Runtime")
    measure.add_argument(
        "--grid", action="store_true", help="throughput over batch sizes and threads, with the sweet spot"
    )
    measure.add_argument(
        "--core-watts",
        type=arguments.number(0.001, 1000),
        help="power of one busy core, where nothing measures energy",
    )
    measure.add_argument("--json", action="store_true", help="print everything as one JSON object")
    measure.set_defaults(do=profile.profile)

    weights = commands.add_parser("weights", help="download a backbone's ImageNet weights")
    weights.add_argument("backbone")
    weights.set_defaults(do=offers.weights)

    data = commands.add_parser("data", help="list public data sets, or download one")
    data.add_argument("name", nargs="?", help="the data set to download; without it they are listed")
    data.add_argument(
        "--to", type=Path, default=Path(), help="folder to download to; the current one otherwise"
    )
    data.set_defaults(do=offers.data)

    quantizers = commands.add_parser(
        "quantizers", help="list whose quantizers can be used, or make an environment for one"
    )
    what = quantizers.add_subparsers(dest="do_what", metavar="ACTION")
    installable = [tool.id for tool in QUANTIZERS.values() if tool.requires]
    for action, help in (
        ("add", "install a quantizer into an environment of its own"), ("remove", "remove that environment"),
    ):  # fmt: skip
        what.add_parser(action, help=help).add_argument("name", choices=installable)
    quantizers.set_defaults(do=offers.quantizers)

    reference = commands.add_parser("reference", help="print every setting of every stage, as Markdown")
    reference.set_defaults(do=offers.print_reference)

    coverage = commands.add_parser("coverage", help="try every method on every backbone; a table as Markdown")
    coverage.add_argument(
        "--methods", nargs="+", metavar="METHOD", help="only these, such as static channels"
    )
    coverage.add_argument("--backbones", nargs="+", metavar="NAME", help="only these; timm:NAME too")
    coverage.add_argument("--out", type=Path, help="file to write instead of the terminal")
    _machine_options(coverage)
    coverage.set_defaults(do=offers.coverage)

    trust = commands.add_parser("trust", help="say that a Python file with a network of yours may be run")
    trust.add_argument("file", type=Path)
    trust.set_defaults(do=offers.trust)

    doctor = commands.add_parser("doctor", help="check this installation; a report for bug reports")
    doctor.add_argument("--json", action="store_true", help="print the report as one JSON object")
    doctor.set_defaults(do=offers.doctor)
    for command in commands.choices.values():
        command.add_argument("--verbose", action="store_true", default=argparse.SUPPRESS, help=_VERBOSE)
    return parser


def _export_options(parser: argparse.ArgumentParser) -> None:
    """The settings of `core.deploy.formats.settings.ExportSettings`."""
    parser.add_argument(
        "--format",
        choices=tuple(FORMATS),
        help="what to write; without it the end of the file's name decides",
    )
    parser.add_argument(
        "--opset", type=arguments.whole(1, 100), help="ONNX operator set; without it the file's own"
    )
    parser.add_argument(
        "--batch", type=arguments.batch, default="dynamic", help="images in a call: dynamic, or a number"
    )
    parser.add_argument(
        "--with-preprocessing",
        action="store_true",
        help="the file crops, resizes and normalises images itself",
    )
    parser.add_argument(
        "--describe", action="store_true", help="write the pipeline's hash, run and stage into the ONNX file"
    )
    parser.add_argument("--card", action="store_true", help="write the model card beside the file")
    parser.add_argument(
        "--images", type=arguments.whole(1, 1_000_000), help="zip: how many test images travel along"
    )
    parser.add_argument("--no-latency", action="store_true", help="do not time the exported file")


def _runtimes() -> str:
    names = [f"{name} (the default)" if name == DEFAULT else name for name in RUNTIMES]
    return f"{', '.join(names)}, or all"


def _machine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", type=arguments.device, default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--threads",
        type=arguments.whole(0, arguments.MOST_THREADS),
        default=0,
        help="training threads; 0: one per physical core",
    )
    parser.add_argument(
        "--core-watts",
        type=arguments.number(0.001, 1000),
        help="power of one busy core in watts, for energy where the processor's counters cannot be read",
    )
    parser.add_argument(
        "--processes",
        type=arguments.whole(1, 1024),
        default=1,
        help="that train a stage together, one for each GPU; on a processor they share its threads",
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="train through torch.compile on a GPU: faster steps after a minute or so, other last digits",
    )
    parser.add_argument(
        "--nondeterministic",
        action="store_true",
        help="a GPU may take its fastest kernels, whose results differ in the last digits from run to run",
    )


if __name__ == "__main__":
    sys.exit(main())
