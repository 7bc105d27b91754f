//! The laboratory: crashes and figures. Not published.
