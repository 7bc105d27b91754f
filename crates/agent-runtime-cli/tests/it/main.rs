//! The command line, from outside: the real program, in folders of its own.
