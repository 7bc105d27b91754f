//! The kit's own store passes the suite that measures the others.

use crate::fixture::Maps;

runtime_testkit::state_store_conformance!(Maps::right());
