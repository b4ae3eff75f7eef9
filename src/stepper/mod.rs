//! Stepping by hand: a scenario on the simulated machine, CPU by CPU, and the path on which the verifier judged a program.
//!
//! [`session::Session`] is a scenario that is stepped, [`app::App`] what keys do with it, [`view`] what a terminal shows of it; none of them
//! touches a terminal, which is the command line's. Start at [`session::Session`].

pub mod app;
pub mod going;
pub mod interrupt;
pub mod keys;
pub mod objects;
pub mod path;
pub mod pick;
pub mod recording;
pub mod rows;
pub mod session;
pub mod sources;
pub mod stops;
pub mod view;
pub mod watches;

#[cfg(test)]
mod session_tests;
#[cfg(test)]
mod testing;
