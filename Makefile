# gosalt: two static programs, each known by several names.
#   make build   both programs and their links, in bin/
#   make demo    a master, three minions, keys accepted, gosalt '*' cmd.run uptime, all cleaned up
#   make test    the tests; make check: format, vet, staticcheck, layers, generated docs, cross-builds
#   make agents  gosalt-minion for the machines that gosalt-ssh reaches
#   make bench   the figures of docs/performance.md
#   make install PREFIX=/usr/local   programs, manual pages, completion for bash, zsh and fish

GO      ?= go
PREFIX  ?= /usr/local
DESTDIR ?=
LDFLAGS  = -s -w
export CGO_ENABLED ?= 0

CONTROL = gosalt-master gosalt-key gosalt-run gosalt-cp gosalt-ssh
MACHINE = gosalt-call

.PHONY: build agents demo test check bench swarm install clean docs

build:
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/gosalt ./cmd/gosalt-minion
	@cd bin && for n in $(CONTROL); do ln -sf gosalt $$n; done && for n in $(MACHINE); do ln -sf gosalt-minion $$n; done

# What gosalt-ssh copies to machines of other kinds than this one.
AGENTS = linux-amd64 linux-arm64 linux-386 linux-arm

agents:
	@for a in $(AGENTS); do echo bin/agents/gosalt-minion-$$a; \
		CGO_ENABLED=0 GOOS=$${a%-*} GOARCH=$${a#*-} $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/agents/gosalt-minion-$$a ./cmd/gosalt-minion || exit 1; done

demo: build
	@sh scripts/demo.sh

test:
	CGO_ENABLED=1 $(GO) test -race -vet=off -timeout 25m ./... # vet is make check

check:
	sh scripts/check.sh

bench: build
	$(GO) run ./internal/bench

swarm:
	$(GO) build -trimpath -o bin/ ./internal/swarm/cmd/swarm

docs:
	$(GO) run ./internal/gendocs

install: build
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 bin/gosalt bin/gosalt-minion $(DESTDIR)$(PREFIX)/bin
	cd $(DESTDIR)$(PREFIX)/bin && for n in $(CONTROL); do ln -sf gosalt $$n; done && for n in $(MACHINE); do ln -sf gosalt-minion $$n; done
	if [ -d bin/agents ]; then install -d $(DESTDIR)$(PREFIX)/lib/gosalt && install -m 755 bin/agents/* $(DESTDIR)$(PREFIX)/lib/gosalt/; fi
	GOOS= GOARCH= $(GO) run ./internal/gendocs -install $(DESTDIR)$(PREFIX)/share

clean:
	rm -rf bin dist
