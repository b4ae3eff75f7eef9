//! The machine from outside: instructions, memory faults, RCU, ownership, maps and globals.

mod both_ways;
mod build;
mod instructions;
mod memory;
mod ownership;
mod programs;
