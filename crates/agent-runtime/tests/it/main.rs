//! The facade, from outside.

mod fleet_file;
