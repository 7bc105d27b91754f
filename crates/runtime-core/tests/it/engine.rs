//! The engine against its contract: the replay rule.

mod attempt;
mod laws;
mod life;
mod model;
mod perform;
mod program;
mod rehearsal;
mod scene;
