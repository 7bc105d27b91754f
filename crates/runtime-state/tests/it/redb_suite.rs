//! redb against the contract, on a disk that loses power and on files that outlive a process.

mod on_a_disk_that_loses_power {
    use crate::fixtures::OnDisk;

    runtime_testkit::state_store_conformance!(OnDisk::new());
}

mod on_files {
    use crate::fixtures::OnFiles;

    runtime_testkit::state_store_conformance!(OnFiles::new());
}
