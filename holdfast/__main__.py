"""`python -m holdfast`: the command `holdfast`, of the Python that is named."""

from holdfast.edges.terminal.command import main

if __name__ == "__main__":
    main()
