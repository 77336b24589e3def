"""`holdfast` from a checkout: `python starter.py --help`."""

from holdfast.edges.terminal.command import main

if __name__ == "__main__":
    main()
