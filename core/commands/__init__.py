"""What the subcommands of `espalier` do; `core.commands.main` reads their arguments."""
