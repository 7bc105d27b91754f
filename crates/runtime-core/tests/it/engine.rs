//! The engine against its contract: the replay rule.

mod attempt;
mod clauses;
mod laws;
mod life;
mod long;
mod model;
mod perform;
mod play;
mod program;
mod rehearsal;
mod scene;
mod tables;
