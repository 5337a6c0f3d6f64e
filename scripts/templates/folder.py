"""One relation for every picture of a folder."""

from __future__ import annotations

from dataclasses import replace

from .template import Group, Node, Template, adapted
from .transfer import MODELS, NODES, PAIR, RESULT, SAMPLING

SOURCES = "relation_sources"

START_NOTE = f"""## A whole folder of pictures

**1** Put the pictures into `input/{SOURCES}/`, or create your own folder there, press **R** and choose it in *Load \
Image (from Folder)*.  **2** Choose the pair, and describe the edit in a sentence.  **3** Press **Run** once: it edits \
every picture, one after the other. The pair is encoded once.

Results and comparisons are in `output/relation_folder/`, numbered in the order of the folder's files.
"""

SOURCE_NOTE = """The pictures may differ in size: each keeps its proportions, with a long side of **512 pixels**. All \
are decoded into memory first, so use a few hundred at a time.

**New pictures?** ComfyUI does not look twice into a folder that it has read. Put them into a new folder, or restart it.

**Which result belongs to which source?** The comparisons show each source beside its result.

**A video?** In place of *Sources*: *Load Video*, *Get Video Components*, and *Rebatch Images* with *batch_size* 1. \
After *VAE Decode*: *Rebatch Images* with *batch_size* 4096, *Create Video* with the components' *fps*, and *Save \
Video*. Every frame is edited with the same relation and seed.

**A different prompt for each picture?** Use the workflow *relation_dataset*.
"""

FOLDER = Template(
    "relation_folder",
    [
        *adapted(
            NODES,
            {
                "start": {"title": "A folder of sources", "widgets": {"text": START_NOTE}},
                "source_encode": {"links": {"image": "sources.images"}},
                "source_note": {"box": (380, 872, 300, 258), "title": "The folder", "widgets": {"text": SOURCE_NOTE}},
                "comparison": {"links": {"source": "sources.images"}},
                "save": {"title": "Results", "widgets": {"filename_prefix": "relation_folder/result"}},
            },
            without=("source", "show"),
        ),
        Node("sources", "LoadImageDataSetFromFolder", (380, 740, 300, 82), "Sources", {"folder": SOURCES}),
        Node(
            "show",
            "SaveImage",
            (2410, 400, 420, 320),
            "Comparisons",
            {"filename_prefix": "relation_folder/comparison"},
            {"images": "comparison.image"},
        ),
    ],
    [
        MODELS,
        PAIR,
        Group("3  The sources and the prompt", ("sources", "prompt", "guidance", "source_encode", "source_note")),
        SAMPLING,
        replace(RESULT, title="5  The results"),
    ],
    places=(f"input/{SOURCES}/example.png",),
)
