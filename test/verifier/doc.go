// Package verifier holds what proves the verifier of package cardea and needs modules
// that the main module must not have: vectors of Wycheproof, other JOSE libraries as
// oracles and as peers in benchmarks. It contains tests only; `make test-verifier` and
// `make bench-verifier` in the root of the repository run them.
package verifier
