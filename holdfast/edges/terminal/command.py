"""The command line: `holdfast --help`."""

import os
import sys
from importlib.metadata import entry_points

import typer

from holdfast.domain.errors import ConfigurationError, ExtraMissing
from holdfast.edges.terminal import approvals, audit, conversations, deliveries, policies
from holdfast.edges.terminal.runner import INTERRUPTED, code_when_done, exit_code
from holdfast.runtime.process import exit_process, never_fail_to_write, prepare_streams
from holdfast.worker import command as working

app = typer.Typer(
    help="Talk to Holdfast: send messages, decide on approvals, take conversations over; run workers.",
    epilog="Exit codes: 0 done, 2 wrong usage or settings, 3 refused, 4 a server is out of reach, "
    "5 done, but the output could not be written.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(conversations.app)
app.add_typer(approvals.app)
app.add_typer(audit.app, name="audit")
app.add_typer(policies.app, name="policy")
app.add_typer(deliveries.app)
app.add_typer(working.app)


_DEVSTACK = next(iter(entry_points(group="holdfast.commands", name="dev")), None)
if _DEVSTACK is not None:
    app.add_typer(_DEVSTACK.load(), name="dev")
else:

    @app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
    def dev() -> None:
        """Run Temporal and Postgres for development, from a distribution of their own."""
        raise ExtraMissing(
            "`holdfast dev` is a distribution of its own: pip install holdfast-devstack"
        )


def main(app: typer.Typer = app) -> None:
    """Run the command that the process was started with, and end the process.

    Packages are found in the folder that it was started in, as with `python -m`.
    """
    code: int | str | None
    prepare_streams()
    never_fail_to_write()
    sys.path.insert(0, os.getcwd())
    try:
        _check_arguments(sys.argv)
        app()
        code = 0
    except SystemExit as exit:
        code = exit.code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        code = exit_code(error)
    if not code:
        code = code_when_done()
    exit_process(code if isinstance(code, int) else int(code is not None))


def _check_arguments(arguments: list[str]) -> None:
    for number, argument in enumerate(arguments):
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise ConfigurationError(
                f"argument {number} of the command is no text in {sys.getfilesystemencoding()}"
            ) from None
