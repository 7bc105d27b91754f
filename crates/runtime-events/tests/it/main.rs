//! Both buses against the contract, against a model, and under faults.

#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]

mod fixtures;

mod in_process {
    runtime_testkit::bus_conformance!(crate::fixtures::OverMaps::default());
}

mod redis_after_our_death {
    runtime_testkit::bus_conformance!(crate::fixtures::InRedis::when(crate::fixtures::Dies::We));
}

mod redis_after_its_death {
    runtime_testkit::bus_conformance!(crate::fixtures::InRedis::when(crate::fixtures::Dies::Redis));
}
