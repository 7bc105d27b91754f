//! Cluster of Agent Runtime.
