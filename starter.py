"""The command line of a client: `python starter.py --help`."""

import typer

from holdfast.runtime.process import leave, never_fail_to_write, prepare_streams
from holdfast.terminal import auditing, conversing, delivering, policies, reviewing
from holdfast.terminal.running import INTERRUPTED, code_when_done, exit_code

app = typer.Typer(
    help="Talk to Holdfast: send messages, decide on approvals, take conversations over.",
    epilog="Exit codes: 0 done, 2 wrong usage or settings, 3 refused, 4 a server is out of reach, "
    "5 done, but the output could not be written.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(conversing.app)
app.add_typer(reviewing.app)
app.add_typer(auditing.app, name="audit")
app.add_typer(policies.app, name="policy")
app.add_typer(delivering.app)


def main() -> None:
    """Run the command that the process was started with, and end the process."""
    code: int | str | None
    prepare_streams()
    never_fail_to_write()
    try:
        app(prog_name="starter.py")
        code = 0
    except SystemExit as exit:
        code = exit.code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        code = exit_code(error)
    if not code:
        code = code_when_done()
    leave(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main()
