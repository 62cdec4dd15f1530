"""`espalier search`: search a pipeline's free settings, go on with a search, or ask one for more."""

import argparse
from pathlib import Path

from core.commands.arguments import Commands, whole
from core.commands.follow_run import follow, json_option, stay_option
from core.commands.machine_options import add_machine_options, machine_options
from core.commands.run import folder_options, run
from core.commands.terminal import say
from core.common.errors import EspalierError


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "search", help="search a pipeline's free settings within limits, or ask a search for more"
    )
    parser.add_argument("file", help="pipeline file with a section 'search', or the run of one")
    folder_options(parser)
    parser.add_argument("--more", type=whole(1, 100_000), default=0, help="of a run: so many trials more")
    parser.add_argument(
        "--confirm", type=whole(1, 10**6), nargs="+", default=[], metavar="TRIAL",
        help="of a run: make these trials at full length and measure them on the test images, too",
    )  # fmt: skip
    add_machine_options(parser)
    json_option(parser)
    stay_option(parser)
    parser.set_defaults(do=search, cluster=None)  # `run` asks for it: a search is made on this machine


def search(options: argparse.Namespace) -> int:
    """Run a file that searches, go on with its run, or ask a run for more."""
    from core.document import pipeline as documents
    from core.document.recipes import pipeline_file
    from core.engine.run_follower import start_run
    from core.runs.finding import is_run
    from core.runs.home import Home
    from core.runs.library import find_run
    from core.search.records import wish

    home = Home.default()
    machine = machine_options(options)
    if not (options.more or options.confirm):
        if not is_run(Path(options.file)) and documents.load(pipeline_file(options.file)).search is None:
            raise EspalierError(
                f"Expected a pipeline with a section 'search', {options.file} has none.",
                "Say what is free and what is wanted: the guide has an example ('Searching with limits').",
            )
        return run(options)
    study = find_run(home, options.file)
    wish(study, options.more, options.confirm)
    if study.active:
        say("The run goes on and takes it up after the trial under way.")
        return 0
    return follow(start_run(study, home, machine, options.stay, study.last_event_number), options)
