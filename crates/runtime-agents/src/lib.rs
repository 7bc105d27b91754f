//! Agents that Agent Runtime hosts: the librarian.
