"""The Autobahn test suite, run by `make conformance` against our transport and against Daphne's."""
