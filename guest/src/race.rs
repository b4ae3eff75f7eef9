//! Threads that are bound to CPUs and start at the same moment, or nearly so.
//!
//! The thread that leads races too, so that each has its CPU to itself unless the scenario says otherwise. They meet at a spinning barrier; after it each waits a
//! random while, from nothing to some hundred turns of a loop, as what races is shorter than the way into the kernel.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use std::ffi::c_void;

use libbpf_sys as sys;

/// A test run that is ready to be made.
#[derive(Clone)]
pub struct TestRun {
    /// The program's name, for messages.
    pub name: String,
    /// The loaded program.
    pub fd: i32,
    /// The context, if there is one.
    pub context: Vec<u8>,
    /// The packet, if there is one.
    pub packet: Vec<u8>,
    /// How many test runs are made.
    pub repeat: u32,
}

impl TestRun {
    /// Makes the test runs and adds what they return. `Err` says which failed.
    fn run(&self, returns: &mut Vec<u32>) -> Result<(), String> {
        for _ in 0..self.repeat {
            // The kernel writes the context of a `syscall` program back.
            let mut context = self.context.clone();
            let mut options =
                sys::bpf_test_run_opts { sz: size_of::<sys::bpf_test_run_opts>() as sys::size_t, ..Default::default() };
            if !self.packet.is_empty() {
                options.data_in = self.packet.as_ptr().cast::<c_void>();
                options.data_size_in = u32::try_from(self.packet.len()).unwrap_or(u32::MAX);
                options.repeat = 1;
            }
            if !context.is_empty() {
                options.ctx_in = context.as_mut_ptr().cast::<c_void>();
                options.ctx_size_in = u32::try_from(context.len()).unwrap_or(u32::MAX);
            }
            // SAFETY: the program is loaded; both buffers outlive the call and are as long as said.
            let status = unsafe { sys::bpf_prog_test_run_opts(self.fd, &raw mut options) };
            if status != 0 {
                let reason = std::io::Error::from_raw_os_error(status.abs());
                return Err(format!("BPF_PROG_TEST_RUN of {}: {reason}", self.name));
            }
            returns.push(options.retval);
        }
        Ok(())
    }
}

/// What a thread is asked to do.
pub enum Order {
    /// Run this alone.
    Alone(TestRun),
    /// Meet the others, wait so many turns, then run all that the thread has.
    Race {
        /// Turns of an empty loop.
        skew: u32,
    },
}

/// What the tests of one order returned.
pub type Answer = Result<Vec<u32>, String>;

/// Where the racing threads meet.
pub struct Meeting {
    arrived: AtomicUsize,
    parties: usize,
    /// Do some of them share a CPU?
    crowded: bool,
}

impl Meeting {
    /// A meeting of so many threads.
    pub fn of(parties: usize, crowded: bool) -> Meeting {
        Meeting { arrived: AtomicUsize::new(0), parties, crowded }
    }

    /// Waits until all have come. The count goes on from meeting to meeting, so that nobody has to take it back.
    fn wait(&self) {
        let arrived = self.arrived.fetch_add(1, Ordering::AcqRel);
        let end = (arrived / self.parties + 1) * self.parties;
        // No `pause`: a translated CPU leaves its loop for it, which takes longer than what races.
        while self.arrived.load(Ordering::Acquire) < end {
            // Who is waited for may want this CPU.
            if self.crowded {
                std::thread::yield_now();
            }
        }
    }
}

/// The ends of the channels to one thread.
pub struct Line {
    orders: SyncSender<Order>,
    answers: Receiver<Answer>,
}

impl Line {
    /// Gives an order.
    pub fn order(&self, order: Order) -> Result<(), String> {
        self.orders.send(order).map_err(|_| "a thread has ended".to_owned())
    }

    /// Waits for the answer to it.
    pub fn answer(&self) -> Answer {
        self.answers.recv().map_err(|_| "a thread has ended".to_owned())?
    }
}

/// Carries out an order on this thread.
pub fn obey(order: Order, task: &[TestRun], meeting: &Meeting) -> Answer {
    let mut returns = Vec::new();
    match order {
        Order::Alone(run) => run.run(&mut returns)?,
        Order::Race { skew } => {
            meeting.wait();
            for turn in 0..skew {
                black_box(turn);
            }
            task.iter().try_for_each(|run| run.run(&mut returns))?;
        }
    }
    Ok(returns)
}

/// The ends that the thread has.
pub struct Worker {
    orders: Receiver<Order>,
    answers: SyncSender<Answer>,
}

/// Channels between the leader and one thread.
pub fn line() -> (Line, Worker) {
    let (orders, from_leader) = sync_channel(1);
    let (to_leader, answers) = sync_channel(1);
    (Line { orders, answers }, Worker { orders: from_leader, answers: to_leader })
}

impl Worker {
    /// Carries out orders until the leader hangs up.
    pub fn serve(&self, task: &[TestRun], meeting: &Meeting) {
        for order in &self.orders {
            if self.answers.send(obey(order, task, meeting)).is_err() {
                return;
            }
        }
    }

    /// Tells the leader that the thread cannot work.
    pub fn refuse(&self, reason: String) {
        let _ = self.answers.send(Err(reason));
    }

    /// Tells the leader this number, as an answer to no order.
    pub fn announce(&self, number: u32) {
        let _ = self.answers.send(Ok(vec![number]));
    }
}

/// A small generator of skews (Marsaglia's xorshift64).
pub struct Skews(u64);

impl Skews {
    /// Never zero, from which the generator would not move.
    pub fn seeded(seed: u64) -> Skews {
        Skews(seed | 1)
    }

    /// Turns to wait: often few, sometimes some hundred.
    pub fn next(&mut self) -> u32 {
        /// Skews are below two to this power.
        const MAX_POWER: u64 = 10;
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let power = (self.0 >> 8) % (MAX_POWER + 1);
        let mask = (1_u64 << power) - 1;
        u32::try_from((self.0 >> 32) & mask).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skews_are_bounded_differ_and_come_again_for_the_same_seed() {
        let skews = |seed| {
            let mut skews = Skews::seeded(seed);
            (0..100).map(|_| skews.next()).collect::<Vec<_>>()
        };
        assert_eq!(skews(7), skews(7));
        assert_ne!(skews(7), skews(9));
        assert!(skews(0).iter().all(|&skew| skew < 1 << 10));
        assert!(skews(0).iter().any(|&skew| skew == 0) && skews(0).iter().any(|&skew| skew > 1));
    }

    #[test]
    fn nobody_leaves_a_meeting_before_all_have_come() {
        const ROUNDS: usize = 50;
        let meeting = Meeting::of(3, true);
        let entered = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for round in 1..=ROUNDS {
                        entered.fetch_add(1, Ordering::SeqCst);
                        meeting.wait();
                        assert!(entered.load(Ordering::SeqCst) >= 3 * round);
                    }
                });
            }
        });
        assert_eq!(entered.load(Ordering::SeqCst), 3 * ROUNDS);
    }

    #[test]
    fn a_test_run_that_fails_is_told_by_name() {
        let run = TestRun { name: "absent".into(), fd: -1, context: Vec::new(), packet: Vec::new(), repeat: 1 };
        let answer = obey(Order::Alone(run), &[], &Meeting::of(1, false));
        assert!(answer.is_err_and(|error| error.contains("absent")));
    }
}
