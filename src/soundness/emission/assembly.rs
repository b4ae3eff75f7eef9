//! Assembly text in LLVM's syntax, of which `clang --target=bpf -mcpu=v4 -c` makes the same object again.
//!
//! Instructions stand under the statement that they came from. Places are labels, in the types' section too, so that a
//! reader may change, add and remove instructions. What LLVM has no words for stands as bytes.

use std::fmt::Write;

use rustc_hash::FxHashMap;

use super::types::MAP_BYTES;
use super::{Batch, function_name};
use crate::btf::{StringTable, TypeId};
use crate::isa::{AluOp, AtomicOp, CallTarget, Endian, ImmediateSource, Insn, Operand, Register, Size, Width, decode};
use crate::soundness::program::universe::MapName;
use crate::soundness::program::{Code, Function, Line, Reference};

/// What line the file starts with; a reader shall know what to do with it.
const HEAD: &str = "# Assemble: clang --target=bpf -mcpu=v4 -c FILE.s -o FILE.bpf.o\n";

impl Batch<'_> {
    /// The object as text. The same programs give the same text.
    #[must_use]
    pub fn assembly(&self) -> String {
        let mut text = Text { text: HEAD.to_owned(), statements: Vec::new() };
        for (program, (name, code)) in self.programs.iter().enumerate() {
            for (index, function) in code.functions.iter().enumerate() {
                self.function_text(&mut text, code, (program, name), index, function);
            }
        }
        let Text { mut text, statements } = text;
        data_text(&mut text);
        let mut strings = StringTable::default();
        let ext = self.ext_text(&statements, line_numbers(&text, &statements), &mut strings);
        self.types_text(&mut text, &mut strings);
        text.push_str(&ext);
        text
    }

    fn function_text(
        &self,
        out: &mut Text,
        code: &Code,
        (program, name): (usize, &str),
        index: usize,
        function: &Function,
    ) {
        let symbol = function_name(name, index);
        let text = &mut out.text;
        let section = if index == 0 { code.kind.section() } else { ".text" };
        let _ = writeln!(text, "\n\t.section\t\"{section}\",\"ax\",@progbits");
        if index == 0 {
            let _ = writeln!(text, "\t.globl\t{symbol}");
        }
        let _ = writeln!(text, "\t.p2align\t3\n\t.type\t{symbol},@function\n{symbol}:");
        let targets = targets(function);
        let (mut slot, mut statement) = (0, None);
        for line in &function.lines {
            if targets.contains(&slot) {
                let _ = writeln!(text, "{symbol}_at{slot}:");
            }
            if statement != Some(line.statement) {
                statement = Some(line.statement);
                let statement = function.statements.get(line.statement).map_or("", String::as_str);
                out.statements.push(Mark { symbol: symbol.clone(), slot, at: text.len(), text: statement.to_owned() });
                let _ = writeln!(text, ".L{symbol}_{slot}:\t# {statement}");
            }
            let body = self.line_text(program, name, &symbol, slot, line);
            let _ = writeln!(text, "\t{body}");
            slot += line.slots() as i64;
        }
        if targets.contains(&slot) {
            let _ = writeln!(text, "{symbol}_at{slot}:");
        }
        let _ = writeln!(text, "\t.size\t{symbol}, .-{symbol}");
    }

    fn line_text(&self, program: usize, name: &str, symbol: &str, slot: i64, line: &Line) -> String {
        let dst = line.raw.dst;
        match &line.reference {
            Some(Reference::Map(map)) => return format!("r{dst} = {} ll", map.name()),
            Some(Reference::Kfunc(kfunc)) => return format!("call {kfunc}"),
            Some(Reference::Function(index)) => return format!("r{dst} = {} ll", function_name(name, *index)),
            Some(Reference::TypeId(_)) | None => {}
        }
        let placed: Vec<_> = self.placed(program, line).collect();
        let insn = placed.first().and_then(|&first| decode(first, placed.get(1).copied()).ok());
        let target = |offset: i64| format!("{symbol}_at{}", slot + 1 + offset);
        let words = insn.and_then(|insn| {
            // Fields that decoding drops would be lost.
            let kept = insn.encode().0 == placed[0];
            kept.then(|| words(insn, &target)).flatten()
        });
        words.unwrap_or_else(|| {
            let bytes = placed.iter().flat_map(|slot| slot.to_bytes());
            let bytes: Vec<String> = bytes.map(|byte| format!("{byte:#04x}")).collect();
            format!(".byte\t{}", bytes.join(", "))
        })
    }

    fn types_text(&self, text: &mut String, strings: &mut StringTable) {
        let btf = self.types.btf();
        let length = btf.to_bytes_with(strings).len();
        let strings_length = strings.as_bytes().len();
        let types_length = length - 24 - strings_length;
        let _ = writeln!(text, "\n\t.section\t.BTF,\"\",@progbits\n\t.long\t0x1eb9f, 24");
        let _ = writeln!(text, "\t.long\t0, {types_length}, {types_length}, {strings_length}");
        for (id, ty) in btf.iter().skip(1) {
            let words = btf.type_words(id, strings);
            let words: Vec<String> = words.iter().map(|word| format!("{word:#x}")).collect();
            let kind = format!("{ty:?}");
            let kind = kind.split([' ', '(', '{']).next().unwrap_or("");
            let _ = writeln!(text, "\t.long\t{}\t# [{id}] {kind} {}", words.join(", "), ty.name());
        }
        for piece in strings.as_bytes().split_inclusive(|&byte| byte == 0) {
            let piece = String::from_utf8_lossy(piece.strip_suffix(&[0]).unwrap_or(piece)).into_owned();
            let _ = writeln!(text, "\t.string\t\"{}\"", piece.replace('\\', "\\\\").replace('"', "\\\""));
        }
    }

    /// `.BTF.ext`: the functions' types, without which the kernel takes no callback, and each statement's line here.
    fn ext_text(&self, statements: &[Mark], numbers: Vec<usize>, strings: &mut StringTable) -> String {
        let sections = self.sections();
        let heads = 8 * sections.len();
        let functions: usize = sections.iter().map(|section| section.functions.len()).sum();
        let (functions, lines) = (4 + heads + 8 * functions, 4 + heads + 16 * statements.len());
        let mut text = String::from("\n\t.section\t.BTF.ext,\"\",@progbits\n\t.long\t0x1eb9f, 32\n");
        let _ = writeln!(text, "\t.long\t0, {functions}, {functions}, {lines}, {}, 0", functions + lines);
        let _ = writeln!(text, "\t.long\t8");
        for section in &sections {
            let count = section.functions.len();
            let _ = writeln!(text, "\t.long\t{:#x}, {count}\t# {}", strings.offset(section.name), section.name);
            let Some((_, first, _)) = section.functions.first() else { continue };
            for (_, function, _) in &section.functions {
                let TypeId(id) = self.types.function(function);
                let _ = writeln!(text, "\t.long\t{function}-{first}, {id}");
            }
        }
        let mut by_function: FxHashMap<&str, Vec<(&Mark, usize)>> = FxHashMap::default();
        for (mark, number) in statements.iter().zip(numbers) {
            by_function.entry(&mark.symbol).or_default().push((mark, number));
        }
        let file = strings.offset(super::ext::FILE);
        let _ = writeln!(text, "\t.long\t16");
        for section in &sections {
            let of = |name: &str| by_function.get(name).map_or(&[][..], Vec::as_slice);
            let count: usize = section.functions.iter().map(|(_, function, _)| of(function).len()).sum();
            let _ = writeln!(text, "\t.long\t{:#x}, {count}\t# {}", strings.offset(section.name), section.name);
            let Some((_, first, _)) = section.functions.first() else { continue };
            for (mark, number) in section.functions.iter().flat_map(|(_, function, _)| of(function)) {
                let (line, place) = (strings.offset(&mark.text), (*number as u32) << 10 | 1);
                let _ = writeln!(
                    text,
                    "\t.long\t.L{}_{}-{first}, {file:#x}, {line:#x}, {place:#x}",
                    mark.symbol, mark.slot
                );
            }
        }
        text
    }
}

/// The text, and where statements begin in it.
struct Text {
    text: String,
    statements: Vec<Mark>,
}

/// Where a statement begins.
struct Mark {
    symbol: String,
    slot: i64,
    /// Byte offset in the text.
    at: usize,
    text: String,
}

/// The line, from 1, in which each statement stands.
fn line_numbers(text: &str, statements: &[Mark]) -> Vec<usize> {
    let (mut line, mut at) = (1, 0);
    let number = |mark: &Mark| {
        line += text.as_bytes().get(at..mark.at).map_or(0, |bytes| bytes.iter().filter(|&&byte| byte == b'\n').count());
        at = mark.at;
        line
    };
    statements.iter().map(number).collect()
}

/// Maps and licence.
fn data_text(text: &mut String) {
    let _ = writeln!(text, "\n\t.section\t.maps,\"aw\",@progbits");
    for map in MapName::ALL {
        let name = map.name();
        let _ = writeln!(text, "\t.globl\t{name}\n\t.type\t{name},@object\n\t.p2align\t3\n{name}:");
        let _ = writeln!(text, "\t.zero\t{MAP_BYTES}\n\t.size\t{name}, {MAP_BYTES}");
    }
    let _ = writeln!(text, "\n\t.section\tlicense,\"aw\",@progbits\n\t.globl\t_license\n\t.type\t_license,@object");
    let _ = writeln!(text, "_license:\n\t.asciz\t\"GPL\"\n\t.size\t_license, 4");
}

/// Slots to which something jumps.
fn targets(function: &Function) -> Vec<i64> {
    let mut targets = Vec::new();
    let mut slot = 0;
    for line in &function.lines {
        match decode(line.raw, line.high) {
            Ok(Insn::JumpIf { offset, .. } | Insn::MayGoto { offset }) => targets.push(slot + 1 + i64::from(offset)),
            Ok(Insn::Jump { offset }) => targets.push(slot + 1 + i64::from(offset)),
            _ => {}
        }
        slot += line.slots() as i64;
    }
    targets
}

/// An instruction in LLVM's words; `None` where it has none.
fn words(insn: Insn, target: &impl Fn(i64) -> String) -> Option<String> {
    Some(match insn {
        Insn::Alu { width, op: AluOp::Neg, dst, .. } => {
            let dst = register(width, dst);
            format!("{dst} = -{dst}")
        }
        Insn::Alu { width, op, dst, src } => {
            format!("{} {} {}", register(width, dst), op.sign(), operand(width, src))
        }
        Insn::MoveSignExtended { width, from, dst, src } => {
            format!("{} = (s{}){}", register(width, dst), from.bits(), register(width, src))
        }
        Insn::AddressSpaceCast { .. } | Insn::LoadPacket { .. } => return None,
        Insn::ByteSwap { dst, endian, size } => {
            let name = match endian {
                Endian::ToLittle => "le",
                Endian::ToBig => "be",
                Endian::Swap => "bswap",
            };
            format!("{dst} = {name}{} {dst}", size.bits())
        }
        Insn::LoadImmediate { dst, source: ImmediateSource::Value(value) } => format!("{dst} = {value:#x} ll"),
        Insn::LoadImmediate { .. } => return None,
        Insn::Load { size, signed: true, dst, src, offset } => {
            format!("{dst} = *(s{} *)({})", size.bits(), place(src, offset))
        }
        Insn::Load { size, signed: false, dst, src, offset } => {
            format!("{} = *(u{} *)({})", register(width_of(size), dst), size.bits(), place(src, offset))
        }
        Insn::Store { size, dst, offset, src } => {
            format!("*(u{} *)({}) = {}", size.bits(), place(dst, offset), operand(width_of(size), src))
        }
        Insn::Atomic { size, op, dst, src, offset } => atomic(size, op, &place(dst, offset), src),
        Insn::Jump { offset } => format!("goto {}", target(i64::from(offset))),
        Insn::JumpIf { width, op, dst, src, offset } => {
            let (left, right) = (register(width, dst), operand(width, src));
            format!("if {left} {} {right} goto {}", op.sign(), target(i64::from(offset)))
        }
        Insn::MayGoto { offset } => format!("may_goto {}", target(i64::from(offset))),
        Insn::Call(CallTarget::Helper(number)) => format!("call {number}"),
        Insn::Call(_) => return None,
        Insn::Exit => "exit".to_owned(),
    })
}

fn register(width: Width, register: Register) -> String {
    let letter = if width == Width::W64 { 'r' } else { 'w' };
    format!("{letter}{}", register.index())
}

/// LLVM from version 3 on calls a narrow load's destination by its 32-bit name.
fn width_of(size: Size) -> Width {
    if size == Size::B8 { Width::W64 } else { Width::W32 }
}

fn operand(width: Width, operand: Operand) -> String {
    match operand {
        Operand::Register(src) => register(width, src),
        Operand::Immediate(value) => value.to_string(),
    }
}

fn place(base: Register, offset: i16) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    format!("{base} {sign} {}", offset.unsigned_abs())
}

fn atomic(size: Size, op: AtomicOp, place: &str, src: Register) -> String {
    let (bits, width) = (size.bits(), width_of(size));
    let src = register(width, src);
    let (name, sign, fetch) = match op {
        AtomicOp::Add { fetch } => ("add", "+=", fetch),
        AtomicOp::Or { fetch } => ("or", "|=", fetch),
        AtomicOp::And { fetch } => ("and", "&=", fetch),
        AtomicOp::Xor { fetch } => ("xor", "^=", fetch),
        AtomicOp::Exchange if bits == 64 => return format!("{src} = xchg_64({place}, {src})"),
        AtomicOp::Exchange => return format!("{src} = xchg32_32({place}, {src})"),
        AtomicOp::CompareExchange if bits == 64 => return format!("r0 = cmpxchg_64({place}, r0, {src})"),
        AtomicOp::CompareExchange => return format!("w0 = cmpxchg32_32({place}, w0, {src})"),
    };
    if fetch {
        format!("{src} = atomic_fetch_{name}((u{bits} *)({place}), {src})")
    } else {
        format!("lock *(u{bits} *)({place}) {sign} {src}")
    }
}
