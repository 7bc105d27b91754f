//! Redis against the contract: when this process dies, when the server does, and as a user with no more rights than the
//! README names.

mod when_this_process_dies {
    use crate::redis_fixtures::{Dies, InRedis};

    runtime_testkit::state_store_conformance!(InRedis::when(Dies::We));
}

mod when_the_server_dies {
    use crate::redis_fixtures::{Dies, InRedis};

    runtime_testkit::state_store_conformance!(InRedis::when(Dies::Redis));
}

mod with_the_least_rights {
    use crate::redis_fixtures::{Dies, InRedis};

    runtime_testkit::state_store_conformance!(InRedis::with_the_least_rights(Dies::We));
}
