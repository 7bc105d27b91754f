//! How Agent Runtime writes things down: records, bincode with limits, JSON bytes, golden files.
