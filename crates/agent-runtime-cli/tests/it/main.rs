//! The command line, from outside: the real program, each time in a folder of its own.

mod bad_input;
mod chat;
mod clerk;
mod decisions;
mod events;
mod full;
mod health;
mod home;
mod hosted;
mod limits;
mod living;
mod people;
mod quarantine;
mod readme;
mod repairs;
mod runs;
mod schedules;
mod server;
mod serving;
mod signals;
mod state;
mod stores;
mod terminal;
mod usage;
mod webhooks;
