# make demo   every published system beside its JAX counterpart, with figures, into results/
# make readme  the table of the last `make demo` in README.md
# make test   the tests
# make test-quick  those that start no process and take no more than a second (a minute)
# make test-peers  the tests with PyTorch, flax, equinox and Keras, and all examples, in .venv-peers (2 GB)
# make test-next  the tests with the newest pre-release of JAX, if there is one, in .venv-next
# make fuzz   10,000 spoilt files against the readers of the oracle (FUZZ_SEED= for other ones)
# make faults  500 faults of programs under `drive` (FAULTS= for more)
# make test-browser  reports and notebooks in headless Chromium, installed if it is missing (as root), with axe-core (npm)
# make lint   ruff and mypy
# make docs   the documentation as a site, in build/site; a broken link or reference ends it
# make dist   wheel and sdist, checked, and every command of the wheel in an empty environment: dist/ (minutes)
# make certify  the hand-written gradients, autodiff and NumPy against certified digits: docs/measured/certification.md
# make verdicts  how often right is called wrong, and wrong overlooked: docs/measured/verdicts.md (an hour)
# make anything   right and wrong backwards of any function, by PyTorch where it is there: docs/measured/anything.md (hours)
# make diagnosis  how often mistakes are named, of people's programs and planted ones: docs/measured/diagnosis.md (4 hours)
# make vectors  the conformance vectors anew: functional_mlp/vectors (minutes); vectors-archive packs them into dist/
# make conformance  who passes the vectors: docs/measured/conformance.md
# make mutations  which mistakes the vectors alone catch: docs/measured/mutation.md
# make bench  speed, every competitor side by side, in .venv-bench (2 GB): speed.md, choices.txt, growth.txt and
#             growth.png in docs/measured; the gradient checkers (35 minutes)
# make soak   200 kills at random moments, of trainings and sweeps that must come to the same bits (20 minutes)
# make accelerator  the workloads on the device that JAX finds, and a kernel that keeps parameters on a GPU's chip
# Each creates .venv when it is missing; PYTHON= selects the interpreter, VENV= the place.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PEERS ?= .venv-peers
BENCH ?= .venv-bench
NEXT ?= .venv-next
PUBLISHING ?= .venv-publishing
SITE ?= .venv-docs
FAULTS ?= 500
PYTEST_ARGS ?= -n auto --dist loadfile --no-loadscope-reorder

.PHONY: demo readme test test-quick test-peers test-next test-browser fuzz faults soak lint certify verdicts anything programs diagnosis vectors vectors-archive conformance mutations bench accelerator docs dist clean
.DELETE_ON_ERROR:

# the extras are installed once; a change of pyproject.toml or constraints.txt installs them again
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[all]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/python -m experiments --out results --overwrite

readme: $(VENV)/installed
	$(BIN)/python -m tools.readme_table results/table.txt

test: $(VENV)/installed
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-quick: $(VENV)/installed
	$(BIN)/python -m pytest $(PYTEST_ARGS) -m 'not slow'

$(PEERS)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[all,peers]'
	touch $@

test-peers: $(PEERS)/installed
	EXAMPLES_IN_FULL=1 $(PEERS)/bin/python -m pytest $(PYTEST_ARGS) tests/peers tests/examples

# without the constraints, and each time anew: what is newest changes
test-next:
	test -d $(NEXT) || $(PYTHON) -m venv $(NEXT)
	$(NEXT)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --editable '.[all]'
	$(NEXT)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --pre jax jaxlib
	$(NEXT)/bin/python -c 'import jax, jaxlib; print("jax", jax.__version__, "jaxlib", jaxlib.__version__)'
	$(NEXT)/bin/python -m pytest $(PYTEST_ARGS)

fuzz: $(VENV)/installed
	FUZZ_MUTATIONS=10000 $(BIN)/python -m pytest tests/oracle/documents/test_fuzz.py

faults: $(VENV)/installed
	$(BIN)/python -m tools.stress.fault_injection --count $(FAULTS)

test-browser: $(VENV)/installed
	sh tools/install_chromium.sh
	$(BIN)/python -m pytest tests/oracle/report/html/test_page_in_browser.py tests/examples/test_notebook_in_browser.py

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs:
	test -d $(SITE) || $(PYTHON) -m venv $(SITE)
	$(SITE)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt 'mkdocs-material>=9.6' 'mkdocstrings[python]>=0.29'
	NO_MKDOCS_2_WARNING=1 $(SITE)/bin/python -m mkdocs build

dist:
	test -d $(PUBLISHING) || $(PYTHON) -m venv $(PUBLISHING)
	$(PUBLISHING)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt build twine
	$(PUBLISHING)/bin/python -m tools.distribution

certify: $(VENV)/installed
	$(BIN)/python -m benchmarks.accuracy.certification
	$(BIN)/python -m benchmarks.accuracy.certification.operations

verdicts: $(VENV)/installed
	$(BIN)/python -m benchmarks.accuracy.verdicts --output docs/measured/verdicts.md

anything: $(VENV)/installed
	mkdir -p results
	$(BIN)/python -m benchmarks.accuracy.anything --rows results/anything.jsonl --output docs/measured/anything.md

programs: $(VENV)/installed
	$(BIN)/python -m benchmarks.accuracy.programs --output docs/measured/programs.md

diagnosis: $(VENV)/installed
	$(BIN)/python -m benchmarks.accuracy.diagnosis --output docs/measured/diagnosis.md

vectors: $(VENV)/installed
	$(BIN)/python -m tools.vectorgen
	$(BIN)/python -m tools.vectorgen.operations

vectors-archive: $(VENV)/installed
	$(BIN)/python -m tools.vectorgen.archive

conformance: $(VENV)/installed
	$(BIN)/python -m benchmarks.accuracy.conformance --output docs/measured/conformance.md

mutations: $(VENV)/installed
	$(BIN)/python -m benchmarks.accuracy.mutation --output docs/measured/mutation.md

$(BENCH)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	touch $@

bench: $(BENCH)/installed
	$(BENCH)/bin/python -m benchmarks.speed --json results/bench.json --output docs/measured/speed.md
	$(BENCH)/bin/python -m benchmarks.speed.choices > docs/measured/choices.txt
	$(BENCH)/bin/python -m benchmarks.speed.growth --overwrite > docs/measured/growth.txt
	cp results/growth/growth.png docs/measured/growth.png
	$(BENCH)/bin/python -m benchmarks.speed.gradient_checkers
	$(BENCH)/bin/python -m benchmarks.speed.first_answer

soak: $(VENV)/installed
	$(BIN)/python -m tools.stress.soak

accelerator: $(VENV)/installed
	$(BIN)/python -m benchmarks.speed.accelerator
	$(BIN)/python -m benchmarks.speed.resident --networks 1024 --samples 140

clean:
	rm -rf $(VENV) $(PEERS) $(BENCH) $(NEXT) results build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
