//! The laboratory: crashes and figures. Not published.
#![doc = include_str!("../README.md")]

pub mod chaos;
pub mod figures;
