//! Agent Runtime: keeps AI agents alive. The facade: features, configuration, wiring.

pub mod fleet;
