"""How a command ends: one line on standard error and an exit code, never a traceback."""

import argparse
import errno
import os
import reprlib
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from senet_jax.system import signals
from senet_jax.system.progress import clear

USER_ERROR_EXIT_CODE = 2
BROKEN_PIPE_EXIT_CODE = 141
MESSAGE_LIMIT = 500
"""The most characters of a line of error."""

_PATH_ERRORS = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.EROFS)
_WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)


class UserError(Exception):
    """A mistake that the user can mend.

    The message is one line in three parts: what is wrong, the value that was seen, and how to
    mend it. Commands print it and exit with code 2; anything else that is raised is a bug of the
    program and keeps its traceback.
    """


class _ShortRepr(reprlib.Repr):
    """`repr` of a value from a file or a command line: short, and of any value at all."""

    def __init__(self):
        super().__init__()
        self.maxlevel = 2
        self.maxtuple = self.maxlist = self.maxset = self.maxfrozenset = 4
        self.maxdict = self.maxarray = self.maxdeque = 4
        self.maxstring = self.maxother = 80

    def repr1(self, x: Any, level: int) -> str:
        try:
            return super().repr1(x, level)
        except Exception:  # A foreign object's own `repr`, or an integer of 5,000 digits.
            return f"<{type(x).__name__}>"


def shown(value: Any) -> str:
    """A foreign value as an error names it: as `repr` does, shortened, on one line.

    Where a message quotes what stands in a file or on the command line, it has to come through
    here: a list of a million entries, a name with control characters or an integer of 5,000 digits
    would else be the message.
    """
    return printable(_ShortRepr().repr(value))


def reason(error: BaseException) -> str:
    """What an exception of a library says, shortened, on one line; its kind where it says nothing.

    For texts of foreign readers, which may quote the file.
    """
    try:
        text = printable(str(error))
    except Exception:
        text = ""
    return shortened(text, 200) or type(error).__name__


def printable(text: str) -> str:
    """A text on one line, with everything escaped that a terminal would not print."""
    words = " ".join(text.split())
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in words)


def shortened(text: str, limit: int) -> str:
    """A text of at most `limit` characters, with its middle left out."""
    if len(text) <= limit:
        return text
    mark = " ... "
    head = (limit - len(mark)) * 3 // 5
    return text[:head] + mark + text[len(text) - (limit - len(mark) - head) :]


def exit_with(message: object) -> NoReturn:
    """Ends the process as a user's mistake does: one line on standard error and exit code 2."""
    clear()
    print("error: " + shortened(printable(str(message)), MESSAGE_LIMIT), file=sys.stderr)
    sys.exit(USER_ERROR_EXIT_CODE)


def run_command(command: Callable[[], None]) -> None:
    """Runs a command's main function and ends as the exit codes of all commands say.

    - A `UserError`: one line, exit code 2.
    - Ctrl-C: one line, exit code 130. SIGTERM: one line, exit code 75. Where they are raised with a
      text (see `process.interruptible`), the line says what is saved.
    - A path without permission, or a standard output on a full disk: one line, exit code 2.
    - A standard output that was closed (a broken pipe): no line, exit code 141.
    - Devices that JAX cannot start: one line, exit code 2, whichever work needed them first.
    """
    try:
        with signals.raised():
            command()
        if sys.stdout is not None:
            sys.stdout.flush()
    except UserError as error:
        exit_with(error)
    except KeyboardInterrupt as stop:
        _say_what_is_saved("interrupted", stop)
        # In code that is made from a string, as dataclasses are, Python notes an interrupt for its
        # own end, which is by the signal then and not by the exit code; other such code forgets it.
        exec("")
        sys.exit(signals.INTERRUPTED_EXIT_CODE)
    except signals.Terminated as stop:
        _say_what_is_saved("stopped by SIGTERM", stop)
        sys.exit(signals.PREEMPTED_EXIT_CODE)
    except BrokenPipeError:
        _drop_standard_output()
        sys.exit(BROKEN_PIPE_EXIT_CODE)
    except OSError as error:
        # Any use of a path may find that there is no permission, or that the path is impossible.
        if error.errno in _PATH_ERRORS and error.filename is not None:
            exit_with(f"cannot use {shown(error.filename)}: {error.strerror}; check the path")
        # Files are written through `files.atomic_write`, which names them.
        if error.errno not in _WRITE_ERRORS or error.filename is not None:
            raise
        _drop_standard_output()
        exit_with(f"cannot write to the standard output: {error.strerror}; make room for it")
    except (RuntimeError, AssertionError):
        fault = _fault_of_devices()
        if fault is None:
            raise
        exit_with(fault)


def _fault_of_devices() -> str | None:
    """Why nothing of JAX works, if its devices cannot be started; nothing if they can.

    What it raises then depends on the platform and on who asks, so it is asked again. A command
    that has not imported it has not met it.
    """
    jax = sys.modules.get("jax")
    if jax is None:
        return None
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        platforms = jax.config.jax_platforms or "what it has found"
        return (
            f"JAX cannot compute on {platforms}: {(str(error) and reason(error)) or 'not found'}; "
            f"install what that takes, such as pip install 'jax[cuda13]=={jax.__version__}' (or "
            "cuda12, tpu), or say JAX_PLATFORMS=cpu"
        )
    return None


def _say_what_is_saved(what: str, stop: BaseException) -> None:
    saved = str(stop) or "nothing is left half-written; run the same command again"
    clear()
    print(f"{what}: {shortened(printable(saved), MESSAGE_LIMIT)}", file=sys.stderr)


def _drop_standard_output() -> None:
    """Keeps Python from a second try at its exit."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class CommandParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, without the usage text before it."""

    def __init__(self, **options):
        super().__init__(
            allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options
        )

    def error(self, message: str) -> NoReturn:
        """Reports a wrong command line; see `--help`."""
        exit_with(f"{message} (see {self.prog} --help)")
