# Every task of the project; `make help` lists them.  The build itself is
# meson's (meson.build); this file only calls scripts.

PACKAGES := deploy/local/packages.sh
STACK := /usr/bin/python3 -B deploy/local/local_stack.py

LOADTEST := /usr/bin/python3 -B deploy/test/loadtest/loadtest.py $(if $(DURATION),--duration $(DURATION)) $(if $(DATABASE_URL),--database "$(DATABASE_URL)") $(if $(ARTIFACTS),--artifacts $(ARTIFACTS)) $(if $(filter 1,$(RAW)),--raw)

.PHONY: help up down status logs clean build test chaos failover upgrade acme-rfc-conformance-test bench loadtest loadtest-scale soak loadtest-tools lint format

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-26s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## build, start the local stack, enrol a certificate and prove it is served; SIM=1: simulated CAs too
	@$(PACKAGES) $(if $(filter 1,$(SIM)),sim,run)
	@SIM=$(SIM) $(STACK) up

down: ## stop the local stack; its state stays
	@$(STACK) down

status: ## what runs, and what the control plane says of itself
	@$(STACK) status

logs: ## the last lines of every process
	@$(STACK) logs

clean: ## stop the stack and remove its state, its sockets and the build
	@$(STACK) clean

build: ## compile everything into build/
	@$(PACKAGES) run
	@tools/build.sh

test: ## every test: unit, simulation, fuzz corpus, integration, a short chaos run
	@$(PACKAGES) test
	@tools/test.sh

chaos: ## kill and stop processes at random under load: make chaos KILLS=200 ISSUERS=all
	@$(PACKAGES) test
	@tools/build.sh
	@/usr/bin/python3 tests/chaos/chaos.py --kills $(or $(KILLS),20) --issuers $(or $(ISSUERS),local)

failover: ## move the database under load, scenario after scenario: make failover SCENARIO=killed
	@$(PACKAGES) test
	@tools/build.sh
	@/usr/bin/python3 tests/chaos/failover.py $(SCENARIO)

upgrade: ## upgrade process by process and back, under load and kills: make upgrade KILLS=200
	@$(PACKAGES) test
	@tools/build.sh
	@/usr/bin/python3 tests/chaos/upgrade.py --kills $(or $(KILLS),40)

acme-rfc-conformance-test: ## Debian's ACME clients against three apiservers: CLIENT=lego for one of them
	@$(PACKAGES) acme
	@tools/build.sh
	@BUILD_DIR=build /usr/bin/python3 -m pytest -q tests/acme $(if $(CLIENT),-k $(CLIENT))

bench: ## measure; BENCH=name for one of them; writes build/bench.json
	@$(PACKAGES) test
	@tools/build.sh
	@/usr/bin/python3 tests/bench/bench.py $(BENCH)

loadtest: loadtest-tools ## load on the API and on TLS servers that agents look after: DURATION=30s, DATABASE_URL=a given server's
	@$(LOADTEST) main

loadtest-scale: loadtest-tools ## every load of a large fleet, one after another; loadtest-scale-agent (or -bulk, ...) for one of them
	@$(LOADTEST) scale

# Any scenario by its name: scenarios/NAME.py.
loadtest-scale-%: loadtest-tools
	@$(LOADTEST) $*

soak: loadtest-tools ## a fleet, ACME clients, bulk calls, restarts and a fail-over for long: make soak MINUTES=60
	@$(LOADTEST) soak

loadtest-tools:
	@$(PACKAGES) loadtest
	@tools/build.sh

lint: ## format check, project rules, clang-tidy, cppcheck
	@$(PACKAGES) test
	@tools/build.sh
	@tools/format.sh check
	@tools/check.sh
	@tools/lint.sh build

format: ## put every C file into the house format
	@tools/format.sh fix
