#!/bin/sh
# What a change has to show besides its tests: format, vet, staticcheck, generated
# documentation, and that everything builds for the systems it is meant for.
# (Layers are held by layers_test.go.)
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}

step() { printf '== %s\n' "$1"; }

step gofmt
bad=$(find . -name '*.go' -not -path './.git/*' -exec gofmt -l {} +)
if [ -n "$bad" ]; then
	printf 'not formatted, run gofmt -w on:\n%s\n' "$bad" >&2
	exit 1
fi

step 'go vet'
$GO vet ./...

step staticcheck
$GO tool staticcheck ./...

step 'go.mod is tidy'
$GO mod tidy -diff

step 'generated documentation'
$GO run ./internal/gendocs -check

step 'builds for other systems'
CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $GO build -o /dev/null ./cmd/gosalt
CGO_ENABLED=0 $GO build -tags no_docker,no_ec2,no_hetzner,no_kubernetes,no_libvirt,no_openstack -o /dev/null ./cmd/gosalt
CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $GO build -o /dev/null ./cmd/gosalt-minion
CGO_ENABLED=0 GOOS=linux GOARCH=386 $GO build -o /dev/null ./cmd/gosalt-minion
CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 $GO build -o /dev/null ./cmd/gosalt-minion
CGO_ENABLED=0 GOOS=windows GOARCH=amd64 $GO build -o /dev/null ./cmd/gosalt-minion
echo 'checks passed'
