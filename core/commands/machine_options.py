"""Options that belong to the machine: as words on the command line, and as the engine takes them."""

import argparse
from typing import Any

from core.commands.arguments import MOST_THREADS, device, number, whole
from core.common.errors import EspalierError


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", type=device, default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--threads",
        type=whole(0, MOST_THREADS),
        default=0,
        help="training threads; 0: one per physical core",
    )
    parser.add_argument(
        "--core-watts",
        type=number(0.001, 1000),
        help="power of one busy core in watts, for energy where the processor's counters cannot be read",
    )
    parser.add_argument(
        "--processes",
        type=whole(1, 1024),
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


def machine_options(options: argparse.Namespace) -> Any:
    """The options that belong to the machine.

    Raises:
        EspalierError: for a power that cannot be.
    """
    from core.engine.options import Options
    from core.profiling.energy import CORE_WATTS

    watts = CORE_WATTS if options.core_watts is None else options.core_watts
    if not 0 < watts <= 1000:
        raise EspalierError(
            f"Expected the power of one busy core between 0 and 1000 watts, received {watts:g}.",
            "A laptop's core draws about 5 W, a desktop's about 10 W.",
        )
    return Options(
        options.device,
        options.threads,
        watts,
        not options.nondeterministic,
        processes=options.processes,
        compiled=options.compile,
    )
