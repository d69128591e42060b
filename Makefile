# The targets a person types. `make rehearse` does the main job, `make test` passes the tests.
GO ?= go
LINTER = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
SEATRIAL = bin/seatrial
export CGO_ENABLED ?= 0
# Everything is compiled in one way, so that what is built, vetted and tested is compiled once.
export GOFLAGS := $(strip $(GOFLAGS) -trimpath)
SHELL = /bin/bash -o pipefail
# Shows what go test -v prints of failures, skips and packages, and leaves out what passed.
BRIEF = grep --line-buffered -vE '^(=== (RUN|PAUSE|CONT|NAME)|[[:space:]]*--- PASS|PASS$$|[?] )'

.PHONY: build rehearse rehearse-kind machine test unit policies releases e2e kind conformance lint bench clean

build:
	$(GO) build -ldflags="-s -w" -o $(SEATRIAL) ./cmd/seatrial

# Rehearses draining a web service's node and prints the verdict; obtains Kubernetes when it is not in the store yet.
rehearse: build
	$(SEATRIAL) run scenarios/drain-web

# The same on a kind cluster. On a Debian machine it installs what that takes, and builds the node image where no registry has one.
rehearse-kind: build machine
	$(SEATRIAL) run --provider kind scenarios/drain-web

# What a Debian machine needs for nodes in containers, unless it is there already: packages, and inotify limits for more than a few nodes; seatrial doctor says the rest.
ENGINE = podman runc conmon netavark aardvark-dns iptables
machine: build
	@mkdir -p /lib/modules 2>/dev/null || true
	@for want in instances=512 watches=524288; do limit=/proc/sys/fs/inotify/max_user_$${want%=*}; \
		[ $$(cat $$limit) -ge $${want#*=} ] || { echo $${want#*=} >$$limit; } 2>/dev/null || true; done
	@$(SEATRIAL) doctor >/dev/null 2>&1 && command -v mmdebstrap >/dev/null || \
	{ ! command -v apt-get >/dev/null || [ $$(id -u) != 0 ]; } || \
	{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(ENGINE) mmdebstrap; }
	@$(SEATRIAL) doctor

test:
	@for part in unit policies e2e kind; do \
		began=$$SECONDS; $(MAKE) --no-print-directory $$part || exit 1; echo "--- $$part took $$((SECONDS - began)) s"; \
	done

# With the race detector, which needs cgo, and with the store's release for the tests that start a control plane.
unit: build
	release=$$($(SEATRIAL) release get v1.34) && \
	CGO_ENABLED=1 SEATRIAL_TEST_RELEASE_DIR=$$release \
	$(GO) test -race -timeout 20m -v ./cmd/... ./harness/... ./sim/... ./test/bench ./test/berth | $(BRIEF)

policies: build
	$(SEATRIAL) policy test

# CI has 90 minutes, and gives as BEGAN when they began, in seconds since 1970. late says SKIP, and is true, when so many of them are over that there is no time for something.
CLOCK = late() { minutes=$$(( ($$(date +%s) - $(or $(BEGAN),$$(date +%s))) / 60 )); [ $$minutes -ge $$1 ] && echo "--- SKIP: $$2: $$minutes of CI's 90 minutes are over"; };

# What e2e takes. Where nothing is cached each takes ten minutes.
releases: build
	@$(CLOCK) $(SEATRIAL) release get v1.34 && $(SEATRIAL) release get v1.33 && \
	{ ! $(SEATRIAL) release list | grep '^v1\.35\.' >/dev/null && late 25 "building Kubernetes v1.35" || $(SEATRIAL) release get v1.35; }

# Whole clusters: every scenario, crashes, clean-up.
e2e: releases
	$(GO) test -count=1 -timeout 60m -v ./test/e2e ./test/backup

# kind clusters: faults, kills, what both providers must agree on. Says SKIP, and why, where nodes in containers can't run. Images take up to 25 minutes where nothing is cached, all tests 40, and the comparison of the
# upgrade 10.
kind: build
	@$(CLOCK) \
	late 60 "all tests on kind clusters" && exit 0; \
	image=; if $(SEATRIAL) doctor >/dev/null; then \
		image=$$($(SEATRIAL) image build v1.34 | sed -n 1p) && $(SEATRIAL) image build v1.33 --upgrade-to v1.34 || exit 1; \
	fi; \
	export SEATRIAL_TEST_NODE_IMAGE=$$image SEATRIAL_CONFORMANCE=$(SEATRIAL_CONFORMANCE); \
	late 75 "all tests on kind clusters" && exit 0; \
	if late 45 "faults, kills, jobs and certificates on kind clusters"; then export SEATRIAL_CONFORMANCE=upgrade; else \
		$(GO) test -count=1 -timeout 60m -v -run Engine ./sim/kind ./sim/nodeimage | $(BRIEF) && \
		$(GO) test -count=1 -timeout 60m -v ./test/kind | $(BRIEF); \
	fi && \
	$(GO) test -count=1 -timeout 60m -parallel 1 -v ./test/conformance | $(BRIEF) # several clusters on two cores make requests wait for a second, which is an outage

# Every scenario on both providers, and an upgrade on kind that is killed and resumed.
conformance: build
	SEATRIAL_CONFORMANCE=all $(GO) test -count=1 -timeout 6h -p 1 -parallel 1 -v -run 'TestConformance|TestResumed' ./test/conformance ./test/kind

lint:
	$(GO) vet ./...
	$(GO) run $(LINTER) run ./...

# Prints each ratio of the speed and memory table and exits 1 when one is over. The peer is built on first use.
bench: build
	$(GO) build -o bin/bench ./test/bench
	bin/bench -seatrial $(SEATRIAL)

clean:
	rm -rf bin
