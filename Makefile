# `make check test` is what CI runs. The environment is made on first use.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
COMFYUI := $(shell $(PYTHON) -m comfyui_host.find)
READY := $(VENV)/.ready$(if $(COMFYUI),-with-comfyui)

.PHONY: bench check check-style check-types check-pack test test-slow test-versions test-browser demo demo-comfyui comfyui clean

# Two at a time. All of them run, whichever fails; each one's output stays together where make can do that.
check: $(READY)
	@$(MAKE) --no-print-directory -j2 -k $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) check-types check-style check-pack

check-style: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check-types: $(READY)
	$(BIN)/pyright

check-pack: $(READY)
	$(BIN)/python -m scripts.check_pack $(COMFYUI)

# Two workers. The tests of a file go to one of them, since they share what is costly to make.
test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# What takes minutes: the largest pictures, compilation, whole datasets.
test-slow: $(READY)
	OMP_NUM_THREADS=$(shell $(PYTHON) -c 'import os; print(os.cpu_count())') $(BIN)/python -m pytest -m slow

# The host tests in each of these ComfyUIs: make test-versions COMFYUI_VERSIONS="~/comfyui-a ~/comfyui-b"
test-versions: $(READY)
	$(BIN)/python -m scripts.run_versions $(COMFYUI_VERSIONS)

# The pack in ComfyUI's page. Chromium must be there (on Debian: apt-get install chromium); screenshots in build/browser.
test-browser: comfyui $(READY)
	$(BIN)/pip install --quiet playwright
	$(BIN)/python -m pytest -m browser tests/browser

# Real edits by the small model that comes with the pack, without ComfyUI. The sheet goes to build/demo.
demo: $(READY)
	$(BIN)/python -m scripts.demo build/demo

# The same edits by a real ComfyUI server, with workflows/try_it_small.json.
demo-comfyui: comfyui $(READY)
	$(BIN)/python -m scripts.demo_comfyui $(COMFYUI)

# What the relation costs, in time and memory, and how far fast recipes are from exact ones: three hours on 2 quiet cores
# and 13 GB of disk; with QUICK=1 less, for what has a bound. PARTS=steps, weights or edits measures one part.
# DTYPES=float32 is for processors without instructions for bfloat16. Tables, numbers and charts go to build/bench; the
# tables of the recipes are printed.
bench: comfyui $(READY)
	$(BIN)/python -m benchmarks $(if $(QUICK),--sizes quick) $(if $(PARTS),--parts $(PARTS)) $(if $(DTYPES),--dtypes $(DTYPES))
	$(if $(QUICK)$(PARTS),,$(BIN)/python -m benchmarks.recipes)

comfyui:
ifeq ($(COMFYUI),)
	@echo "This needs a ComfyUI, and none was found. Get one with" >&2
	@echo "  git clone https://github.com/Comfy-Org/ComfyUI ~/ComfyUI" >&2
	@echo "or name the folder of yours: COMFYUI_PATH=/path/to/ComfyUI make $(MAKECMDGOALS)" >&2
	@exit 1
endif

# With a ComfyUI at hand, its own requirements too; torchaudio without its own pin on torch.
$(READY): requirements-dev.txt Makefile $(wildcard $(COMFYUI)/requirements.txt)
	$(PYTHON) -m venv $(VENV)
ifneq ($(COMFYUI),)
	$(BIN)/pip install --quiet torch torchvision
	$(BIN)/pip install --quiet --no-deps torchaudio
	$(BIN)/pip install --quiet -r $(COMFYUI)/requirements.txt
else
	$(BIN)/pip install --quiet torch
endif
	$(BIN)/pip install --quiet -r requirements-dev.txt
	touch $@

clean:
	rm -rf $(VENV) build .pytest_cache .ruff_cache
