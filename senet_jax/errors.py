"""What a user can mend: one line on standard error and exit code 2, never a traceback."""

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

USER_ERROR_EXIT_CODE = 2


class UserError(Exception):
    """A mistake that the user can mend.

    The message is one line in three parts: what is wrong, the value that was seen, and how to
    mend it. Commands print it and exit with code 2; anything else that is raised is a bug of the
    program and keeps its traceback.
    """


def exit_with(message: object) -> NoReturn:
    """Ends the process as a user's mistake does: one line on standard error and exit code 2."""
    print("error: " + " ".join(str(message).split()), file=sys.stderr)
    sys.exit(USER_ERROR_EXIT_CODE)


def run_command(command: Callable[[], None]) -> None:
    """Runs a command's main function; a `UserError` becomes one line and exit code 2."""
    try:
        command()
    except UserError as error:
        exit_with(error)


class CommandParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, without the usage text before it."""

    def __init__(self, **options):
        super().__init__(
            allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options
        )

    def error(self, message: str) -> NoReturn:
        """Reports a wrong command line; see `--help`."""
        exit_with(f"{message} (see {self.prog} --help)")
