"""The shipped workflows. Nodes are arranged here, never in the JSON."""

from __future__ import annotations

from .controlnet import CONTROLNET
from .dataset import DATASET_RUN
from .fast import FAST
from .folder import FOLDER
from .fp8 import FP8
from .pairs_mask import PAIRS_MASK
from .saved_relations import REUSE, SAVE
from .second_pass import SECOND_PASS
from .simple import SIMPLE
from .transfer import TRANSFER
from .try_it import TRY_IT
from .try_it_tune import TRY_IT_TUNE
from .tune import TUNE

TEMPLATES = (
    TRY_IT,
    TRY_IT_TUNE,
    SIMPLE,
    TRANSFER,
    FAST,
    TUNE,
    PAIRS_MASK,
    SAVE,
    REUSE,
    CONTROLNET,
    SECOND_PASS,
    FOLDER,
    DATASET_RUN,
    FP8,
)
