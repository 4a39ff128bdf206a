# What a newcomer, a developer and CI run. `make` alone lists it.
#
# `setup` holds what a node needs; what only checks and tests need is installed when they are first called.
# Stamps make a second call cheap: each names what it was made from.

BIN := .venv/bin
STAMPS := .venv/stamps
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-build-isolation
PYTEST := $(BIN)/python -m pytest

# With it set, every process (each node, each worker of the tests) would compile the whole source anew.
unexport PYTHONDONTWRITEBYTECODE
# As every command of ours says for itself: a second thread of numpy's linear algebra waits by turning, on cores that others want.
export OPENBLAS_NUM_THREADS := 1

.DEFAULT_GOAL := help
.PHONY: help bench-scripts setup setup-dev ready chromium faults demo test check check-lint check-types check-house bench soak bundle lock reference clean distclean page warm

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

# What waits for the network, for npm and for a compiler goes side by side.
ABREAST := @$(MAKE) --silent --no-print-directory --output-sync=line --jobs

setup: $(STAMPS)/project ## install what a node needs into .venv, build the page, warm the numba cache
	$(ABREAST) 3 page warm $(STAMPS)/bytes

setup-dev: $(STAMPS)/project
	$(ABREAST) 4 page warm $(STAMPS)/bytes $(STAMPS)/dev

ready: $(STAMPS)/project
	$(ABREAST) 6 page warm $(STAMPS)/bytes $(STAMPS)/compare chromium faults

chromium:
	@sh tools/chromium.sh

# Two of apt at once would wait for each other.
faults: chromium
	@sh tools/faults.sh

demo: setup ## three nodes, three pages, one exercise; Ctrl-C ends all of it
	$(BIN)/trilat demo

check: setup-dev ## what CI checks without running the system: lint, types, import contracts, house rules
	$(ABREAST) 3 check-lint check-types check-house

check-lint: $(STAMPS)/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check --quiet
	$(BIN)/lint-imports --no-cache

check-types: $(STAMPS)/dev
	$(BIN)/mypy

check-house: $(STAMPS)/dev
	$(PYTEST) -q -n 0 tests/house

# The checkers need neither kernels nor page: they run while those are made. The house rules are tests among the others.
# Three workers on two cores: tests of whole nodes wait a good part of their time.
test: $(STAMPS)/project ## every check and every test
	$(ABREAST) 8 check-lint page warm check-types $(STAMPS)/bytes $(STAMPS)/compare chromium faults
	$(PYTEST) -q -n 3 --dist loadscope --no-loadscope-reorder

# Hours: one that fails keeps none of the others from being measured.
bench: setup-dev $(STAMPS)/compare ## measure this machine at full size
	@failed=""; for script in $$($(MAKE) --silent --no-print-directory bench-scripts); do echo "== $$script"; \
		$(BIN)/python "$$script" || failed="$$failed $$script"; done; \
		if [ -n "$$failed" ]; then echo "bench: failed:$$failed" >&2; exit 1; fi

# Those that run by themselves take --tiny, too; the others are parts of one, or want arguments.
bench-scripts:
	@grep -l -e '--tiny' benchmarks/[a-z]*.py | xargs grep -l '__name__ == "__main__"'

soak: ready ## the long proofs
	$(PYTEST) -q -m soak

bundle: setup ## a wheelhouse for a machine without network
	$(BIN)/python tools/bundle.py

lock: setup ## write requirements/*.txt anew (needs the network and pip-tools)
	$(BIN)/python tools/lock.py

reference: setup ## write docs/reference/ anew from the code
	$(BIN)/python tools/reference.py
	$(BIN)/python tools/exchange_vectors.py

clean: ## remove what was built; .venv stays
	rm -rf build dist wheelhouse src/trilat/picture/static .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
	rm -f $(STAMPS)/warm

distclean: clean ## remove .venv and the page's modules too
	rm -rf .venv src/trilat/picture/page/node_modules

$(STAMPS)/python: tools/venv.sh
	@PYTHON="$(PYTHON)" sh tools/venv.sh
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/runtime: $(STAMPS)/python requirements/build.txt requirements/runtime.txt
	@echo "install: what a node runs on (requirements/runtime.txt)"
	@$(PIP) --no-compile -r requirements/build.txt
	@$(PIP) --no-compile -r requirements/runtime.txt
	@touch $@

# pip would compile to bytes on one core, before anything else could begin. Compiled is what ours import, a tenth of what is installed.
$(STAMPS)/bytes: $(STAMPS)/project
	@$(BIN)/python -m compileall -q src || true
	@$(BIN)/python tools/imported.py
	@touch $@

$(STAMPS)/project: $(STAMPS)/runtime pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Not compiled to bytes when installed: most of what only checks and tests use is never imported.
$(STAMPS)/dev: $(STAMPS)/project requirements/dev.txt
	@echo "install: what checks and tests use (requirements/dev.txt)"
	@$(PIP) --no-compile -r requirements/dev.txt
	@touch $@

$(STAMPS)/compare: $(STAMPS)/dev requirements/compare.txt
	@echo "install: what we compare with (requirements/compare.txt)"
	@$(PIP) --no-compile -r requirements/compare.txt
	@touch $@

page: $(STAMPS)/runtime
	@$(BIN)/python hatch_build.py

warm: $(STAMPS)/warm

$(STAMPS)/warm: $(STAMPS)/project $(wildcard src/trilat/kernels/*.py)
	@echo "numba: compiling the kernels into their cache (one to three minutes, once)"
	@printf '%s\n' engine tracks ballistic fusion information arc asterix_plots polygon | xargs -n 1 -P 2 $(BIN)/python -m trilat.kernels.warm
	@touch $@
