//! What a helper does after the program's callback has returned: plain data, so that a machine in the middle of one
//! can be cloned.

use super::graph::TreeInsert;
use super::map::ForEach;
use super::misc::Loop;
use super::ring::Drain;
use super::{Answer, Call, Modelled};

/// The rest of a helper that called back.
#[derive(Clone, Debug)]
pub(in crate::machine) enum Continuation {
    /// `bpf_loop`.
    Loop(Loop),
    /// `bpf_for_each_map_elem`.
    ForEach(Box<ForEach>),
    /// `bpf_rbtree_add`.
    TreeInsert(Box<TreeInsert>),
    /// A helper that calls back once: what it returns.
    Done(u64),
    /// `bpf_user_ringbuf_drain`.
    Drain(Box<Drain>),
}

impl Continuation {
    /// Goes on with what the callback returned.
    pub fn resume(self, call: &mut Call<'_>, result: u64) -> Modelled {
        match self {
            Continuation::Loop(rest) => rest.resume(result),
            Continuation::ForEach(rest) => rest.resume(call, result),
            Continuation::TreeInsert(rest) => rest.resume(call, result),
            Continuation::Done(value) => Ok(Answer::Value(value)),
            Continuation::Drain(rest) => rest.resume(call, result),
        }
    }
}
