//! RuntimeManager: the engine that turns runs into logs and logs back into runs.
