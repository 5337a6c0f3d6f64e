"""The nodes: glue between ComfyUI and :mod:`relation_core`, one file per concern."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .apply_relation_adapter import ApplyRelationAdapter
from .blend_relations import BlendRelations
from .folders import register_folders
from .load_relation import LoadRelation
from .load_relation_adapter import LoadRelationAdapter
from .load_relation_sample import LoadRelationSample
from .load_small_relation_model import LoadSmallRelationModel
from .relation_comparison import RelationComparison
from .relation_empty_prompt import RelationEmptyPrompt
from .relation_example import RelationExample
from .relation_exemplar_encode import RelationExemplarEncode
from .relation_keep import RelationKeep
from .relation_scheduler import RelationScheduler
from .relation_source_encode import RelationSourceEncode
from .relation_source_reuse import RelationSourceReuse
from .relation_watch import RelationWatch
from .relation_watch_picture import RelationWatchPicture
from .save_relation import SaveRelation
from .split_image_pair import SplitImagePair
from .tune_relation import TuneRelation


class RelationAdapterExtension(ComfyExtension):
    """The extension that ComfyUI loads."""

    async def on_load(self) -> None:
        """Register the pack's model folder."""
        register_folders()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """List the nodes, in the order of use."""
        return [
            LoadRelationAdapter,
            RelationExemplarEncode,
            RelationSourceEncode,
            ApplyRelationAdapter,
            RelationScheduler,
            RelationSourceReuse,
            RelationKeep,
            RelationWatch,
            RelationWatchPicture,
            BlendRelations,
            SaveRelation,
            LoadRelation,
            TuneRelation,
            SplitImagePair,
            RelationComparison,
            LoadRelationSample,
            RelationEmptyPrompt,
            LoadSmallRelationModel,
            RelationExample,
        ]
