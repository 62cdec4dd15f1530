"""`espalier recipes`: the recipes that come along."""

import argparse

from core.commands.arguments import Commands
from core.commands.terminal import show_result


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("recipes", help="list the recipes")
    parser.set_defaults(do=recipes)


def recipes(options: argparse.Namespace) -> int:
    from core.document.recipes import recipes as shipped

    for recipe in shipped():
        pipeline = recipe.load()
        show_result(f"{recipe.id}: {pipeline.name}\n    {pipeline.about}\n    {recipe.path}")
    return 0
