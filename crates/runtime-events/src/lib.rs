//! Events of Agent Runtime.
