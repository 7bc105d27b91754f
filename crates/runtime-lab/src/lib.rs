//! The laboratory: crashes and figures. Not published.

pub mod figures;
