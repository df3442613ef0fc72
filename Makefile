# HMS-assistenten: `make run` serves the chat, `make test` runs every test. Both set up .venv by themselves the first time.
# PYTHON=python3.12 chooses the Python that makes .venv; ARGS="--port 8000" goes to the program (or to pytest).

PYTHON ?= python3
ARGS ?=
VENV := .venv
PY := $(VENV)/bin/python

export PYTHONUTF8 ?= 1
export TOKENIZERS_PARALLELISM ?= false
# Nothing may look for a model hub or report usage at start.
export HF_HUB_OFFLINE ?= 1
export ANONYMIZED_TELEMETRY ?= False
export GRADIO_ANALYTICS_ENABLED ?= False

# A stamp names the lock files' checksum and is written after a successful install only. `.installing` stays behind when an
# install was cut off: such a .venv may hold half a package that pip takes for a whole one, so it is made anew.
RUN_STAMP = $(VENV)/.run-$(shell cksum < requirements.lock | cut -d ' ' -f 1)
DEV_STAMP = $(VENV)/.dev-$(shell cat requirements.lock requirements-dev.lock | cksum | cut -d ' ' -f 1)
CUT_OFF = $(VENV)/.installing
ENOUGH = import sys; sys.exit(sys.version_info < (3, 11))
SOUND = import pip, sys; sys.exit(sys.version_info < (3, 11))

.PHONY: run test test-alone test-cluster check eval bench lock clean venv install-run install-dev

run: install-run
	@$(PY) app.py $(ARGS)

test: install-dev
	$(PY) -m pytest -n 2 --dist loadfile -m "not alone and not cluster" $(ARGS)

# What is timed by the wall clock, on a machine that does nothing else.
test-alone: install-dev
	$(PY) -m pytest -s -m alone $(ARGS)

# Two replicas, Chroma's server, PostgreSQL, Redis and nginx under load, eight minutes and more; LOAD_SECONDS=30 for a first look.
test-cluster: install-dev
	$(PY) -m pytest -s -m 'cluster or not cluster' tests/test_cluster.py $(ARGS)

check: install-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

eval: install-dev
	$(PY) -m eval report $(ARGS)

bench: install-dev
	$(PY) -m eval bench $(ARGS)

venv:
	@if [ -e $(CUT_OFF) ] || ! $(PY) -c '$(SOUND)' 2>/dev/null; then \
		command -v $(PYTHON) >/dev/null 2>&1 || \
			{ echo 'Python 3.11 or newer is needed, and there is no $(PYTHON) here; install it, or name one: make run PYTHON=python3.12' >&2; exit 1; }; \
		$(PYTHON) -c '$(ENOUGH)' || \
			{ echo "Python 3.11 or newer is needed, but $(PYTHON) is $$($(PYTHON) -V 2>&1); name a newer one: make run PYTHON=python3.12" >&2; exit 1; }; \
		echo 'Creating $(VENV) with $(PYTHON) ...'; \
		$(PYTHON) -m venv --clear $(VENV) || \
			{ echo 'Could not create $(VENV); on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }; \
	fi

install-run: venv
	@if [ ! -e $(RUN_STAMP) ]; then \
		echo 'Installing the pinned packages of requirements.lock into $(VENV) (some minutes the first time) ...'; \
		rm -f $(VENV)/.run-* $(VENV)/.dev-*; touch $(CUT_OFF); \
		$(PY) -m pip install -qq --disable-pip-version-check --no-input -r requirements.lock && rm $(CUT_OFF) && touch $(RUN_STAMP); \
	fi

install-dev: install-run
	@if [ ! -e $(DEV_STAMP) ]; then \
		echo 'Installing the pinned test packages of requirements-dev.lock into $(VENV) ...'; \
		rm -f $(VENV)/.dev-*; touch $(CUT_OFF); \
		$(PY) -m pip install -qq --disable-pip-version-check --no-input -r requirements-dev.lock && rm $(CUT_OFF) && touch $(DEV_STAMP); \
	fi

# The lock files are what pip resolves for pyproject.toml in an empty environment: no hashes and no "+cpu", since torch's
# build differs by platform. The two markers are the packages that only some platforms or Pythons have.
LOCK = out/lock
FREEZE = $(LOCK)/bin/python -m pip freeze --all --exclude pip | sed -e 's/+cpu$$//' -e '/^nvidia-/d' -e '/^triton==/d' -e 's/^uvloop==.*/& ; sys_platform != "win32"/'
LISTED = import sys, tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	print(*(p["optional-dependencies"]["dev"] if sys.argv[1:] else p["dependencies"]), sep="\n")

lock:
	@echo 'Resolving pyproject.toml in an empty environment ...'
	@mkdir -p out && $(PYTHON) -m venv --clear $(LOCK)
	@$(LOCK)/bin/python -c '$(LISTED)' > $(LOCK)/run.in
	@$(LOCK)/bin/python -c '$(LISTED)' dev > $(LOCK)/dev.in
	@$(LOCK)/bin/python -m pip install -qq -r $(LOCK)/run.in
	@{ echo '# Made by `make lock` from the dependencies in pyproject.toml, with everything they need. Do not edit.'; \
		{ $(FREEZE); echo 'audioop-lts==0.2.2 ; python_version >= "3.13"'; } | LC_ALL=C sort -f; } > $(LOCK)/requirements.lock
	@$(LOCK)/bin/python -m pip install -qq -r $(LOCK)/requirements.lock -r $(LOCK)/dev.in
	@{ echo '# Made by `make lock` from the extra "dev" in pyproject.toml: what the tests need beside requirements.lock. Do not edit.'; \
		echo '-r requirements.lock'; $(FREEZE) | LC_ALL=C sort -f | grep -vxFf $(LOCK)/requirements.lock; } > $(LOCK)/requirements-dev.lock
	@mv $(LOCK)/requirements.lock $(LOCK)/requirements-dev.lock . && rm -r $(LOCK)
	@echo 'Wrote requirements.lock and requirements-dev.lock.'

clean:
	rm -rf $(VENV) $(LOCK) build .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find app.py assistant corpus eval tests -name __pycache__ -type d -prune -exec rm -rf {} +
