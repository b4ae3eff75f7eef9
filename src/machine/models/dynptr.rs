//! Dynptrs: views of memory whose bounds are checked when they are used (`kernel/bpf/helpers.c`, Linux 6.12).
//!
//! A dynptr lies in the program's stack as the kernel has it there: address, then size with kind and a read-only bit,
//! then offset. A view of a packet has the address of its context, and is looked up in it each time.

use crate::kernel::ProgramType;
use crate::machine::copy::{Source, Way};
use crate::machine::fault::Trap;
use crate::machine::maps::errno;
use crate::machine::memory::Contents;
use crate::machine::region::RegionKind;
use crate::machine::stepper::Machine;
use crate::machine::story::RegionId;

use super::{Answer, Call, Model, Modelled, helper, kfunc};

pub(super) static MODELS: &[Model] = &[
    helper("bpf_dynptr_from_mem", 4, from_mem),
    kfunc("bpf_dynptr_from_skb", 3, |call| from_packet(call, Kind::Skb)),
    kfunc("bpf_dynptr_from_xdp", 3, |call| from_packet(call, Kind::Xdp)),
    helper("bpf_dynptr_read", 5, read).relaxed().fixed(),
    helper("bpf_dynptr_write", 5, write)
        .relaxed()
        .fixed_if(|machine, args| !is_shared_packet(machine, args[0]))
        .in_ways(|machine, _, args| 1 + u16::from(is_shared_packet(machine, args[0]))),
    helper("bpf_dynptr_data", 3, data),
    kfunc("bpf_dynptr_slice", 4, slice)
        .in_ways(|machine, _, args| if is_shared_packet(machine, args[0]) { 3 } else { 1 }),
    kfunc("bpf_dynptr_slice_rdwr", 4, slice_to_write)
        .in_ways(|machine, _, args| 1 + u16::from(is_shared_packet(machine, args[0]))),
    kfunc("bpf_dynptr_adjust", 3, adjust),
    kfunc("bpf_dynptr_is_null", 1, is_null),
    kfunc("bpf_dynptr_is_rdonly", 1, is_read_only),
    kfunc("bpf_dynptr_size", 1, size),
    kfunc("bpf_dynptr_clone", 2, clone),
];

/// Largest view (`DYNPTR_MAX_SIZE`).
const MAX_SIZE: u32 = (1 << 24) - 1;
/// Bytes of a dynptr.
pub(super) const BYTES: u64 = 16;
const KIND_SHIFT: u32 = 28;
const READ_ONLY: u32 = 1 << 31;

/// What a dynptr is a view of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Memory of the program (`BPF_DYNPTR_TYPE_LOCAL`).
    Local = 1,
    /// A record of a ring buffer (`BPF_DYNPTR_TYPE_RINGBUF`).
    Ring = 2,
    /// The packet of an `sk_buff` (`BPF_DYNPTR_TYPE_SKB`).
    Skb = 3,
    /// An XDP packet (`BPF_DYNPTR_TYPE_XDP`).
    Xdp = 4,
}

/// Program types that may write to the packet through a view of it (`may_access_direct_pkt_data`).
const WRITERS: [ProgramType; 5] =
    [ProgramType::SchedCls, ProgramType::SchedAct, ProgramType::Xdp, ProgramType::LwtXmit, ProgramType::SkSkb];
/// Flags of a write to a packet: `BPF_F_RECOMPUTE_CSUM`, `BPF_F_INVALIDATE_HASH`.
const PACKET_FLAGS: u64 = 3;

/// A dynptr that is not null.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dynptr {
    /// Address of the memory that it was made over.
    pub data: u64,
    /// Size in bytes, with kind and read-only bit.
    word: u32,
    offset: u32,
}

impl Dynptr {
    /// A view of memory from its start; `None` if it is too large.
    pub fn new(kind: Kind, data: u64, size: u32) -> Option<Dynptr> {
        (size <= MAX_SIZE).then_some(Dynptr { data, word: size | (kind as u32) << KIND_SHIFT, offset: 0 })
    }

    /// The dynptr at an address; `None` if it is null.
    pub fn load(call: &mut Call<'_>, address: u64) -> Result<Option<Dynptr>, Box<Trap>> {
        call.kept(address, "dynptr")?;
        let bytes = call.read_own(address, BYTES)?;
        let number =
            |at: usize| bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b));
        let data = u64::from(number(0)) | u64::from(number(4)) << 32;
        if data == 0 {
            return Ok(None);
        }
        let dynptr = Dynptr { data, word: number(8), offset: number(12) };
        match (dynptr.word & !READ_ONLY) >> KIND_SHIFT {
            1..=4 => Ok(Some(dynptr)),
            kind => Err(Trap::unsupported(format!("{} on a dynptr of kind {kind}", call.name))),
        }
    }

    /// Writes it to an address; `None` is the null dynptr.
    pub fn store(dynptr: Option<Dynptr>, call: &mut Call<'_>, address: u64) -> Result<(), Box<Trap>> {
        let bytes = dynptr.map_or_else(|| vec![0; BYTES as usize], Dynptr::bytes);
        call.keep(address, &bytes, 0..0);
        call.write_own(address, &bytes)
    }

    /// Puts it into memory of the kernel's.
    pub fn store_for_kernel(self, call: &mut Call<'_>, address: u64, region: RegionId) {
        let bytes = self.bytes();
        call.keep(address, &bytes, 0..0);
        call.machine.memory.poke(region, 0, &bytes);
    }

    fn bytes(self) -> Vec<u8> {
        [&self.data.to_le_bytes()[..], &self.word.to_le_bytes(), &self.offset.to_le_bytes()].concat()
    }

    fn size(self) -> u32 {
        self.word & MAX_SIZE
    }

    fn is_read_only(self) -> bool {
        self.word & READ_ONLY != 0
    }

    fn is_packet(self) -> bool {
        (self.word & !READ_ONLY) >> KIND_SHIFT >= Kind::Skb as u32
    }

    /// Where `length` bytes from an offset of the view are; `None` if they are not all in it.
    fn within(self, call: &Call<'_>, offset: u32, length: u32) -> Result<Option<u64>, Box<Trap>> {
        if self.size().checked_sub(length).is_none_or(|last| offset > last) {
            return Ok(None);
        }
        let offset = u64::from(self.offset) + u64::from(offset);
        if !self.is_packet() {
            return Ok(Some(self.data + offset));
        }
        let place = call.packet_at(self.data)?.1.place(offset as i64, length);
        Ok(place.map(|(region, at)| call.machine.memory.base(region) + u64::from(at)))
    }
}

/// Is it a view of a packet whose bytes others may have too?
fn is_shared_packet(machine: &Machine, address: u64) -> bool {
    let Some(spot) = machine.memory.at(address).filter(|_| machine.options.stocked) else { return false };
    let word = machine.memory.peek(spot.region).get(spot.offset as usize + 8..).and_then(|rest| rest.first_chunk());
    word.is_some_and(|word| (u32::from_le_bytes(*word) & !READ_ONLY) >> KIND_SHIFT == Kind::Skb as u32)
}

fn number(result: i64) -> Modelled {
    Ok(Answer::Value(result as u64))
}

fn from_mem(call: &mut Call<'_>) -> Modelled {
    let [memory, _, flags, to, _] = call.args;
    let dynptr = Dynptr::new(Kind::Local, memory, call.arg32(1));
    let result = match (dynptr, flags) {
        (None, _) => errno::E2BIG,
        (Some(_), 0) => 0,
        (Some(_), _) => errno::EINVAL,
    };
    Dynptr::store(dynptr.filter(|_| result == 0), call, to)?;
    number(result)
}

fn from_packet(call: &mut Call<'_>, kind: Kind) -> Modelled {
    let [packet, flags, to, ..] = call.args;
    let program = ProgramType::from_number(call.execution()?.program.source().section.program_type);
    if kind == Kind::Skb && call.packet_at(packet).is_err() {
        // Another packet's: its length is read first.
        let region = call.alive(packet)?;
        call.is_struct(region, "sk_buff")?;
    }
    let size = call.packet_at(packet)?.1.len();
    let mut dynptr = Dynptr::new(kind, packet, size).filter(|_| flags == 0);
    if let Some(dynptr) = dynptr.as_mut().filter(|_| !program.is_some_and(|program| WRITERS.contains(&program))) {
        dynptr.word |= READ_ONLY;
    }
    Dynptr::store(dynptr, call, to)?;
    number(if flags == 0 { 0 } else { errno::EINVAL })
}

fn read(call: &mut Call<'_>) -> Modelled {
    let [to, _, from, _, flags] = call.args;
    let (length, offset) = (call.arg32(1), call.arg32(3));
    let Some(dynptr) = Dynptr::load(call, from)?.filter(|_| flags == 0) else { return number(errno::EINVAL) };
    let Some(address) = dynptr.within(call, offset, length)? else { return number(errno::E2BIG) };
    move_bytes(call, address, to, length)
}

fn write(call: &mut Call<'_>) -> Modelled {
    let [to, _, from, _, flags] = call.args;
    let (offset, length) = (call.arg32(1), call.arg32(3));
    let dynptr = Dynptr::load(call, to)?.filter(|dynptr| !dynptr.is_read_only());
    let Some(dynptr) = dynptr else { return number(errno::EINVAL) };
    if dynptr.is_packet() {
        call.unshare(dynptr.data)?;
    }
    let Some(address) = dynptr.within(call, offset, length)? else { return number(errno::E2BIG) };
    if flags != 0 && !(dynptr.is_packet() && flags & !PACKET_FLAGS == 0) {
        return number(errno::EINVAL);
    }
    move_bytes(call, from, address, length)
}

/// `memmove`: word by word where others can see it, but not between places that overlap.
fn move_bytes(call: &mut Call<'_>, from: u64, to: u64, length: u32) -> Modelled {
    let overlaps = from.abs_diff(to) < length.into();
    let source = if overlaps { Source::Bytes(call.read(from, length.into())?) } else { call.source(from, length)? };
    let copy = call.copy(source, to, length, &[(0, length)], Way::Forward, 0);
    call.begin(copy)
}

fn data(call: &mut Call<'_>) -> Modelled {
    let (offset, length) = (call.arg32(1), call.arg32(2));
    let dynptr = Dynptr::load(call, call.args[0])?.filter(|dynptr| !dynptr.is_read_only());
    let Some(dynptr) = dynptr.filter(|dynptr| !dynptr.is_packet()) else { return number(0) };
    Ok(Answer::Value(dynptr.within(call, offset, length)?.unwrap_or(0)))
}

/// How the bytes of a slice are there: of a packet, a stocked machine has all three.
#[derive(Clone, Copy, Debug)]
enum Laid {
    /// In one piece, which is nobody else's.
    InPlace,
    /// In one piece that others have too: who writes to it without a copy of its own changes theirs.
    Shared,
    /// In pieces, so that they come as a copy in the buffer, or not at all if there is none (`skb_header_pointer`).
    InPieces,
}

fn slice(call: &mut Call<'_>) -> Modelled {
    let laid = [Laid::InPlace, Laid::Shared, Laid::InPieces].get(usize::from(call.machine.branch)).copied();
    sliced(call, laid.unwrap_or(Laid::InPlace))
}

fn sliced(call: &mut Call<'_>, laid: Laid) -> Modelled {
    let (offset, buffer, length) = (call.arg32(1), call.args[2], call.arg32(3));
    let dynptr = Dynptr::load(call, call.args[0])?;
    let Some(dynptr) = dynptr else { return number(0) };
    let Some(place) = dynptr.within(call, offset, length)? else { return number(0) };
    match laid {
        Laid::InPlace => Ok(Answer::Value(place)),
        Laid::InPieces if buffer == 0 => number(0),
        Laid::InPieces => {
            let bytes = call.read(place, length.into())?;
            call.write(buffer, &bytes)?;
            Ok(Answer::Value(buffer))
        }
        Laid::Shared => {
            let bytes = call.read(place, length.into())?;
            let region = call.machine.allocate(RegionKind::Packet, length, Contents::Zero, call.at)?;
            call.machine.memory.poke(region, 0, &bytes);
            call.machine.memory.freeze(region);
            Ok(Answer::Value(call.machine.memory.base(region)))
        }
    }
}

/// Who is given a slice to write to has had a copy of the packet made, so that nobody shares it (`bpf_unclone_prologue`).
fn slice_to_write(call: &mut Call<'_>) -> Modelled {
    let laid = if call.machine.branch == 0 { Laid::InPlace } else { Laid::InPieces };
    match Dynptr::load(call, call.args[0])? {
        Some(dynptr) if !dynptr.is_read_only() => sliced(call, laid),
        _ => Ok(Answer::Value(0)),
    }
}

fn adjust(call: &mut Call<'_>) -> Modelled {
    let (start, end) = (call.arg32(1), call.arg32(2));
    let Some(mut dynptr) = Dynptr::load(call, call.args[0])?.filter(|_| start <= end) else {
        return number(errno::EINVAL);
    };
    if end > dynptr.size() {
        return number(errno::ERANGE);
    }
    dynptr.offset = dynptr.offset.wrapping_add(start);
    dynptr.word = dynptr.word & !MAX_SIZE | (end - start);
    Dynptr::store(Some(dynptr), call, call.args[0])?;
    number(0)
}

fn is_null(call: &mut Call<'_>) -> Modelled {
    Ok(Answer::Value(Dynptr::load(call, call.args[0])?.is_none().into()))
}

fn is_read_only(call: &mut Call<'_>) -> Modelled {
    Ok(Answer::Value(Dynptr::load(call, call.args[0])?.is_some_and(Dynptr::is_read_only).into()))
}

fn size(call: &mut Call<'_>) -> Modelled {
    // The result is 32 bits wide, the error number included.
    let size = Dynptr::load(call, call.args[0])?.map_or(errno::EINVAL as u32, Dynptr::size);
    Ok(Answer::Value(size.into()))
}

fn clone(call: &mut Call<'_>) -> Modelled {
    let dynptr = Dynptr::load(call, call.args[0])?;
    Dynptr::store(dynptr, call, call.args[1])?;
    number(if dynptr.is_some() { 0 } else { errno::EINVAL })
}
