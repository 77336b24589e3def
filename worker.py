"""`holdfast worker` from a checkout: `python worker.py --role all|workflows|subgraphs|actions|notifications`."""

from holdfast.edges.terminal.command import main
from holdfast.worker.command import app

if __name__ == "__main__":
    main(app)
