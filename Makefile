# Immich with Pulumi: `make help` lists what there is.

STACK ?= dev
ifndef PYTHON
# The first that really runs and is new enough: a name on PATH may be a shim of a version that is not installed.
PYTHON := $(shell for name in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$name" && break; done)
endif
VENV_PYTHON := .venv/bin/python
RUN := $(VENV_PYTHON) -m
SHELL := /bin/sh
NO_PYTHON := Python 3.11 or newer is needed and none was found: install it, or name it with PYTHON=...
NEED_PYTHON = $(if $(PYTHON),,echo "$(NO_PYTHON)" >&2; exit 1;)

# Without its compiled form the program is compiled anew in each of the interpreters that the CLI starts.
unexport PYTHONDONTWRITEBYTECODE

ifdef KUBECONFIG
export KUBECONFIG
endif

# Names of photos may have any character in them: neither make nor the shell looks into these.
export FILE FROM TARGET SECRETS

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev up preview refresh destroy render adopt backup drill restore runbook rollback-plan status adopt-people restart shell verify baseline doors pr-report env cluster cluster-stop test test-all lint format lock crds bench bench-backup bench-monitoring monitoring-files bench-edge clean

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z][a-z-]*:.*## / {printf "  make %-17s %s\n", $$1, $$2}' Makefile
	@echo "STACK=$(STACK) (make up STACK=vanillax KUBECONFIG=... for another one)"

##@ Deploy

setup: ## what the program needs: .venv, the Pulumi CLI, its plugins, a passphrase
	@$(NEED_PYTHON) $(PYTHON) -m toolchain.setup

setup-dev:
	@$(NEED_PYTHON) $(PYTHON) -m toolchain.setup --dev

up: setup ## bring the stack up (dev: manifests in rendered/dev, no cluster needed)
	@$(RUN) toolchain.stack up $(STACK) $(ARGS)

preview: setup ## what `make up` would change
	@$(RUN) toolchain.stack preview $(STACK) $(ARGS)

refresh: setup ## read back what is really there
	@$(RUN) toolchain.stack refresh $(STACK) $(ARGS)

destroy: setup ## remove everything but what holds data, and say what stays
	@$(RUN) toolchain.destroy $(STACK) $(ARGS)

render: setup ## write all manifests anew (OUTPUT=folder: for Argo CD or Flux, without Secrets)
	@$(RUN) toolchain.render $(STACK) $(if $(OUTPUT),"$(OUTPUT)")

adopt: override FROM := $(value FROM)
adopt: setup ## a stack from a compose file, NixOS or Immich's chart, and how to move (FROM=docker-compose.yml STACK=mine)
	@$(RUN) toolchain.adopt "$${FROM:-}" "$(STACK)" "$(NAMESPACE)"

##@ Keep and bring back

backup: setup ## a backup now, followed to its verdict
	@$(RUN) toolchain.tasks run $(STACK) backup

drill: setup ## restore the newest backup into a throw-away place and compare it, now
	@$(RUN) toolchain.tasks run $(STACK) drill

restore: override FILE := $(value FILE)
restore: override FROM := $(value FROM)
restore: override TARGET := $(value TARGET)
restore: setup ## one photo or folder from the copies (FILE=..., FROM=latest, TARGET=...)
	@$(RUN) toolchain.restore $(STACK) $${FILE:+--file "$$FILE"} $${FROM:+--from "$$FROM"} $${TARGET:+--target "$$TARGET"}

runbook: ## what to do when something is lost, with this stack's names (OUTPUT=folder)
	@$(NEED_PYTHON) test -x $(VENV_PYTHON) || $(PYTHON) -c 'from toolchain import venv; venv.ensure("runtime")' >&2
	@$(RUN) toolchain.runbook $(STACK) $(if $(OUTPUT),"$(OUTPUT)")

rollback-plan: setup ## what going back to the last release needs (ARGS=--json)
	@$(RUN) toolchain.rollback_plan $(STACK) $(ARGS)

##@ Look and act

status: setup ## components, queues, backups, volumes, certificates (ARGS="--watch --json --copies")
	@$(RUN) toolchain.status $(STACK) $(ARGS)

restart: setup ## end Immich and start it again (PART=cache for another part)
	@$(RUN) toolchain.restart $(STACK) $(PART)

shell: setup ## a shell in a part (PART=server), or a command (PART=database ARGS="psql -U immich immich")
	@$(RUN) toolchain.shell $(STACK) $(PART) $(value ARGS)

adopt-people: setup ## people and external libraries that are in Immich and not in the stack's file, as settings
	@$(RUN) toolchain.people $(STACK) $(ARGS)

verify: setup ## does it really work: doors, uploads, addresses, GPU, backups (ARGS="--json --size 1G")
	@$(RUN) toolchain.verify $(STACK) $(ARGS)

baseline: setup ## measure uploads, thumbnails, search and faces, and compare with the last time
	@$(RUN) toolchain.baseline $(STACK) $(ARGS)

doors: ## every way in, the largest upload that comes through, and what limits it (FORMAT=json or mermaid)
	@$(NEED_PYTHON) test -x $(VENV_PYTHON) || $(PYTHON) -c 'from toolchain import venv; venv.ensure("runtime")' >&2
	@$(RUN) toolchain.doors $(STACK) $(if $(FORMAT),--$(FORMAT)) $(ARGS)

monitoring-files: setup ## rules and dashboards of a stack, for a Prometheus and a Grafana elsewhere (OUTPUT=folder)
	@$(RUN) toolchain.monitoring_files $(STACK) $(if $(OUTPUT),"$(OUTPUT)")

##@ Work in a team

pr-report: setup ## what a change does to a stack, as Markdown (ARGS="--rendered --base REF --output FILE")
	@$(RUN) toolchain.pr_report $(STACK) $(ARGS)

##@ Develop

env: ## eval "$(make -s env)": the toolchain, backend and passphrase for this shell
	@$(VENV_PYTHON) -m toolchain.env

cluster: setup-dev ## start the throw-away cluster and print its KUBECONFIG (NODE=1: with a real node, IMAGES=folder of archives)
	@$(RUN) toolchain.offline.cluster start $(if $(NODE),--real-node) $(if $(IMAGES),--images "$(IMAGES)")

cluster-stop: ## stop it
	@$(RUN) toolchain.offline.cluster stop

test: setup-dev ## every tier of tests that this machine can run (TIERS="unit policy" for some)
	@$(RUN) toolchain.tiers $(TIERS) $(if $(ARGS),-- $(ARGS))

test-all: setup-dev ## the same with every deep test: each stack, each kill point, offline plugins; an hour
	@$(RUN) toolchain.tiers --deep $(TIERS) $(if $(ARGS),-- $(ARGS))

lint: setup-dev ## format, rules, types, imports
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	.venv/bin/basedpyright
	PYTHONPATH=policy .venv/bin/lint-imports
	@$(RUN) toolchain.lint

format: setup-dev ## rewrite the sources in the common format
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

lock: setup-dev ## resolve requirements/*.in into the hash-locked files anew
	cd requirements && ../.venv/bin/uv pip compile --quiet --upgrade --generate-hashes --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header runtime.in -o runtime.lock
	cd requirements && ../.venv/bin/uv pip compile --quiet --upgrade --generate-hashes --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header -c runtime.lock dev.in -o dev.lock

crds: setup ## download the CRDs that the cluster tests need
	@$(RUN) toolchain.crds download

bench: setup ## cost of a preview as a ratio to that of an empty program
	@$(RUN) bench.preview $(foreach key,backupAccessKeyId backupSecretAccessKey,--secret prod:immich:$(key)) $(ARGS)

bench-backup: setup-dev ## backup and restore beside restic by hand and plain copies, and the seconds of a drill
	@$(RUN) bench.backup $(ARGS)

bench-monitoring: setup-dev ## what it costs to read the numbers of an idle stack
	@$(RUN) bench.monitoring $(ARGS)

bench-edge: setup ## what nginx costs uploads and downloads, beside leaner ones
	@$(RUN) bench.edge $(ARGS)

clean: ## remove caches and rendered files; state, passphrase and tools stay
	rm -rf rendered .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
