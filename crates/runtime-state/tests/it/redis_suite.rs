//! Redis against the contract: when this process dies, and when the server does.

mod when_this_process_dies {
    use crate::redis_fixtures::{Dies, InRedis};

    runtime_testkit::state_store_conformance!(InRedis::when(Dies::We));
}

mod when_the_server_dies {
    use crate::redis_fixtures::{Dies, InRedis};

    runtime_testkit::state_store_conformance!(InRedis::when(Dies::Redis));
}
