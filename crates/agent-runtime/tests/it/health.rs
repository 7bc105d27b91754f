//! Health: every kind of hang is found in time, who is idle or declared silent is left alone, and the checks that ship keep the
//! contract of checks, with really broken things.

mod checks;
mod hangs;
mod quiet;
mod scene;
mod wired;
