//! The concrete half: memory, per-CPU areas, CPUs, RCU, maps, and what helpers and kfuncs do.
//!
//! A [`Machine`] holds one object's maps and programs. [`Machine::step`] executes one instruction of one CPU and
//! leaves a [`StepReport`] of what it touched; [`Machine::run`] steps a CPU until its program ends. Every access is
//! checked against memory's story ([`memory`]), every hand-over of a reference against the ledger ([`ownership`]), and
//! whatever breaks a rule ends the run as a [`Fault`] with the places that explain it.
//!
//! The same programs, input and schedule give the same bytes: nothing here asks the real clock, a random source or the
//! order of a hash table. Nothing here decides what a program may do before it runs: that is the verifier's half, and
//! neither imports the other. Start reading at [`Machine`], then [`memory::Memory`].

pub mod alu;
mod arena;
mod arena_pointers;
mod arguments;
mod callbacks;
mod code;
mod context;
mod copy;
mod ending;
mod event;
mod execute;
mod fault;
mod fill;
mod fingerprint;
mod frames;
mod globals;
mod inner;
mod kept;
mod kernel_struct;
mod maps;
pub mod memory;
pub mod models;
mod operation;
pub mod ownership;
pub mod rcu;
mod region;
mod resolve;
mod restore;
mod running;
mod schedule;
mod setup;
mod spans;
mod stage;
mod stepper;
mod stock;
mod store_buffer;
mod story;
mod straight;
mod task;
mod transfer;
pub mod types;
mod view;
mod world;

pub use callbacks::{CallbackKind, PendingCallback};
pub use code::LoadedProgram;
pub use context::{FunctionRun, Input, Output, function_run};
pub use ending::Leak;
pub use event::{Access, AccessKind, Event, Order, Outcome, StepReport};
pub use fault::{Attempt, End, Fault, FaultKind, Limit, RegionStory, Trap, Unsupported};
pub use globals::SetError;
pub use maps::{MapFamily, MapState, Record};
pub use ownership::Field;
pub use region::{Life, Region, RegionKind};
pub use running::{PacketBounds, Running, Step};
pub use schedule::Way;
pub use setup::{MAX_CPUS, MachineOptions, SetupError};
pub use stage::{ObjectStage, Stage};
pub use stepper::{Machine, UnwrittenNote};
pub use story::{Moment, Place, RegionId};
pub use task::{MAX_FRAMES, STACK_SIZE};
pub use world::CGROUP_ID;
