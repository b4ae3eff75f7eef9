//! Packet bytes: what may be read and written through packet pointers, what comparisons with the packet's end teach,
//! and what invalidates such pointers (`check_packet_access`, `try_match_pkt_pointers`, `clear_all_pkt_pointers`,
//! `kernel/bpf/verifier.c`, Linux 6.12).
//!
//! A packet pointer's range is the number of bytes behind its origin, the pointer of offset 0 with the same id, that
//! are known to exist. It grows by comparison. A negative range says that the pointer itself is at or beyond the end.

use super::env::{Check, Verifier, reject};
use super::memory::{Access, Mode};
use super::rule::{Errno, Rule};
use super::state::State;
use super::value::{DynptrKind, PacketArea, Pointer, Target, Value};
use crate::isa::{JumpOp, Register};
use crate::kernel::ProgramType;
use crate::kernel::limits::PACKET_OFFSET;
use crate::seeded::{self, Fault};

/// Range of a pointer that is at the end or beyond it (`AT_PKT_END`).
const AT_END: i32 = -1;
/// Range of a pointer that is beyond the end (`BEYOND_PKT_END`).
const BEYOND_END: i32 = -2;

/// A comparison seen from the packet pointer's side: `pointer op end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sides {
    /// The register that has a range.
    register: Register,
    /// Its pointer.
    pointer: Pointer,
    /// The comparison with that register on the left.
    op: JumpOp,
}

impl Verifier<'_> {
    /// May programs of this type touch packet bytes, themselves or through a helper that takes them
    /// (`may_access_direct_pkt_data`)? `helper` says what the helper takes.
    #[must_use]
    pub fn may_access_packet(&self, mode: Mode, helper: Option<bool>) -> bool {
        use ProgramType as P;
        match self.program_type() {
            Some(P::LwtIn | P::LwtOut | P::LwtSeg6local | P::SkReuseport | P::FlowDissector | P::CgroupSkb) => {
                mode == Mode::Read && helper.unwrap_or(true)
            }
            Some(P::SchedCls | P::SchedAct | P::Xdp | P::LwtXmit | P::SkSkb | P::SkMsg) => helper.unwrap_or(true),
            Some(P::CgroupSockopt) => true,
            _ => false,
        }
    }

    /// A load or store.
    pub fn check_packet_access(&mut self, pointer: &Pointer, range: i32, access: Access) -> Check {
        if access.mode == Mode::Write && !self.may_access_packet(Mode::Write, None) {
            return reject(Rule::WriteIntoPacket);
        }
        self.check_stores_no_address(access, "into packet")?;
        self.check_packet_range(pointer, range, access, false)?;
        self.load_unknown(access);
        Ok(())
    }

    /// Are the bytes inside what is known to exist?
    pub fn check_packet_range(&mut self, pointer: &Pointer, range: i32, access: Access, zero_allowed: bool) -> Check {
        let Access { base: register, offset, size, .. } = access;
        if pointer.variable.smin < 0 {
            return reject(Rule::NegativeMinimum { register });
        }
        let Ok(limit) = u32::try_from(range) else {
            return reject(Rule::BeyondPacket { register, errno: Errno::Invalid });
        };
        let size_is_fine = size > 0 || zero_allowed;
        if offset >= 0 && size_is_fine && i64::from(offset) + i64::from(size) <= i64::from(limit) {
            return Ok(());
        }
        self.say(&Rule::OutsidePacket { register, id: pointer.id, offset, size, limit });
        reject(Rule::BeyondPacket { register, errno: Errno::Access })
    }

    /// The flow dissector's keys (`check_flow_keys_access`).
    pub fn check_flow_keys_access(&mut self, access: Access) -> Check {
        /// Size of `struct bpf_flow_keys`.
        const FLOW_KEYS: i64 = 56;
        self.check_stores_no_address(access, "into flow keys")?;
        let Access { offset, size, .. } = access;
        if offset < 0 || i64::from(offset) + i64::from(size) > FLOW_KEYS {
            return reject(Rule::OutsideFlowKeys { offset, size });
        }
        self.load_unknown(access);
        Ok(())
    }

    /// The packet may have moved: pointers into it are numbers from here on.
    pub fn forget_packet_pointers(&mut self) {
        let stale = self.stale();
        self.state.for_each_value(false, |value| {
            let is_packet = |one: &Pointer| {
                one.is_packet_or_end() || matches!(one.attributes.slice, Some(DynptrKind::Skb | DynptrKind::Xdp))
            };
            if value.as_pointer().is_some_and(is_packet) {
                *value = stale;
            }
        });
    }

    /// What a comparison of 64 bits teaches of ranges, on both ways. The state at hand is where the jump is not taken;
    /// `pushed` is where it is. `true` if it is such a comparison.
    pub fn learn_packet_range(&mut self, op: JumpOp, dst: Register, src: Register, pushed: usize) -> bool {
        let (Value::Pointer(left), Value::Pointer(right)) = (self.value(dst), self.value(src)) else { return false };
        let sides = if is_compared(&left, &right) {
            Sides { register: dst, pointer: left, op }
        } else if is_compared(&right, &left) {
            Sides { register: src, pointer: right, op: flipped(op) }
        } else {
            return false;
        };
        let Sides { register, pointer, op } = sides;
        // Where the pointer is at most at the end, bytes before it exist; on the other way it is at or beyond the end.
        let (inside_is_taken, equal_is_inside) = match op {
            JumpOp::Greater => (false, true),
            JumpOp::GreaterEqual => (false, false),
            JumpOp::Less => (true, false),
            JumpOp::LessEqual => (true, true),
            _ => return false,
        };
        let taken = &mut self.pending[pushed].state;
        let (inside, outside) = if inside_is_taken { (taken, &mut self.state) } else { (&mut self.state, taken) };
        widen_ranges(inside, &pointer, !equal_is_inside);
        mark_end(outside, register, equal_is_inside);
        true
    }
}

/// Which way a comparison of packet pointers goes, if it was made before (`is_pkt_ptr_branch_taken`).
#[must_use]
pub fn packet_branch_taken(op: JumpOp, left: &Pointer, right: &Pointer) -> Option<bool> {
    let (pointer, op) = if right.target == Target::PacketEnd {
        (left, op)
    } else if left.target == Target::PacketEnd {
        (right, flipped(op))
    } else {
        return None;
    };
    let Target::Packet { range, .. } = pointer.target else { return None };
    match (op, range) {
        (JumpOp::LessEqual, BEYOND_END) => Some(false),
        (JumpOp::Greater, BEYOND_END) => Some(true),
        (JumpOp::Less, BEYOND_END | AT_END) => Some(false),
        (JumpOp::GreaterEqual, BEYOND_END | AT_END) => Some(true),
        _ => None,
    }
}

/// Data is compared with the packet's end, metadata with the start of data.
fn is_compared(pointer: &Pointer, end: &Pointer) -> bool {
    match pointer.target {
        Target::Packet { area: PacketArea::Data, .. } => end.target == Target::PacketEnd,
        Target::Packet { area: PacketArea::Meta, .. } => {
            matches!(end.target, Target::Packet { area: PacketArea::Data, .. })
                && end.id == 0
                && end.offset == 0
                && end.variable.var_off.equals_const(0)
        }
        _ => false,
    }
}

fn flipped(op: JumpOp) -> JumpOp {
    match op {
        JumpOp::Greater => JumpOp::Less,
        JumpOp::GreaterEqual => JumpOp::LessEqual,
        JumpOp::Less => JumpOp::Greater,
        JumpOp::LessEqual => JumpOp::GreaterEqual,
        other => other,
    }
}

/// All copies of the pointer learn that the bytes up to it exist, and one more if it is before the end
/// (`find_good_pkt_pointers`).
fn widen_ranges(state: &mut State, pointer: &Pointer, before_end: bool) {
    let offset = pointer.offset;
    if offset < 0 || (offset == 0 && before_end) {
        return;
    }
    // Such an offset may have wrapped around the end of the address space.
    if pointer.variable.umax > PACKET_OFFSET || pointer.variable.umax.saturating_add(offset as u64) > PACKET_OFFSET {
        return;
    }
    let Target::Packet { area, .. } = pointer.target else { return };
    let known = offset + i32::from(before_end) + i32::from(seeded::active(Fault::PacketRangeOffByOne));
    state.for_each_value(false, |value| {
        if let Value::Pointer(other) = value
            && other.id == pointer.id
            && let Target::Packet { area: other_area, range } = &mut other.target
            && *other_area == area
        {
            *range = known.max(*range);
        }
    });
}

/// The pointer is at the end or beyond it (`mark_pkt_end`).
fn mark_end(state: &mut State, register: Register, beyond: bool) {
    if let Value::Pointer(Pointer { target: Target::Packet { area: PacketArea::Data, range }, .. }) =
        &mut state.frame_mut().registers[register.index()].value
    {
        *range = if beyond { BEYOND_END } else { AT_END };
    }
}
