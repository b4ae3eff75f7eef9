//! The machine from outside: memory faults, RCU, ownership, maps and globals.

mod build;
mod memory;
mod ownership;
mod programs;
