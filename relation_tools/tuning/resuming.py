"""Going on with a learning that was interrupted."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from relation_core.tuning.learner import Learner
from relation_core.tuning.settings import TuningError

from ..training.run_state import going_on, load_state, save_state, saved_states

_IDENTITY = "identity"
_KEYS = (_IDENTITY, "tokens", "optimizer", "best", "losses", "checks")


def resume(learner: Learner, states: Path, identity: str) -> bool:
    """Bring a learner to where an earlier run stopped; False where there was none.

    Args:
        learner: one that has taken no step.
        states: the folder of the earlier run's state.
        identity: of all that the result depends on.

    Raises:
        TuningError: the state is of other pairs, models or settings.
        CheckpointError: it is damaged.
    """
    state = load_state(states, _KEYS)
    if state is None:
        return False
    if state[_IDENTITY] != identity:
        raise TuningError(
            f"{states} holds the start of another run: other pairs, models or settings. Expected "
            "the same. Give the same options to continue it, or --overwrite to start over."
        )
    with going_on(states):
        learner.load(state)
    return True


def keep(learner: Learner, states: Path, identity: str) -> None:
    """Write what :func:`resume` goes on from.

    Raises:
        CheckpointError: it cannot be written.
    """
    save_state(states, learner.step, {**learner.state(), _IDENTITY: identity}, keep=1)


def remove_states(folder: Path) -> None:
    """Remove the states of a run; the folder stays if it holds anything else."""
    for state in saved_states(folder):
        state.unlink(missing_ok=True)
    with suppress(OSError):  # it is not there, or not empty
        folder.rmdir()
