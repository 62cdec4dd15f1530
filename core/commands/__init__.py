"""What the subcommands of `espalier` do; `core.cli` reads their arguments."""
