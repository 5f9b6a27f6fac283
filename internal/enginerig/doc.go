// Package enginerig starts real container engines for tests: dockerd and Podman's service, with
// everything they keep in a directory of the test, and containers without a network of an
// image that is made here.
package enginerig
