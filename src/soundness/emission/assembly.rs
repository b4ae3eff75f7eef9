//! Assembly text in LLVM's syntax, of which `clang --target=bpf -mcpu=v4 -c` makes the same object again.
//!
//! Instructions stand under the statement that they came from. Places are labels, in the types' section too, so that a
//! reader may change, add and remove instructions. What LLVM has no words for stands as bytes.

use std::fmt::Write;

use super::types::MAP_BYTES;
use super::{Batch, function_name};
use crate::btf::{StringTable, TypeId};
use crate::isa::{
    AluOp, AtomicOp, CallTarget, Endian, ImmediateSource, Insn, JumpOp, Operand, Register, Size, Width, decode,
};
use crate::soundness::program::universe::MapName;
use crate::soundness::program::{Code, Function, Line, Reference};

/// What line the file starts with; a reader shall know what to do with it.
const HEAD: &str = "# Assemble: clang --target=bpf -mcpu=v4 -c FILE.s -o FILE.bpf.o\n";

impl Batch<'_> {
    /// The object as text. The same programs give the same text.
    #[must_use]
    pub fn assembly(&self) -> String {
        let mut text = HEAD.to_owned();
        for (program, (name, code)) in self.programs.iter().enumerate() {
            for (index, function) in code.functions.iter().enumerate() {
                self.function_text(&mut text, code, (program, name), index, function);
            }
        }
        data_text(&mut text);
        self.types_text(&mut text);
        text
    }

    fn function_text(
        &self,
        text: &mut String,
        code: &Code,
        (program, name): (usize, &str),
        index: usize,
        function: &Function,
    ) {
        let symbol = function_name(name, index);
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
                let _ = writeln!(text, "\t# {}", function.statements.get(line.statement).map_or("", String::as_str));
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

    fn types_text(&self, text: &mut String) {
        let mut strings = StringTable::default();
        for (name, _) in &self.programs {
            strings.offset(name);
        }
        let functions = self.function_info_text(&mut strings);
        let btf = self.types.btf();
        let length = btf.to_bytes_with(&mut strings).len();
        let strings_length = strings.as_bytes().len();
        let types_length = length - 24 - strings_length;
        let _ = writeln!(text, "\n\t.section\t.BTF,\"\",@progbits\n\t.long\t0x1eb9f, 24");
        let _ = writeln!(text, "\t.long\t0, {types_length}, {types_length}, {strings_length}");
        for (id, ty) in btf.iter().skip(1) {
            let words = btf.type_words(id, &mut strings);
            let words: Vec<String> = words.iter().map(|word| format!("{word:#x}")).collect();
            let kind = format!("{ty:?}");
            let kind = kind.split([' ', '(', '{']).next().unwrap_or("");
            let _ = writeln!(text, "\t.long\t{}\t# [{id}] {kind} {}", words.join(", "), ty.name());
        }
        for piece in strings.as_bytes().split_inclusive(|&byte| byte == 0) {
            let piece = String::from_utf8_lossy(piece.strip_suffix(&[0]).unwrap_or(piece)).into_owned();
            let _ = writeln!(text, "\t.string\t\"{}\"", piece.replace('\\', "\\\\").replace('"', "\\\""));
        }
        text.push_str(&functions);
    }

    /// `.BTF.ext` with the functions' types: without them the kernel takes no callback.
    fn function_info_text(&self, strings: &mut StringTable) -> String {
        let sections = self.sections();
        let length: usize = 4 + sections.iter().map(|section| 8 + 8 * section.functions.len()).sum::<usize>();
        let mut text = String::from("\n\t.section\t.BTF.ext,\"\",@progbits\n\t.long\t0x1eb9f, 32\n");
        let _ = writeln!(text, "\t.long\t0, {length}, {length}, 4, {}, 0", length + 4);
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
        // No lines: what is shown of a program is this text.
        text.push_str("\t.long\t16\n");
        text
    }
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
            format!("{} {} {}", register(width, dst), alu(op)?, operand(width, src))
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
            format!("if {left} {} {right} goto {}", jump(op), target(i64::from(offset)))
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

fn alu(op: AluOp) -> Option<&'static str> {
    Some(match op {
        AluOp::Add => "+=",
        AluOp::Sub => "-=",
        AluOp::Mul => "*=",
        AluOp::Div => "/=",
        AluOp::SignedDiv => "s/=",
        AluOp::Or => "|=",
        AluOp::And => "&=",
        AluOp::LeftShift => "<<=",
        AluOp::RightShift => ">>=",
        AluOp::Mod => "%=",
        AluOp::SignedMod => "s%=",
        AluOp::Xor => "^=",
        AluOp::Mov => "=",
        AluOp::ArithmeticRightShift => "s>>=",
        AluOp::Neg => return None,
    })
}

fn jump(op: JumpOp) -> &'static str {
    match op {
        JumpOp::Equal => "==",
        JumpOp::NotEqual => "!=",
        JumpOp::Greater => ">",
        JumpOp::GreaterEqual => ">=",
        JumpOp::Less => "<",
        JumpOp::LessEqual => "<=",
        JumpOp::SignedGreater => "s>",
        JumpOp::SignedGreaterEqual => "s>=",
        JumpOp::SignedLess => "s<",
        JumpOp::SignedLessEqual => "s<=",
        JumpOp::Set => "&",
    }
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
