"""The subcommands of `espalier`, each in a file of its name, and what several of them share; `main` lists them."""
