//! The machine from outside: memory faults, RCU, ownership, maps and globals.

mod both_ways;
mod build;
mod memory;
mod ownership;
mod programs;
