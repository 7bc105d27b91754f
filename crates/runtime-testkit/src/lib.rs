//! Conformance suites, fakes and faults for the contracts of Agent Runtime.
