# One line each for what a newcomer and CI do. Every target that needs an environment sets it up first; a second time
# that takes a second.
#
#   SET=classic   torch 2.1 and the original toolboxes, in .venv-classic, instead of the modern set
#   VENV=/path    another environment; one that was not made here is used as it is, and never changed
#   PYTHON=...    the interpreter to make the environment with
#   TASK=...      classification (default), detection, segmentation, pose or all

SET ?= modern
VENV ?= .venv$(if $(filter classic,$(SET)),-classic)
PYTHON ?=
TASK ?= classification
ARGS ?=

RUN = PYTHONPATH="$(CURDIR)$${PYTHONPATH:+:$$PYTHONPATH}" "$(VENV)/bin/python"
# Any Python 3 can start the set-up; it looks for a fit one itself.
SETUP = boot="$(PYTHON)"; "$${boot:-python3}" -V >/dev/null 2>&1 || boot=python3; \
	command -v python3 >/dev/null || command -v "$$boot" >/dev/null || \
	{ echo "error: no Python: install 3.11 (Debian, Ubuntu: apt-get install python3.11 python3.11-venv)" >&2; exit 2; }; \
	PYTHON="$(PYTHON)" "$${boot:-python3}" tools/misc/setup_env.py --set "$(SET)" --venv "$(VENV)"
# Two OpenMP pools on two cores wait for each other by spinning. An environment of the user's own may lack xdist.
PYTEST = two=$$($(RUN) -c "import xdist" 2>/dev/null && echo "-n 2 --dist worksteal"); OMP_NUM_THREADS=1 $(RUN) -m pytest $$two

.PHONY: help demo setup doctor test test-slow test-classic lint docs docs-check clean

help:
	@echo "make demo [TASK=classification|detection|segmentation|pose|all]   train, evaluate and draw on the tiny real data"
	@echo "make setup [TASK=...]   only set the environment up"
	@echo "make doctor             what is installed, what does not fit, and the line that mends it"
	@echo "make test               unit and end-to-end tests; make test-slow: those that take minutes"
	@echo "make test-classic       the same tests under torch 2.1 and the original toolboxes, Python 3.10, in .venv-classic"
	@echo "make lint               ruff and mypy"
	@echo "make docs               writes the generated tables and headers; make docs-check: they are up to date"
	@echo "make clean              removes what was built and cached here, neither environment nor results"
	@echo "VENV=/path uses another environment, PYTHON=... another interpreter to make it with"

demo:
	@$(SETUP) --for "$(TASK)"
	@$(RUN) tools/misc/demo.py --task "$(TASK)" $(ARGS)

setup:
	@$(SETUP) --for "$(if $(filter command line environment,$(origin TASK)),$(TASK),all)"

doctor:
	@test -x "$(VENV)/bin/python" || { echo "error: there is no environment $(VENV): make setup" >&2; exit 2; }
	@$(RUN) -m moganet.doctor $(ARGS)

test:
	@$(SETUP) --for test
	@$(PYTEST) $(ARGS)

test-slow:
	@$(SETUP) --for test
	@$(PYTEST) -m slow $(ARGS)

# By hand, and before a release: not what CI runs.
test-classic: SET = classic
test-classic: test

lint:
	@$(SETUP) --for test
	@$(RUN) -m ruff check .
	@$(RUN) -m mypy

docs:
	@$(SETUP) --for test
	@$(RUN) tools/misc/generate_docs.py $(ARGS)

docs-check:
	@$(SETUP) --for test
	@$(RUN) tools/misc/generate_docs.py --check

clean:
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +
