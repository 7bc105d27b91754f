//! The contracts of Agent Runtime: ids, payloads, stores, run logs, agents, and the control contract.
