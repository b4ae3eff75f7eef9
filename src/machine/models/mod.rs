//! What helpers and kfuncs do when they run: one Rust function each, in a file by family, found by name.
//!
//! A model gets a `Call` and answers with a value, or with a callback to run first. What has no model here has none
//! at all: the run ends and names it. Start reading at [`Model`] and any family's `MODELS`.

mod arena;
mod call;
mod cast;
mod checksum;
mod continuation;
mod control;
mod cpumask;
mod crypto;
mod dynptr;
mod graph;
mod iter;
mod iter_bits;
mod key;
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
mod probe;
mod queue;
mod rcu;
mod redirect;
mod ring;
mod socket;
mod stack;
mod task;
mod text;
mod timer;
mod traced;

use super::copy::Copy;
use super::fault::Trap;
use super::ownership::Field;
use super::stepper::Machine;

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
    /// The call goes on with the next step.
    Copies(Box<Copy>),
    /// The program at that place of the object takes over the calling function's frame; if it may not, the call
    /// returns and `r0` holds nothing.
    TailCall {
        /// Index into [`Object::programs`](crate::object::Object::programs).
        place: u32,
        /// Its context.
        context: u64,
    },
    /// The frames are unwound and the program's exception callback runs.
    Throw {
        /// Its argument.
        cookie: u64,
    },
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
    pub(super) scheduling: Scheduling,
    /// Are the CPU's earlier stores visible to all before it ends? True of what takes a lock or does a locked instruction
    /// inside, and of all whose insides were not looked at.
    pub(super) fences: fn(&Machine, &[u64; 5]) -> bool,
    /// May it sleep?
    pub(super) sleeps: bool,
    /// Does what it touches follow from its arguments alone, whatever memory holds?
    pub(super) is_fixed: fn(&Machine, &[u64; 5]) -> bool,
    /// In how many ways can it go, if nothing makes it wait? An allocation's are known otherwise.
    pub(super) ways: fn(&Machine, u32, &[u64; 5]) -> u16,
    /// Is that always one way?
    pub(super) goes_one_way: bool,
}

/// What a scheduler has to know of a call before it is made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scheduling {
    /// Other tasks neither see it nor change its result.
    Local,
    /// They may.
    Shared,
    /// It asks the BPF allocator for the type that the first argument names, per CPU or not.
    Allocates {
        /// For each CPU?
        per_cpu: bool,
    },
    /// It cannot be made now if this says what it waits for: a place that whoever ends the wait touches.
    Waits(fn(&Machine, u32, &[u64; 5]) -> Option<Field>),
}

impl Model {
    /// Marks a call that other tasks neither see nor influence.
    const fn local(self) -> Model {
        Model { scheduling: Scheduling::Local, fences: |_, _| false, ..self }
    }

    /// Marks a call that may sleep.
    const fn sleeping(self) -> Model {
        Model { sleeps: true, ..self }
    }

    /// Marks a call without any locked instruction inside: earlier stores may become visible after it.
    const fn relaxed(self) -> Model {
        Model { fences: |_, _| false, ..self }
    }

    /// The same, on a condition: says whether there is one inside.
    const fn fencing_if(self, fences: fn(&Machine, &[u64; 5]) -> bool) -> Model {
        Model { fences, ..self }
    }

    /// Marks a call that can go in several ways.
    const fn in_ways(self, ways: fn(&Machine, u32, &[u64; 5]) -> u16) -> Model {
        Model { ways, goes_one_way: false, ..self }
    }

    /// Marks a call that goes another way, its second, where allocations may fail.
    const fn may_fail(self) -> Model {
        self.in_ways(|machine, _, _| 1 + u16::from(machine.options.allocation_failures))
    }

    /// Marks a call that goes another way, its second, in a stocked machine.
    const fn differs_if_stocked(self) -> Model {
        self.in_ways(|machine, _, _| 1 + u16::from(machine.options.stocked))
    }

    /// Marks a call whose arguments alone tell what it touches.
    const fn fixed(self) -> Model {
        Model { is_fixed: |_, _| true, ..self }
    }

    /// The same, on a condition.
    const fn fixed_if(self, is_fixed: fn(&Machine, &[u64; 5]) -> bool) -> Model {
        Model { is_fixed, ..self }
    }

    const fn allocating(self, per_cpu: bool) -> Model {
        Model { scheduling: Scheduling::Allocates { per_cpu }, is_fixed: |_, _| true, ..self }
    }

    const fn waiting(self, blocked: fn(&Machine, u32, &[u64; 5]) -> Option<Field>) -> Model {
        Model { scheduling: Scheduling::Waits(blocked), ..self }
    }
}

const fn helper(name: &'static str, arguments: u8, run: fn(&mut Call<'_>) -> Modelled) -> Model {
    Model {
        name,
        kfunc: false,
        arguments,
        run,
        scheduling: Scheduling::Shared,
        fences: |_, _| true,
        sleeps: false,
        is_fixed: |_, _| false,
        ways: |_, _, _| 1,
        goes_one_way: true,
    }
}

const fn kfunc(name: &'static str, arguments: u8, run: fn(&mut Call<'_>) -> Modelled) -> Model {
    Model { kfunc: true, ..helper(name, arguments, run) }
}

static FAMILIES: [&[Model]; 32] = [
    arena::MODELS,
    cast::MODELS,
    checksum::MODELS,
    control::MODELS,
    cpumask::MODELS,
    crypto::MODELS,
    dynptr::MODELS,
    graph::MODELS,
    iter::MODELS,
    iter_bits::MODELS,
    key::MODELS,
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
    probe::MODELS,
    queue::MODELS,
    rcu::MODELS,
    redirect::MODELS,
    ring::MODELS,
    socket::MODELS,
    stack::MODELS,
    task::MODELS,
    text::MODELS,
    timer::MODELS,
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
