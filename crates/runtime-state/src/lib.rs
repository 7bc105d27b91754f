//! State stores of Agent Runtime: memory and redb.
