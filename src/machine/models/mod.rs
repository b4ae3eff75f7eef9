//! What helpers and kfuncs do when they run: one Rust function each, in a file by family, found by name.
//!
//! A model gets a [`Call`] and answers with a value, or with a callback to run first. What has no model here has none
//! at all: the run ends and names it. Start reading at [`Model`] and any family's `MODELS`.

mod call;
mod checksum;
mod continuation;
mod graph;
mod iter;
mod local_storage;
mod lock;
mod map;
mod misc;
mod obj;
mod packet;
mod packet_shape;
mod percpu;
mod perf;
mod print;
mod rcu;
mod redirect;
mod socket;
mod task;
mod traced;

use super::fault::Trap;

pub(super) use call::Call;
pub(super) use continuation::Continuation;

/// What a model answers.
#[derive(Debug)]
pub(super) enum Answer {
    /// The call returns this.
    Value(u64),
    /// The call returns nothing: `r0` holds nothing.
    Nothing,
    /// The call has to wait; it will be made again.
    Blocked,
    /// A function of the program is to run first; `then` gets its result.
    CallBack {
        /// Its address.
        function: u64,
        /// Its arguments.
        args: [u64; 5],
        /// What goes on afterwards.
        then: Continuation,
    },
}

/// What a model's function returns.
pub(super) type Modelled = Result<Answer, Box<Trap>>;

/// A helper or kfunc that the machine can run.
#[derive(Debug)]
pub struct Model {
    /// Its name in the kernel.
    pub name: &'static str,
    /// Is it a kfunc, not a helper?
    pub kfunc: bool,
    /// Registers from `r1` on that it reads, 0 to 5.
    pub arguments: u8,
    pub(super) run: fn(&mut Call<'_>) -> Modelled,
}

const fn helper(name: &'static str, arguments: u8, run: fn(&mut Call<'_>) -> Modelled) -> Model {
    Model { name, kfunc: false, arguments, run }
}

const fn kfunc(name: &'static str, arguments: u8, run: fn(&mut Call<'_>) -> Modelled) -> Model {
    Model { name, kfunc: true, arguments, run }
}

static FAMILIES: [&[Model]; 18] = [
    checksum::MODELS,
    graph::MODELS,
    iter::MODELS,
    local_storage::MODELS,
    lock::MODELS,
    map::MODELS,
    misc::MODELS,
    obj::MODELS,
    packet::MODELS,
    packet_shape::MODELS,
    percpu::MODELS,
    perf::MODELS,
    print::MODELS,
    rcu::MODELS,
    redirect::MODELS,
    socket::MODELS,
    task::MODELS,
    traced::MODELS,
];

/// All models.
pub fn all() -> impl Iterator<Item = &'static Model> {
    FAMILIES.iter().copied().flatten()
}

/// The model of that name, if there is one.
#[must_use]
pub fn find(name: &str) -> Option<&'static Model> {
    all().find(|model| model.name == name)
}
