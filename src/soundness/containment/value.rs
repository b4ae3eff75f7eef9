//! Values as the verifier's log prints them, read back: `scalar(id=2,umax=255)`, `map_value(map=m,ks=4,vs=8,off=4)`, `fp-8=mmmm????`.
//!
//! The grammar is that of `print_reg_state` and `print_verifier_state` (`kernel/bpf/log.c`, Linux 6.12); our own log prints the same. What
//! is read is only what was printed: whether a number lies in a [`Range`] is decided here, whether a pointer points to what it should in
//! [`super::within`].

use std::sync::Arc;

/// What is known of a number of 64 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Unsigned bounds.
    pub unsigned: (u64, u64),
    /// Signed bounds.
    pub signed: (i64, i64),
    /// Unsigned bounds of the low half.
    pub unsigned32: (u32, u32),
    /// Signed bounds of the low half.
    pub signed32: (i32, i32),
    /// Bits that are known, as a value and a mask of those that are not.
    pub bits: (u64, u64),
}

impl Default for Range {
    fn default() -> Range {
        Range {
            unsigned: (0, u64::MAX),
            signed: (i64::MIN, i64::MAX),
            unsigned32: (0, u32::MAX),
            signed32: (i32::MIN, i32::MAX),
            bits: (0, u64::MAX),
        }
    }
}

impl Range {
    /// Just that number.
    #[must_use]
    pub fn constant(value: u64) -> Range {
        Range {
            unsigned: (value, value),
            signed: (value as i64, value as i64),
            unsigned32: (value as u32, value as u32),
            signed32: (value as i32, value as i32),
            bits: (value, 0),
        }
    }

    /// Is the number one of these? If not, what speaks against it.
    ///
    /// # Errors
    /// The name of the bound that it is outside of.
    pub fn holds(&self, value: u64) -> Result<(), &'static str> {
        let outside = [
            ("umin", value < self.unsigned.0),
            ("umax", value > self.unsigned.1),
            ("smin", (value as i64) < self.signed.0),
            ("smax", value as i64 > self.signed.1),
            ("umin32", (value as u32) < self.unsigned32.0),
            ("umax32", value as u32 > self.unsigned32.1),
            ("smin32", (value as i32) < self.signed32.0),
            ("smax32", value as i32 > self.signed32.1),
            ("var_off", value & !self.bits.1 != self.bits.0),
        ];
        outside.into_iter().find(|(_, is)| *is).map_or(Ok(()), |(name, _)| Err(name))
    }

    /// Has such a number no bits but in its low `size` bytes (1 to 7)?
    #[must_use]
    pub fn fits(&self, size: usize) -> bool {
        self.unsigned.1 < 1 << (8 * size)
    }

    /// What is known of the low `size` bytes (1 to 7) of such a number, which stand alone.
    #[must_use]
    pub fn low(&self, size: usize) -> Range {
        let mask = (1 << (8 * size)) - 1;
        if self.fits(size) {
            return self.clone();
        }
        // What the bytes above were worth is gone, and with it all bounds but those of the known bits.
        let (value, unknown) = (self.bits.0 & mask, self.bits.1 & mask);
        Range { unsigned: (value, value | unknown), bits: (value, unknown), ..Range::default() }
    }

    /// Takes one bound in; `false` if there is none of that name.
    fn set(&mut self, name: &str, value: u64) -> bool {
        match name {
            "umin" => self.unsigned.0 = value,
            "umax" => self.unsigned.1 = value,
            "smin" => self.signed.0 = value as i64,
            "smax" => self.signed.1 = value as i64,
            "umin32" => self.unsigned32.0 = value as u32,
            "umax32" => self.unsigned32.1 = value as u32,
            "smin32" => self.signed32.0 = value as i32,
            "smax32" => self.signed32.1 = value as i32,
            "imm" => *self = Range::constant(value),
            _ => return false,
        }
        true
    }
}

/// What a pointer points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `ctx`
    Context,
    /// `map_ptr`
    Map,
    /// `map_value`
    MapValue,
    /// `map_key`
    MapKey,
    /// `fp`
    Stack,
    /// `pkt`
    Packet,
    /// `pkt_meta`
    PacketMeta,
    /// `pkt_end`
    PacketEnd,
    /// `flow_keys`
    FlowKeys,
    /// `sock`, `sock_common`, `tcp_sock`, `xdp_sock`
    Socket,
    /// `ptr_`
    Object,
    /// `mem`
    Memory,
    /// `buf`, `tp_buffer`
    Buffer,
    /// `func`
    Function,
    /// `arena`
    Arena,
    /// `dynptr_ptr`
    Dynptr,
}

/// Names of targets; of two that begin alike the longer stands first.
const TARGETS: [(&str, Target); 18] = [
    ("ctx", Target::Context),
    ("map_ptr", Target::Map),
    ("map_value", Target::MapValue),
    ("map_key", Target::MapKey),
    ("fp", Target::Stack),
    ("pkt_meta", Target::PacketMeta),
    ("pkt_end", Target::PacketEnd),
    ("pkt", Target::Packet),
    ("flow_keys", Target::FlowKeys),
    ("sock_common", Target::Socket),
    ("sock", Target::Socket),
    ("tcp_sock", Target::Socket),
    ("xdp_sock", Target::Socket),
    ("mem", Target::Memory),
    ("buf", Target::Buffer),
    ("tp_buffer", Target::Buffer),
    ("func", Target::Function),
    ("dynptr_ptr", Target::Dynptr),
];

/// What may stand before a target's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// `percpu_`: it names all CPUs' copies.
    pub per_cpu: bool,
    /// `rcu_`: it may be used inside the RCU section.
    pub rcu: bool,
    /// `untrusted_`: it may be anything.
    pub untrusted: bool,
    /// `user_`: an address of user space.
    pub user: bool,
    /// `trusted_`: it was checked where it came from.
    pub trusted: bool,
}

/// A pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// What it points to.
    pub target: Target,
    /// What stands before the target's name.
    pub marks: Marks,
    /// May it be null?
    pub or_null: bool,
    /// Of an object, its type's name.
    pub type_name: Arc<str>,
    /// Of a stack, the frame; `None` if it is the one that the value is in.
    pub frame: Option<u32>,
    /// Pointers of one number differ only by what is known of them.
    pub id: u32,
    /// The reference that it carries, or 0.
    pub reference: u32,
    /// `non_own_ref`: it borrows a node of a list or tree.
    pub non_owning: bool,
    /// The map's name, where it has one.
    pub map: Option<Arc<str>>,
    /// Size of the map's keys in bytes.
    pub key_size: u32,
    /// Fixed part of the offset in bytes.
    pub offset: i64,
    /// The other part.
    pub variable: Range,
    /// Bytes of a packet that are known to be there; negative if it is known to lie at or behind the end.
    pub available: i64,
    /// Bytes of memory.
    pub size: u64,
}

/// What a register or a spilled register holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Abstract {
    /// A number; those of one `id` other than 0 are equal but for `delta`.
    Number {
        /// Which others it is tied to.
        id: u32,
        /// What it has more than they.
        delta: i64,
        /// What is known of it.
        range: Range,
    },
    /// A pointer.
    Pointer(Box<Pointer>),
    /// An iterator or dynptr on the stack, which a program cannot read: the reference that it carries, or 0.
    Handle(u32),
}

/// A value with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// As printed.
    pub text: Box<str>,
    /// As read.
    pub kind: Abstract,
}

/// Eight bytes of stack. Byte 0 is the one furthest up, as in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// As printed.
    pub text: Box<str>,
    /// `true` for each byte that is known to be zero.
    pub zero: [bool; 8],
    /// What the lowest bytes hold, and how many they are: 8 for a whole register, 0 if nothing was spilled.
    pub spilled: Option<(Value, usize)>,
}

/// A number as the log writes it: decimal, or hexadecimal for its 64 bits.
#[must_use]
pub fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse::<i64>().map(|value| value as u64).or_else(|_| text.parse()).ok(),
    }
}

impl Value {
    /// Reads a value; `None` if it is not one that this knows.
    #[must_use]
    pub fn parse(text: &str) -> Option<Value> {
        Some(Value { text: text.into(), kind: parse_kind(text)? })
    }
}

fn parse_kind(text: &str) -> Option<Abstract> {
    let plain = text.strip_prefix('P').unwrap_or(text);
    if let Some(value) = number(plain) {
        return Some(Abstract::Number { id: 0, delta: 0, range: Range::constant(value) });
    }
    if let Some(inside) = plain.strip_prefix("scalar(") {
        return parse_scalar(inside.strip_suffix(')')?);
    }
    if text.starts_with("iter_") || (text.starts_with("dynptr_") && !text.starts_with("dynptr_ptr")) {
        let attribute = |one: &str| one.trim_end_matches(')').strip_prefix("ref_id=").and_then(|id| id.parse().ok());
        return Some(Abstract::Handle(text.split(['(', ',']).find_map(attribute).unwrap_or(0)));
    }
    Some(Abstract::Pointer(Box::new(parse_pointer(text)?)))
}

fn parse_scalar(inside: &str) -> Option<Abstract> {
    let (mut id, mut delta, mut range) = (0, 0, Range::default());
    for attribute in inside.split(',').filter(|attribute| !attribute.is_empty()) {
        if let Some(tied) = attribute.strip_prefix("id=") {
            let sign = tied.find(['+', '-']).unwrap_or(tied.len());
            id = tied[..sign].parse().ok()?;
            delta = tied[sign..].parse().unwrap_or(0);
        } else {
            parse_bound(attribute, &mut range)?;
        }
    }
    Some(Abstract::Number { id, delta, range })
}

/// `smin=smin32=0`, or `var_off=(0x0; 0xff)`.
fn parse_bound(attribute: &str, range: &mut Range) -> Option<()> {
    if let Some(bits) = attribute.strip_prefix("var_off=(") {
        let (value, mask) = bits.strip_suffix(')')?.split_once("; ")?;
        range.bits = (number(value)?, number(mask)?);
        return Some(());
    }
    let (names, value) = attribute.rsplit_once('=')?;
    let value = number(value)?;
    names.split('=').all(|name| range.set(name, value)).then_some(())
}

fn parse_pointer(text: &str) -> Option<Pointer> {
    let mut rest = text;
    let mut marks = Marks::default();
    loop {
        let (mark, prefix) = match () {
            () if rest.starts_with("percpu_") => (&mut marks.per_cpu, "percpu_"),
            () if rest.starts_with("rcu_") => (&mut marks.rcu, "rcu_"),
            () if rest.starts_with("untrusted_") => (&mut marks.untrusted, "untrusted_"),
            () if rest.starts_with("user_") => (&mut marks.user, "user_"),
            () if rest.starts_with("trusted_") => (&mut marks.trusted, "trusted_"),
            () if rest.starts_with("ringbuf_") => (&mut false, "ringbuf_"),
            () if rest.starts_with("rdonly_") => (&mut false, "rdonly_"),
            () => break,
        };
        *mark = true;
        rest = &rest[prefix.len()..];
    }
    let mut pointer = Pointer {
        target: Target::Object,
        marks,
        or_null: false,
        type_name: "".into(),
        frame: None,
        id: 0,
        reference: 0,
        non_owning: false,
        map: None,
        key_size: 0,
        offset: 0,
        variable: Range::constant(0),
        available: 0,
        size: 0,
    };
    if rest == "arena" {
        pointer.target = Target::Arena;
        return Some(pointer);
    }
    let inside = if let Some(named) = rest.strip_prefix("ptr_") {
        let (name, inside) = named.split_once('(')?;
        let name = name.strip_prefix("or_null_").inspect(|_| pointer.or_null = true).unwrap_or(name);
        pointer.type_name = name.into();
        inside.strip_suffix(')')?
    } else {
        let (name, target) = TARGETS.into_iter().find(|(name, _)| rest.starts_with(name))?;
        pointer.target = target;
        rest = &rest[name.len()..];
        if target == Target::Stack
            && let Some(done) = parse_stack(&mut rest, &mut pointer)
        {
            return done.then_some(pointer);
        }
        rest = rest.strip_prefix("_or_null").inspect(|_| pointer.or_null = true).unwrap_or(rest);
        rest.strip_prefix('(')?.strip_suffix(')')?
    };
    let mut variable = None;
    for attribute in inside.split(',').filter(|attribute| !attribute.is_empty()) {
        parse_attribute(attribute, &mut pointer, &mut variable)?;
    }
    pointer.variable = variable.unwrap_or(Range::constant(0));
    Some(pointer)
}

/// `[1]-8`, as far as it goes: the frame, then perhaps the whole offset. `None` if attributes follow.
fn parse_stack(rest: &mut &str, pointer: &mut Pointer) -> Option<bool> {
    if let Some((frame, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        pointer.frame = Some(frame.parse().ok()?);
        *rest = after;
    }
    if rest.starts_with('(') {
        return None;
    }
    let offset = number(rest)?;
    pointer.offset = offset as i64;
    Some(true)
}

fn parse_attribute(attribute: &str, pointer: &mut Pointer, variable: &mut Option<Range>) -> Option<()> {
    let Some((name, value)) = attribute.split_once('=') else {
        pointer.non_owning |= attribute == "non_own_ref";
        return (attribute == "non_own_ref").then_some(());
    };
    match name {
        "id" => pointer.id = value.parse().ok()?,
        "ref_obj_id" => pointer.reference = value.parse().ok()?,
        "map" => pointer.map = Some(value.into()),
        "ks" => pointer.key_size = value.parse().ok()?,
        "off" => pointer.offset = i64::from(number(value)? as i32),
        "r" => pointer.available = number(value)? as i64,
        "sz" => pointer.size = number(value)?,
        "vs" | "type" => {}
        _ => parse_bound(attribute, variable.get_or_insert_default())?,
    }
    Some(())
}

impl Slot {
    /// Reads a slot; `None` if it is not one that this knows.
    #[must_use]
    pub fn parse(text: &str) -> Option<Slot> {
        let is_kind = |byte: &u8| matches!(byte, b'?' | b'm' | b'0');
        let zeros = |prefix: &str| {
            let mut zero = [false; 8];
            zero.iter_mut().zip(prefix.bytes()).for_each(|(zero, byte)| *zero = byte == b'0');
            zero
        };
        if text.len() == 8 && text.as_bytes().iter().all(is_kind) {
            return Some(Slot { text: text.into(), zero: zeros(text), spilled: None });
        }
        // A spill of 1, 2 or 4 bytes has kinds of the bytes above it in front.
        for size in [8, 4, 2, 1] {
            let Some((above, value)) = text.split_at_checked(8 - size) else { continue };
            let padded = value.len() > 1 && value.starts_with('0') && !value.starts_with("0x");
            if padded || !above.as_bytes().iter().all(is_kind) {
                continue;
            }
            if let Some(spilled) = Value::parse(value) {
                return Some(Slot { text: text.into(), zero: zeros(above), spilled: Some((spilled, size)) });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range_of(text: &str) -> Range {
        match Value::parse(text).map(|value| value.kind) {
            Some(Abstract::Number { range, .. }) => range,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn pointer(text: &str) -> Pointer {
        match Value::parse(text).map(|value| value.kind) {
            Some(Abstract::Pointer(pointer)) => *pointer,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn bounds_that_are_printed_together_all_hold() {
        let range = range_of("scalar(id=3+2,smin=smin32=0,smax=umax=smax32=umax32=3,var_off=(0x0; 0x3))");
        assert_eq!(range.holds(3), Ok(()));
        assert_eq!(range.holds(4), Err("umax"));
        assert_eq!(range.holds(1 << 32), Err("umax"));
        let low = range_of(
            "scalar(smin=0x8000000080000000,umin=umin32=0x80000000,smax32=-1,var_off=(0x80000000; 0xffffffff7fffffff))",
        );
        assert_eq!(low.holds(0xffff_ffff), Ok(()));
        assert_eq!(low.holds(0x1_0000_0000), Err("umin32"));
    }

    #[test]
    fn a_number_fits_if_no_bit_stands_above() {
        let word = range_of("scalar(id=4,smin=0,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff))");
        assert!(word.fits(4) && !word.fits(2) && !range_of("scalar()").fits(7));
    }

    #[test]
    fn constants_are_signed_or_hexadecimal() {
        assert_eq!(range_of("P-1").holds(u64::MAX), Ok(()));
        assert_eq!(range_of("0xffffffff").holds(0xffff_ffff), Ok(()));
        assert!(range_of("7").holds(8).is_err());
    }

    #[test]
    fn pointers_have_marks_names_and_attributes() {
        let owned = pointer("percpu_ptr_or_null_counter(id=5,ref_obj_id=5)");
        assert!(owned.marks.per_cpu && owned.or_null && owned.reference == 5 && &*owned.type_name == "counter");
        let value = pointer("map_value(map=slots,ks=4,vs=24,off=16,smin=0,smax=umax=7,var_off=(0x0; 0x7))");
        assert_eq!((value.offset, value.variable.holds(7), value.variable.holds(8)), (16, Ok(()), Err("umax")));
        let stack = pointer("fp[0]-4");
        assert_eq!((stack.frame, stack.offset), (Some(0), -4));
        let unknown = pointer("fp(off=-8,smin=0,smax=umax=4,var_off=(0x0; 0x4))");
        assert_eq!((unknown.offset, unknown.variable.unsigned.1), (-8, 4));
        assert_eq!(pointer("pkt(id=2,off=14,r=34)").available, 34);
        assert_eq!(pointer("rdonly_mem(id=2,ref_obj_id=1,sz=4)").size, 4);
    }

    #[test]
    fn slots_have_bytes_or_a_spill_behind_them() {
        let bytes = Slot::parse("mmmm0000").expect("eight bytes");
        assert_eq!(bytes.zero, [false, false, false, false, true, true, true, true]);
        let spill = Slot::parse("????4").expect("a spilled half");
        assert_eq!(spill.spilled.map(|(value, size)| (value.text, size)), Some(("4".into(), 4)));
        let zero = Slot::parse("00000").expect("a zero behind zeros");
        assert_eq!(zero.spilled.map(|(_, size)| size), Some(4));
        let whole = Slot::parse("map_value(map=m,ks=4,vs=8)").expect("a pointer");
        assert_eq!(whole.spilled.map(|(_, size)| size), Some(8));
        assert!(Slot::parse("????").is_none() && Slot::parse("").is_none());
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for text in ["", "scalar(", "scalar(weird=3)", "ptr_", "map_value", "fp", "scalar(id=)", "var_off=(", "pkt(r=)"]
        {
            assert!(Value::parse(text).is_none(), "{text}");
        }
    }
}
