//! Linked lists and red-black trees of objects (`bpf_list_*`, `bpf_rbtree_*`).
//!
//! The order of nodes is kept beside memory: what the kernel writes into heads and nodes no program may read. A tree
//! is its sorted order; which nodes an insertion is compared with is decided by halving, not by the kernel's balance.

use crate::btf::fields::FieldKind;
use crate::machine::event::{AccessKind, Event};
use crate::machine::fault::{FaultKind, Trap};
use crate::machine::maps::errno;
use crate::machine::memory::Spot;
use crate::machine::ownership::{Field, Holder};
use crate::machine::region::RegionKind;
use crate::machine::stepper::Machine;
use crate::machine::story::RegionId;

use super::{Answer, Call, Continuation, Model, Modelled, kfunc};

pub(super) static MODELS: &[Model] = &[
    kfunc("bpf_list_push_front_impl", 2, |call| push(call, true)).fixed_if(is_counted_once),
    kfunc("bpf_list_push_back_impl", 2, |call| push(call, false)).fixed_if(is_counted_once),
    kfunc("bpf_list_pop_front", 1, |call| pop(call, true)).fixed(),
    kfunc("bpf_list_pop_back", 1, |call| pop(call, false)).fixed(),
    kfunc("bpf_rbtree_add_impl", 3, add).fixed_if(is_counted_once),
    kfunc("bpf_rbtree_remove", 2, remove).fixed(),
    kfunc("bpf_rbtree_first", 1, first).fixed(),
];

/// Size of a head, root or node as the program declares it.
const ROOT_SIZE: u32 = 16;

/// Has the object of the second argument, the node, a single reference? One with several may be linked already, and is dropped then.
fn is_counted_once(machine: &Machine, args: &[u64; 5]) -> bool {
    let region = machine.memory.at(args[1]).map(|spot| spot.region);
    let fields = region.and_then(|region| machine.special_fields(region));
    fields.is_some_and(|fields| fields.fields.iter().all(|field| field.kind != FieldKind::Refcount))
}

/// The root that an address names.
fn root(call: &mut Call<'_>, address: u64, kind: AccessKind, wanted: FieldKind) -> Result<Field, Box<Trap>> {
    let spot = call.touch(address, ROOT_SIZE, kind)?;
    let fields = call.machine.special_fields(spot.region).unwrap_or_default();
    if fields.at(spot.offset).is_none_or(|field| field.kind != wanted) {
        let what = format!("there is no {} at that place", wanted.struct_name().unwrap_or_default());
        return Err(Trap::about(FaultKind::BadArgument { callee: call.name, what }, spot.region));
    }
    Ok((spot.region, spot.offset))
}

/// Is it at the place where that root's nodes are, in an object of that root's type?
fn fits(call: &Call<'_>, root: Field, object: Spot) -> bool {
    let Some(btf) = call.machine.object.btf.as_deref() else { return true };
    let fields = call.machine.special_fields(root.0).unwrap_or_default();
    let Some(graph) = fields.at(root.1).and_then(|field| field.root) else { return true };
    let RegionKind::Object { type_id } = call.machine.memory.region(object.region).kind else { return false };
    btf.resolve(type_id) == btf.resolve(graph.value_type) && object.offset == graph.node_offset
}

/// The object that a node is in, which the program must own; `None` if the node is linked already, in which case the
/// kernel drops the reference and refuses.
fn node_to_link(call: &mut Call<'_>, root: Field, node: u64) -> Result<Option<RegionId>, Box<Trap>> {
    let spot = call.touch(node, ROOT_SIZE, AccessKind::Write)?;
    if !call.machine.ledger.holds(call.task, spot.region) {
        return Err(call.machine.not_owned(spot.region));
    }
    if !fits(call, root, spot) {
        let what = "the list or tree is one of other nodes".to_owned();
        return Err(Trap::about(FaultKind::BadArgument { callee: call.name, what }, spot.region));
    }
    if call.machine.ledger.linked.contains_key(&node) {
        call.machine.release(spot.region, call.holder(), call.at)?;
        return Ok(None);
    }
    Ok(Some(spot.region))
}

fn link(call: &mut Call<'_>, root: Field, node: u64, object: RegionId, index: usize) {
    let program = call.holder();
    let ledger = &mut call.machine.ledger;
    ledger.transfer(object, program, Holder::Graph { root, node });
    let graph = ledger.graphs.entry(root).or_default();
    graph.nodes.insert(index.min(graph.nodes.len()), node);
    ledger.linked.insert(node, root);
    call.machine.report.events.push(Event::Ownership(object));
}

fn unlink(call: &mut Call<'_>, root: Field, index: usize) -> Option<u64> {
    let program = call.holder();
    let ledger = &mut call.machine.ledger;
    let node = ledger.graphs.get_mut(&root)?.nodes.remove(index)?;
    ledger.linked.remove(&node);
    let object = call.machine.memory.at(node)?.region;
    ledger.transfer(object, Holder::Graph { root, node }, program);
    call.machine.report.events.push(Event::Ownership(object));
    Some(node)
}

fn length(call: &Call<'_>, root: Field) -> usize {
    call.machine.ledger.graphs.get(&root).map_or(0, |graph| graph.nodes.len())
}

fn push(call: &mut Call<'_>, front: bool) -> Modelled {
    let (head, node) = (call.args[0], call.args[1]);
    let head = root(call, head, AccessKind::Write, FieldKind::ListHead)?;
    let Some(object) = node_to_link(call, head, node)? else { return Ok(Answer::Value(errno::EINVAL as u64)) };
    let index = if front { 0 } else { usize::MAX };
    link(call, head, node, object, index);
    Ok(Answer::Value(0))
}

fn pop(call: &mut Call<'_>, front: bool) -> Modelled {
    let head = root(call, call.args[0], AccessKind::Write, FieldKind::ListHead)?;
    let Some(last) = length(call, head).checked_sub(1) else { return Ok(Answer::Value(0)) };
    let node = unlink(call, head, if front { 0 } else { last });
    Ok(Answer::Value(node.unwrap_or(0)))
}

fn first(call: &mut Call<'_>) -> Modelled {
    let tree = root(call, call.args[0], AccessKind::Read, FieldKind::RbRoot)?;
    let node = call.machine.ledger.graphs.get(&tree).and_then(|graph| graph.nodes.front());
    Ok(Answer::Value(node.copied().unwrap_or(0)))
}

fn remove(call: &mut Call<'_>) -> Modelled {
    let tree = root(call, call.args[0], AccessKind::Write, FieldKind::RbRoot)?;
    let node = call.args[1];
    if call.machine.ledger.linked.get(&node) != Some(&tree) {
        // The node left the tree meanwhile.
        return Ok(Answer::Value(0));
    }
    let index = call.machine.ledger.graphs.get(&tree).and_then(|graph| graph.nodes.iter().position(|&n| n == node));
    let removed = index.and_then(|index| unlink(call, tree, index));
    Ok(Answer::Value(removed.unwrap_or(0)))
}

/// `bpf_rbtree_add` between two comparisons: the place is in `low..high`.
#[derive(Clone, Debug)]
pub(in crate::machine) struct TreeInsert {
    tree: Field,
    node: u64,
    object: RegionId,
    less: u64,
    low: usize,
    high: usize,
}

fn add(call: &mut Call<'_>) -> Modelled {
    let [tree, node, less, ..] = call.args;
    let tree = root(call, tree, AccessKind::Write, FieldKind::RbRoot)?;
    let Some(object) = node_to_link(call, tree, node)? else { return Ok(Answer::Value(errno::EINVAL as u64)) };
    let high = length(call, tree);
    Box::new(TreeInsert { tree, node, object, less, low: 0, high }).next(call)
}

impl TreeInsert {
    fn next(self: Box<Self>, call: &mut Call<'_>) -> Modelled {
        if self.low >= self.high {
            link(call, self.tree, self.node, self.object, self.low);
            return Ok(Answer::Value(0));
        }
        let middle = self.middle();
        let other = call.machine.ledger.graphs.get(&self.tree).and_then(|graph| graph.nodes.get(middle));
        let args = [self.node, other.copied().unwrap_or(0), 0, 0, 0];
        Ok(Answer::CallBack { function: self.less, args, then: Continuation::TreeInsert(self) })
    }

    fn middle(&self) -> usize {
        usize::midpoint(self.low, self.high)
    }

    /// Goes on with the comparison's result: a node goes before those that it is less than, and behind equal ones.
    pub fn resume(mut self: Box<Self>, call: &mut Call<'_>, result: u64) -> Modelled {
        // The callback returns a `bool`, whose upper bits mean nothing.
        let middle = self.middle();
        if result & 0xff != 0 {
            self.high = middle;
        } else {
            self.low = middle + 1;
        }
        self.next(call)
    }
}
