"""What commands show: every line is one line, with nothing in it that a terminal would obey."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable

from relation_core.errors import printable


class OneLine(logging.Formatter):
    """Formats a record as one line, whatever names and texts of strangers are in it."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the message, and a traceback below it where there is one."""
        message = printable(record.getMessage())
        return f"{message}\n{self.formatException(record.exc_info)}" if record.exc_info else message


def show_log() -> None:
    """Show what is logged on the error stream, unless it is shown somewhere already."""
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine())
    logging.basicConfig(handlers=[handler])
    for package in ("relation_core", "relation_tools"):
        logging.getLogger(package).setLevel(logging.INFO)  # and of libraries only warnings


def print_lines(lines: Iterable[str]) -> None:
    """Write lines to the output stream.

    Raises:
        OSError: they cannot be written.
    """
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))
