//! What is written down, byte by byte.

mod allocation;
mod damage;
mod golden;
mod random;
mod samples;
mod versions;
