# Two commands do everything on a fresh machine: `make demo` and `make test`. `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
STUDY ?= demo
ARGS ?=

.PHONY: install demo test test-long lint report help
.SECONDARY:

install: .venv/installed  ## Install into .venv

.venv/installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit("poserep needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing (several GB, a few minutes) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
	@echo "done; . .venv/bin/activate makes the command poserep known to this shell"

demo: reproduce-demo  ## Draw people, train three representations on them, compare (15 minutes on 2 cores)

test: install  ## Run the tests; real photographs too, if POSEREP_REAL_DATA names their folder
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

test-long: install  ## The tests that take minutes each: a sweep killed ten times, Ray, ...
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m long $(ARGS)

lint: install  ## Style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

report: install  ## Table and page of a study: make report STUDY=demo
	@$(BIN)/poserep report $(STUDY)

# The report follows even if a cell has failed: it says which, and why. Not if the table was refused.
reproduce-%: sweeps/%.yaml install  ## Run a table of sweeps/ and report it; finished cells are skipped
	@$(BIN)/poserep sweep run $* $(ARGS); \
	  code=$$?; test $$code -ne 2 || exit 2; $(BIN)/poserep report $(or $(patsubst study=%,%,$(filter study=%,$(ARGS))),$*) && exit $$code

# Measured, not trained, and all in one process.
reproduce-quantisation: sweeps/quantisation.yaml install
	@$(BIN)/python -m poserep.studies.quantisation_error --config-dir sweeps --config-name quantisation $(ARGS)

# Counted, not trained.
reproduce-cost: sweeps/cost.yaml install
	@$(BIN)/python -m poserep.studies.published_costs --config-dir sweeps --config-name cost $(ARGS)

# The ladder's runs, then their evaluations with other scores.
reproduce-scores: sweeps/scores.yaml install
	@$(BIN)/poserep sweep run scores $(ARGS) && $(BIN)/python -m poserep.studies.score_rules $(filter study=% runs=%,$(ARGS))

# Timed, not trained; ARGS=--record keeps the numbers in results/.
reproduce-simdr-table4: sweeps/cost.yaml install
	@$(BIN)/python benchmarks/deconvolution_speed.py $(ARGS)

reproduce-srpose-fig7: sweeps/srpose-fig7.yaml install
	@$(BIN)/python benchmarks/search_speed.py $(ARGS)

bench-%: benchmarks/%.py install  ## Speed, side by side: make bench-codecs, make bench-training ARGS="..."
	@$(BIN)/python benchmarks/$*.py $(ARGS)

help:  ## This list
	@grep -hE '^[a-z%-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-14s %s\n", $$1, $$2}'
	@echo "tables (make reproduce-NAME, with ARGS=\"key=value ...\" to change them), their runs and GPU-hours:"
	@awk -F, 'FILENAME == ARGV[1] {runs[$$1] = $$3; hours[$$1] = $$7; if ($$6 != "") by = $$6; next} \
	  FNR == 1 {name = FILENAME; gsub(/.*\/|\.yaml/, "", name); h = hours[name]; \
	    printf "  %-14s %4s %7s  %s\n", name, (runs[name] > 0 ? runs[name] : "-"), \
	      (h + 0 == 0 ? "-" : (h < 0.1 ? "<0.1 h" : h " h")), substr($$0, 3)} \
	  END {print "GPU-hours of training " (by ~ /^assumed/ ? "at an " by ": no GPU was measured" : "on one " by) \
	    "; operations, and days on a CPU: poserep sweep budget NAME"}' results/budget.csv sweeps/*.yaml
