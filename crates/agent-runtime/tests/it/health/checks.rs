//! The checks that ship keep the contract of checks, each with the thing that it watches really broken.

mod breakers;
mod disk;
mod models;
mod runtimes;
mod stores;
mod threads;
