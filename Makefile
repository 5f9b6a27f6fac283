# gosalt: two static programs, each known by several names.
#   make build   both programs and their links, in bin/
#   make demo    a master, three minions, keys accepted, gosalt '*' cmd.run uptime, all cleaned up
#   make test    the tests; make check: format, vet, staticcheck, layers, generated docs, cross-builds
#   make bench   the figures of docs/performance.md
#   make install PREFIX=/usr/local   programs, manual pages, completion for bash, zsh and fish

GO      ?= go
PREFIX  ?= /usr/local
DESTDIR ?=
LDFLAGS  = -s -w
export CGO_ENABLED ?= 0

CONTROL = gosalt-master gosalt-key gosalt-run gosalt-cp gosalt-ssh
MACHINE = gosalt-call

.PHONY: build demo test check bench swarm install clean docs

build:
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/gosalt ./cmd/gosalt-minion
	@cd bin && for n in $(CONTROL); do ln -sf gosalt $$n; done && for n in $(MACHINE); do ln -sf gosalt-minion $$n; done

demo: build
	@sh scripts/demo.sh

test:
	CGO_ENABLED=1 $(GO) test -race -timeout 25m ./...

check:
	sh scripts/check.sh

bench: build
	$(GO) run ./internal/bench
	$(GO) test -run '^$$' -bench 'Million' -benchtime 1x ./master/jobs
	$(GO) test -run '^$$' -bench 'SLS' -benchtime 500x ./internal/render

swarm:
	$(GO) build -trimpath -o bin/ ./internal/swarm/cmd/swarm

docs:
	$(GO) run ./internal/gendocs

install: build
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 bin/gosalt bin/gosalt-minion $(DESTDIR)$(PREFIX)/bin
	cd $(DESTDIR)$(PREFIX)/bin && for n in $(CONTROL); do ln -sf gosalt $$n; done && for n in $(MACHINE); do ln -sf gosalt-minion $$n; done
	GOOS= GOARCH= $(GO) run ./internal/gendocs -install $(DESTDIR)$(PREFIX)/share

clean:
	rm -rf bin dist
