"""A command that has workers do jobs: ``python -m tests.divided_work FOLDER PROCESSES JOB...``."""

from __future__ import annotations

import logging
import os
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from relation_core.errors import RelationAdapterError
from relation_tools.ending import ending_cleanly
from relation_tools.workers import divided

FOR_EVER = 3600.0


def work(folder: Path, job: str) -> str:
    """Do a job, whose name says how: it leaves ``JOB.done``, and ``JOB.begun`` until its worker ends or is killed."""
    kind, begun = job.partition("-")[0], folder / f"{job}.begun"
    try:
        begun.touch()
        if kind == "endless":
            time.sleep(FOR_EVER)
        while kind == "stubborn":
            with suppress(KeyboardInterrupt):
                time.sleep(FOR_EVER)
        if kind == "wrong":
            raise OSError(5, "It went wrong", job)
        (folder / f"{job}.done").touch()
        return f"{job} by {os.getpid()}"
    finally:
        begun.unlink(missing_ok=True)


def main(folder: Path, processes: int, jobs: list[str]) -> int:
    """Print the results. Requests to end and errors end it as they end the commands."""
    try:
        with ending_cleanly(), divided([partial(work, folder)] * processes, jobs) as done:
            for job, result in done:
                print(job, result, flush=True)
    except KeyboardInterrupt:
        return 130
    except (RelationAdapterError, OSError) as error:
        logging.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
